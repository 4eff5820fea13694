"""A disk that is full at any byte: what cannot be written is refused, and the stores are as they were.

The limit on a file's size stands for the full disk: it cuts a write short at any byte that is wanted, for root too.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervisor.cronscheduler import CronScheduler
from supervisor.errors import StoreError
from supervisor.status import Status
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.lock import HomeLock
from supervisor.stores.runs import RunsStore
from supervisor.stores.store import append_line, write_atomic
from supervisor.timing.agenda import Entry
from tests.fakes import NOON, make_job, make_run


@contextmanager
def room_for(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, 99])
def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, room: int) -> None:
    path = tmp_path / "a"
    write_atomic(path, b"old")
    with room_for(room), pytest.raises(StoreError, match="Make room"):
        write_atomic(path, b"x" * 100)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with room_for(100):
        write_atomic(path, b"x" * 100)
    assert path.read_bytes() == b"x" * 100


@pytest.mark.parametrize("room", [0, 1, 9])
def test_a_line_that_does_not_fit_leaves_nothing_behind(tmp_path: Path, room: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"first\n")
    with room_for(len(b"first\n") + room), pytest.raises(StoreError, match="Make room"):
        append_line(path, b"123456789\n")
    assert path.read_bytes() == b"first\n"
    append_line(path, b"123456789\n")
    assert path.read_bytes() == b"first\n123456789\n"


@pytest.mark.parametrize("held", [True, False])
def test_a_job_that_does_not_fit_is_not_half_there(tmp_path: Path, held: bool) -> None:
    home = Home(tmp_path / "h")
    store = CronStore(home)
    lock = HomeLock(home)
    if held:
        lock.acquire(1)
    old = store.add(make_job(prompt="old", name="morning"))
    with room_for(500):
        changes = [
            (store.update, make_job(prompt="new" * 500, name="evening")),
            (store.add, make_job(id="other", prompt="new" * 500)),
        ]
        for change, job in changes:
            with pytest.raises(StoreError):
                change(job)
            for reader in (store, CronStore(home)):
                assert reader.list() == [old]
                assert reader.find("morning") == old
    store.delete(old.id)
    assert CronStore(home).list() == []
    if held:
        lock.release()


def test_a_run_is_recorded_or_refused_at_every_byte(tmp_path: Path) -> None:
    home = Home(tmp_path / "h")
    store = RunsStore(home)
    run = make_run(status=Status.RUNNING, started_at=NOON)
    store.record(run)
    path = home.runs / f"{run.job_id}.jsonl"
    before = path.read_bytes()
    ended = run.moved(Status.COMPLETED, response="x" * 300)
    refused = 0
    with HomeLock(home):
        for room in range(0, 2000, 83):
            with room_for(len(before) + room):
                try:
                    store.record(ended)
                except StoreError:
                    refused += 1
                    assert path.read_bytes() == before
                    assert store.get_runs(run.job_id) == RunsStore(home).get_runs(run.job_id) == [run]
                    assert store.summary(run.job_id).last_status is None
                else:
                    break
    assert refused > 5
    assert RunsStore(home).get_runs(run.job_id) == [ended]
    assert RunsStore(home).summary(run.job_id).run_count == 1


def test_the_first_run_of_a_job_that_does_not_fit_leaves_a_store_that_opens(tmp_path: Path) -> None:
    home = Home(tmp_path / "h")
    store = RunsStore(home)
    for room in (0, 10, 300):
        with room_for(room), pytest.raises(StoreError):
            store.record(make_run())
        assert RunsStore(home).all_runs() == []
        assert RunsStore(home).quarantine() == []
    store.record(make_run())
    assert RunsStore(home).all_runs() == [make_run()]


def test_what_could_not_be_stored_is_shown_as_due_while_it_is_set_aside(tmp_path: Path) -> None:
    scheduler = CronScheduler(CronStore(tmp_path))
    scheduler._core.agenda.set_aside(Entry(NOON, "a", NOON), 10.0)
    assert scheduler.status()["next_due"] == NOON.isoformat()
