"""What bubblewrap shows becomes what Landlock allows, in what the kernel's version of it can say."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner import cell, init, landlock
from runner.landlock import DEVICES, HANDLED, PROC, READ, READ_DIR, WRITE, Ruleset, in_cell, shown
from shared.messages import Bind, Cell
from tests.driver import request
from tests.unit.runner.test_cell import HOST

BINDS = (
    Bind(source="/weights", target="/opt/weights"),
    Bind(source="/weights", target="/opt/out", writable=True),
)


def arguments(network: str = "none") -> list[str]:
    asked = request(
        Path("/log"),
        "prog",
        binds=BINDS,
        files={"/opt/note": "x"},
        cell=Cell(network=network, work_dir="/srv/app"),  # type: ignore[arg-type]
    )
    return cell.arguments(asked, HOST)


def test_what_is_shown_may_be_read_and_only_what_is_writable_written() -> None:
    found = dict(shown(arguments("host")))
    read = ["/usr", "/etc/ssl/certs", "/etc/passwd", "/opt/py", "/opt/weights", "/opt/note", "/etc/resolv.conf"]
    assert {path: found.pop(path) for path in read} == dict.fromkeys(read, READ)
    write = ["/tmp", "/dev/shm", "/home/agent", "/srv/app", "/opt/out"]
    assert {path: found.pop(path) for path in write} == dict.fromkeys(write, WRITE)
    closed = HOST.interpreter.hidden[0]  # a tmpfs that was made read-only
    assert {path: found.pop(path) for path in ("/", "/dev", "/proc", closed)} == {
        "/": READ_DIR,
        "/dev": DEVICES,
        "/proc": PROC,
        closed: READ,
    }
    assert not found.keys() - {*cell.FILES, "/run/cronward/init.pyc"}


def test_an_option_that_is_not_known_is_never_guessed_at() -> None:
    for strange in (["bwrap", "--overlay", "/a", "/b", "/c", "--", "x"], ["bwrap", "--new-session", "/usr", "--"]):
        with pytest.raises(ValueError, match="no option of bubblewrap's"):
            shown(strange)


def test_each_version_of_the_interface_gets_what_it_knows_and_no_bit_more() -> None:
    rows = (
        (2, 0x3FFF, 0, "ABI 2: files"),
        (3, 0x7FFF, 0, "ABI 3: files, truncation"),
        (4, 0x7FFF, 0, "ABI 4: files, truncation"),
        (5, 0xFFFF, 0, "ABI 5: files, truncation, devices"),
        (6, 0xFFFF, 3, "ABI 6: files, truncation, devices, signals, abstract sockets"),
        (9, 0xFFFF, 3, "ABI 9: files, truncation, devices, signals, abstract sockets"),
    )
    for version, handled, scoped, words in rows:
        rules = in_cell(arguments(), version)
        assert rules is not None
        assert (rules.handled, rules.network, rules.scoped, rules.summary) == (handled, 0, scoped, words), version
        assert all(rights & ~handled == 0 for _, rights in rules.files), version


def test_where_no_file_could_be_moved_between_directories_the_mounts_hold_alone() -> None:
    for version, words in ((0, "not offered by this kernel"), (1, "ABI 1 cannot")):
        assert in_cell(arguments(), version) is None
        assert landlock.absent(version).startswith(words), version


def test_ports_are_for_the_kernel_only_where_they_are_named() -> None:
    assert Ruleset(7, []).fields() == ["landlock=65535:0:3"]
    closed, one = Ruleset(7, [], ports=()), Ruleset(7, [("/usr", READ)], ports=(4711,), scoped=False)
    assert closed.fields() == ["landlock=65535:3:3"]
    assert "TCP to port none only" in closed.summary
    assert one.fields() == ["landlock=65535:3:0", f"beneath={READ}:/usr", "connect=4711"]


def test_a_file_gets_no_right_that_only_a_directory_can_have() -> None:
    """The kernel refuses such a rule as a whole."""
    of_directories = {1 << bit for bit in (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13)}
    assert HANDLED[5] & ~init.OF_FILES == sum(of_directories)
