"""What lies in a directory is added up right, in pieces, and a limit of it is passed or not. Time is passed in."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from runner import growth
from runner.census import ENTRY, Census, open_places, unescape
from runner.growth import Free, Growth, crowded
from shared.reasons import Reason
from tests.driver import limits

MIB = 1 << 20
PAST, FUTURE = 0, time.time_ns() + 10**18


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    work = tmp_path / "work"
    work.mkdir()
    (descriptor,) = open_places([str(work), str(tmp_path / "nothing")])
    yield work, descriptor
    os.close(descriptor)


def counted(descriptor: int, since: int) -> Census:
    census = Census([descriptor], since)
    assert census.go_on(lambda: False)
    return census


def test_blocks_count_and_each_entry_for_something_and_what_is_linked_twice_once(place: tuple[Path, int]) -> None:
    work, descriptor = place
    (work / "two").write_bytes(bytes(2 * MIB))
    (work / "again").hardlink_to(work / "two")
    (work / "empty").touch()
    (work / "link").symlink_to("two")
    (work / "folder").mkdir()
    with (work / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    found = counted(descriptor, PAST)
    assert 2 * MIB + 5 * ENTRY <= found.total < 2 * MIB + 12 * ENTRY
    assert (found.old, found.hidden) == (0, False)
    assert counted(descriptor, FUTURE).old == found.new


def test_it_can_be_done_in_pieces(place: tuple[Path, int]) -> None:
    work, descriptor = place
    for number in range(10):
        (work / f"{number}").touch()
    census, turns = Census([descriptor], PAST), 0
    while not census.go_on(lambda: True):
        turns += 1
    assert (turns, census.total) == (10, counted(descriptor, PAST).total)


def test_what_is_still_open_without_a_name_counts(place: tuple[Path, int]) -> None:
    work, descriptor = place
    with (work / "gone").open("wb") as file, (work / "here").open("wb") as other:
        for each in (file, other):
            each.write(bytes(MIB))
            each.flush()
        (work / "gone").unlink()
        census = counted(descriptor, PAST)
        named = census.total
        census.add_deleted([os.getpid(), os.getpid(), 1 << 30])
        assert MIB <= census.total - named < 2 * MIB


WAYS_TO_HIDE = {
    "its first thread has ended": """
def keep():
    file = written()
    time.sleep(60)
threading.Thread(target=keep).start()
libc.syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
""",
    "a thread has descriptors of its own": """
def keep():
    assert libc.unshare(0x400) == 0  # CLONE_FILES
    file = written()
    time.sleep(60)
threading.Thread(target=keep).start()
""",
    "it cannot be dumped": """
assert libc.prctl(4, 0, 0, 0, 0) == 0  # PR_SET_DUMPABLE
file = written()
""",
}
HIDE = """
import ctypes, os, sys, threading, time
libc = ctypes.CDLL(None)
def written():
    file = open(sys.argv[1], "wb", buffering=0)
    file.write(bytes(1 << 20))
    os.unlink(sys.argv[1])
    print("up", flush=True)
    return file
"""


@pytest.mark.parametrize("way", WAYS_TO_HIDE.values(), ids=WAYS_TO_HIDE.keys())
def test_what_is_open_without_a_name_cannot_be_hidden(place: tuple[Path, int], way: str) -> None:
    work, descriptor = place
    argv = [sys.executable, "-c", f"{HIDE}{way}time.sleep(60)", str(work / "gone")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            census = counted(descriptor, PAST)
            census.add_deleted([process.pid])
            assert census.hidden or census.total >= MIB
            assert census.hidden <= (way == WAYS_TO_HIDE["it cannot be dumped"])
        finally:
            process.kill()


def test_a_process_that_has_ended_hides_nothing(place: tuple[Path, int]) -> None:
    """Nobody but root may look at its descriptors."""
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        census = counted(place[1], PAST)
        census.add_deleted([process.pid])
        assert not census.hidden


def test_more_tables_of_descriptors_than_anybody_needs_may_hide_something(place: tuple[Path, int]) -> None:
    script = """
import ctypes, threading, time
def keep():
    assert ctypes.CDLL(None).unshare(0x400) == 0
    ready.wait()
    time.sleep(60)
ready = threading.Barrier(21)
for _ in range(20):
    threading.Thread(target=keep).start()
