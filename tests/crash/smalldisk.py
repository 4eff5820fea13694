"""A disk of its own, small enough to be filled: mounted where we are root, else a limit on the size of files."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
CLONE_NEWNS, MS_REC, MS_SLAVE = 0x20000, 0x4000, 0x80000


@dataclass
class SmallDisk:
    """Where to put a home, and how to leave it no room."""

    root: Path
    mounted: bool

    def fill(self, spare: int = 0) -> None:
        """Take all room but `spare` bytes."""
        if not self.mounted:
            return
        fd = os.open(self.root / "filler", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            for size in (MIB, 4096, 512, 1):
                with contextlib.suppress(OSError):
                    while True:
                        os.write(fd, b"\0" * size)
            if spare:
                os.ftruncate(fd, max(0, os.fstat(fd).st_size - spare))
        finally:
            os.close(fd)

    def drain(self) -> None:
        (self.root / "filler").unlink(missing_ok=True)


def throttle(pid: int, room: int | None) -> None:
    """What stands for a full disk where none can be mounted: let no file of this process grow beyond `room` bytes.

    What it starts from then on is bound by it too.
    """
    _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if room is None else room, hard))


@contextmanager
def small_disk(folder: Path, size: int, kind: str = "tmpfs") -> Iterator[SmallDisk]:
    """`kind`: tmpfs, or ext4 in a file, where syncs cost what they cost. Not mounted: nobody lets us."""
    mount_point = folder / "disk"
    mount_point.mkdir()
    if os.geteuid() != 0 or not _mount(folder, mount_point, size, kind):
        yield SmallDisk(mount_point, mounted=False)
        return
    try:
        yield SmallDisk(mount_point, mounted=True)
    finally:
        # Lazily: a process that is just dying may still hold a file of it.
        subprocess.run(["umount", "-l", str(mount_point)], check=False, timeout=30)


def _keep_mounts_to_ourselves() -> bool:
    """From here on what is mounted is seen by us and our children only, and goes with us: also when we are killed."""
    libc = ctypes.CDLL(None, use_errno=True)
    return not libc.unshare(CLONE_NEWNS) and not libc.mount(None, b"/", None, MS_REC | MS_SLAVE, None)


def _mount(folder: Path, mount_point: Path, size: int, kind: str) -> bool:
    if not _keep_mounts_to_ourselves():
        return False
    if kind == "tmpfs":
        return _done("mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", str(mount_point))
    image = folder / "disk.img"
    with image.open("wb") as file:
        file.truncate(size)
    made = _done("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
    if made and _done("mount", "-o", "loop", str(image), str(mount_point)):
        return True
    image.unlink()
    return False


def _done(*argv: str) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, check=False, timeout=60).returncode == 0
    except OSError:
        return False
