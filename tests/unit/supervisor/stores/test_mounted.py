"""Which file system a home lies on."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.stores.mounted import file_system_of, is_network

MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /home rw,relatime shared:2 - nfs4 server:/home rw,vers=4.2
31 30 0:41 / /home/local rw - tmpfs tmpfs rw
32 22 0:42 / /with\040space rw - fuse.sshfs host:/ rw
33 22 0:43 / /twice rw - nfs server:/a rw
34 22 0:44 / /twice rw - ext4 /dev/sdb1 rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib", "ext4"),
        ("/home/ann/.local/state", "nfs4"),
        ("/home/local/x", "tmpfs"),
        ("/homework", "ext4"),
        ("/with space/x", "fuse.sshfs"),
        ("/twice", "ext4"),
    ],
)
def test_the_deepest_and_last_mount_above_a_path_counts(path: str, kind: str) -> None:
    assert file_system_of(Path(path), MOUNTS) == kind


def test_what_another_machine_keeps_is_known_by_its_type() -> None:
    assert [is_network(kind) for kind in ("nfs4", "cifs", "fuse.sshfs", "ext4", "tmpfs", "fuse.ext4", "")] == [
        True,
        True,
        True,
        False,
        False,
        False,
        False,
    ]


def test_this_machines_own_mounts_can_be_read(tmp_path: Path) -> None:
    assert file_system_of(tmp_path, Path("/proc/self/mountinfo").read_text())
