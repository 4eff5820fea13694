"""One holder at a time, and who it is."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from supervisor.errors import RefusedError
from supervisor.stores import lastsign
from supervisor.stores.home import Home
from supervisor.stores.lock import HomeLock, boot_id, read_info, start_ticks, write_info
from supervisor.stores.store import write_atomic

STARTED = datetime(2026, 11, 24, 12, 30, 1, tzinfo=UTC)
# A holder of a few milliseconds: what a lock is to the kernel, without any code of ours.
HOLDER = "import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.flock(file, 2); print('ready', flush=True); input()"
STALE: list[dict[str, object]] = [
    {"start_ticks": 1},  # the pid was used again
    {"pid": 2**22 + 1},  # there is no such process
    {"pid": -1},
    {"boot_id": "another"},
    {"version": 99},
]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "h")


@contextmanager
def another_holder(home: Home) -> Iterator[subprocess.Popen[bytes]]:
    home.create()
    argv = [sys.executable, "-I", "-S", "-c", HOLDER, str(home.lock)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            yield child
        finally:
            child.kill()


def say(home: Home, **changes: object) -> None:
    info = write_info(home, started_at=STARTED, cronward="1", socket=home.socket)
    write_atomic(home.info, info.model_copy(update=changes).model_dump_json().encode())


def test_the_second_holder_is_refused_with_pid_and_start_of_the_first(home: Home) -> None:
    with another_holder(home) as first:
        say(home, pid=first.pid, start_ticks=start_ticks(first.pid))
        with pytest.raises(RefusedError) as refused:
            HomeLock(home).acquire(0)
    assert f"process {first.pid}, started {STARTED.astimezone().isoformat(' ')}" in str(refused.value)


def test_a_reader_sees_who_holds_it_until_that_one_is_killed(home: Home) -> None:
    with another_holder(home) as first:
        say(home, pid=first.pid, start_ticks=start_ticks(first.pid))
        info = read_info(home)
        assert info is not None
        assert (info.pid, info.socket, info.boot_id) == (first.pid, str(home.socket), boot_id())
        first.kill()
        first.wait()
        assert home.info.exists()
        assert read_info(home) is None
        with HomeLock(home) as lock:
            assert lock.held


def test_a_holder_that_says_nothing_is_refused_without_a_name(home: Home) -> None:
    with another_holder(home):
        assert read_info(home) is None
        with pytest.raises(RefusedError, match="Another process"):
            HomeLock(home).acquire(0)


def test_what_is_stale_is_not_believed_although_somebody_holds_the_lock(home: Home) -> None:
    with another_holder(home):
        say(home)
        assert read_info(home) is not None
        for changes in STALE:
            say(home, **changes)
            assert read_info(home) is None, changes
            with pytest.raises(RefusedError, match="Another process"):
                HomeLock(home).acquire(0)


def test_nobody_is_believed_while_nobody_holds_the_lock(home: Home) -> None:
    with HomeLock(home):
        write_info(home, started_at=STARTED, cronward="1", socket=home.socket)
        assert read_info(home) is not None
    assert read_info(home) is None


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 1}', b"x" * 100_000])
def test_an_unreadable_file_about_the_holder_is_nobody(home: Home, content: bytes) -> None:
    with HomeLock(home):
        home.info.write_bytes(content)
        assert read_info(home) is None


def test_nobody_holds_a_home_that_does_not_exist(home: Home) -> None:
    assert read_info(home) is None
    assert not home.root.exists()


def test_readers_do_not_keep_each_other_or_a_writer_out(home: Home) -> None:
    with HomeLock(home):
        write_info(home, started_at=STARTED, cronward="1", socket=home.socket)
    for _ in range(20):
        assert read_info(home) is None
        with HomeLock(home, wait_seconds=0):
            pass


def test_all_locks_of_a_home_in_a_process_are_one(home: Home, tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to(tmp_path)
    one, two, third = HomeLock(home), HomeLock(home), HomeLock(Home(tmp_path / "way" / "h"))
    with one:
        assert two.held
        assert third.held
        with two, third:
            pass
        assert one.held
    assert not two.held


def test_what_was_remembered_under_an_earlier_hold_can_be_told_apart(home: Home) -> None:
    lock = HomeLock(home)
    stamps = []
    for _ in range(2):
        with lock:
            stamps.append(lock.stamp)
            with lock:
                assert lock.stamp == stamps[-1]
            lock.changed()
            stamps.append(lock.stamp)
    assert len(set(stamps)) == 4


def test_the_lock_file_is_never_unlinked_and_its_owners_alone(home: Home) -> None:
    for _ in range(2):
        with HomeLock(home):
            inode = home.lock.stat().st_ino
        assert home.lock.stat().st_ino == inode
    assert home.lock.stat().st_mode & 0o777 == 0o600


def test_a_child_does_not_inherit_the_lock(home: Home) -> None:
    with HomeLock(home):
        child = subprocess.Popen(["/bin/sleep", "30"], close_fds=False)
    try:
        HomeLock(home).acquire(0)
        HomeLock(home).release()
        with another_holder(home):
            pass
    finally:
        child.kill()
        child.wait()


def test_who_has_gone_can_take_back_what_was_said(home: Home) -> None:
    with HomeLock(home):
        write_info(home, started_at=STARTED, cronward="1", socket=home.socket)
        lastsign.leave(home)
        lastsign.leave(home)
        assert read_info(home) is None


def test_a_process_is_told_from_a_later_one_of_its_number() -> None:
    mine = start_ticks(os.getpid())
    assert mine is not None
    assert mine > 0
    assert start_ticks(os.getpid()) == mine
    assert start_ticks(2**22 + 1) is None


def test_a_hold_is_not_given_back_in_the_middle_of_another_threads_change(home: Home) -> None:
    lock, order = HomeLock(home), []
    lock.acquire(1)

    def give_back() -> None:
        lock.release()
        order.append("released")

    thread = threading.Thread(target=give_back)
    with lock.writing():
        thread.start()
        thread.join(0.05)
        order.append("changed")
        assert lock.held
    thread.join()
    assert order == ["changed", "released"]
    assert not lock.held