ready.wait()
print("up", flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            census = counted(place[1], PAST)
            census.add_deleted([process.pid])
            assert census.hidden
        finally:
            process.kill()


def test_a_folder_that_its_owner_closed_since_may_hide_anything(place: tuple[Path, int]) -> None:
    work, descriptor = place
    (work / "closed").mkdir()
    for mode, hides in ((0o700, False), (0o500, False), (0o300, True), (0o400, True), (0, True)):
        (work / "closed").chmod(mode)
        assert (counted(descriptor, PAST).hidden, counted(descriptor, FUTURE).hidden) == (hides, False), mode
    (work / "closed").chmod(0o700)


def test_names_of_mounts_are_read_as_they_are_written() -> None:
    assert unescape(r"/a\040b\134c\011") == "/a b\\c\t"


class Watched(Growth):
    """One whose file systems lose what it is told."""

    def __init__(self, descriptor: int, **allowed: int | None) -> None:
        self.free = Free(1 << 40, 1 << 40)
        super().__init__([descriptor], limits(**{"disk_bytes": 4 * MIB, **allowed}), tuple)
        self.now = 0.0
        self._since = PAST  # all of it is new

    def clock(self) -> float:
        return self.now

    def _free(self) -> Free:
        return self.free


def test_it_is_counted_when_the_file_system_has_lost_something_or_now_and_then(place: tuple[Path, int]) -> None:
    work, descriptor = place
    watched = Watched(descriptor)
    watched.begin(watched.clock)
    (work / "file").write_bytes(bytes(3 * MIB))
    assert watched.look(watched.clock) is None
    assert watched.peak == 0  # nothing says that it is worth looking
    watched.free = Free((1 << 40) - 3 * MIB, 1 << 40)
    assert watched.look(watched.clock) is None
    assert 3 * MIB <= watched.peak < 4 * MIB
    (work / "more").write_bytes(bytes(2 * MIB))
    assert watched.look(watched.clock) is None
    watched.now += growth.SELDOM
    cause = watched.look(watched.clock)
    assert cause is not None
    assert (cause.reason, "5 MiB more to disk" in cause.error, "4 MiB is the limit" in cause.error) == (
        Reason.DISK_LIMIT, True, True
    )  # fmt: skip


def test_what_was_removed_gives_room_again_and_the_peak_stays(place: tuple[Path, int]) -> None:
    work, descriptor = place
    watched = Watched(descriptor)
    watched.begin(watched.clock)
    for name in ("a", "b", "c"):
        (work / name).write_bytes(bytes(3 * MIB))
        watched.now += growth.SELDOM
        assert watched.look(watched.clock) is None
        (work / name).unlink()
    assert 3 * MIB <= watched.peak < 4 * MIB
    assert watched.settle(watched.clock) is None


def test_where_something_is_hidden_all_counts_that_the_file_system_lost(place: tuple[Path, int]) -> None:
    work, descriptor = place
    watched = Watched(descriptor)
    watched.begin(watched.clock)
    watched.free = Free((1 << 40) - 5 * MIB, 1 << 40)
    assert watched.look(watched.clock) is None  # somebody else's, for all we know
    (work / "closed").mkdir(mode=0)
    watched.now += growth.SELDOM
    assert watched.look(watched.clock) is not None
    (work / "closed").chmod(0o700)


def test_a_large_directory_is_counted_over_many_looks(place: tuple[Path, int]) -> None:
    work, descriptor = place
    for number in range(20):
        (work / f"{number}").write_bytes(bytes(MIB // 2))
    watched, ticks = Watched(descriptor), count()

    def clock() -> float:
        """Each entry takes 40 ms."""
        return next(ticks) * 0.04

    watched.begin(clock)
    looks: list[object] = []
    while not any(looks):
        looks.append(watched.look(clock))
    assert 2 < len(looks) < 20
    assert watched.peak < 6 * MIB  # it is told as soon as it is known


def test_a_file_system_that_is_nearly_full_is_told_before_anything_is_counted(place: tuple[Path, int]) -> None:
    _, descriptor = place
    for floor, told in ((0, False), (1, False), (1 << 60, True)):
        watched = Watched(descriptor, disk_bytes=None, disk_floor_bytes=floor)
        watched.begin(watched.clock)
        cause = watched.look(watched.clock)
        assert (cause is not None and "must stay" in cause.error) is told, floor
        assert watched.settle(watched.clock) is None


def test_one_that_writes_nowhere_costs_nothing() -> None:
    def no_clock() -> float:
        raise AssertionError

    nowhere = Growth([], limits(disk_bytes=1, disk_floor_bytes=1 << 60), tuple)
    nowhere.begin(no_clock)
    assert (nowhere.look(no_clock), nowhere.settle(no_clock), nowhere.peak) == (None, None, 0)


def test_the_number_of_files_in_a_private_place_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(used: int) -> Callable[[str], os.statvfs_result]:
        def statvfs(path: str) -> os.statvfs_result:
            files = used if path == "/proc/7/root/dev/shm" else 3
            return os.statvfs_result((4096, 4096, 9, 9, 9, 1 << 20, (1 << 20) - files, 9, 0, 255))

        return statvfs

    for used, tmp, told in (
        (10_000, MIB, False),
        (10_001, MIB, True),
        (16_384, 64 * MIB, False),
        (16_385, 64 * MIB, True),
    ):
        monkeypatch.setattr(os, "statvfs", found(used))
        cause = crowded(7, limits(tmp_bytes=tmp))
        assert (cause is not None and "in its private /dev/shm" in cause.error) is told, (used, tmp)
    monkeypatch.undo()
    assert crowded(1 << 30, limits()) is None
