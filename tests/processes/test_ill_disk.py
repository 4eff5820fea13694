"""A disk that refuses for a while, as a quota or a network file system does: nothing is lost, and it goes on."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from operator import eq
from pathlib import Path

import pytest

from shared.messages import ExecuteRequest
from shared.reasons import Reason
from supervisor.config import Config
from supervisor.errors import NotFoundError, StoreError
from supervisor.models import CronJob, CronRun
from supervisor.scheduler import Scheduler
from supervisor.status import Status
from supervisor.stores import history
from supervisor.stores.disk import Disk
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.lock import HomeLock
from supervisor.stores.runs import RunsStore
from supervisor.stores.store import failure
from tests.fakes import NOON, FakeClock, FakeSpawn, make_job, make_request, make_run
from tests.ramdisk import FAST
from tests.timeline import HOST

ILLS = (errno.ESTALE, errno.EDQUOT, errno.EIO)
KEEP = 2
Step = Callable[[CronStore, RunsStore], object]
Stores = tuple[CronStore, RunsStore]


class IllDisk(Disk):
    """Refuses what `refuses` says, by the number of the change: before anything of it is done, or after all of it."""

    def __init__(self, number: int, refuses: Callable[[int], bool], *, late: bool = False) -> None:
        self.changes, self._error, self._refuses, self._late = 0, number, refuses, late

    def append(self, path: Path, line: bytes) -> int:
        self._ask(path)
        return super().append(path, line)

    def replace(self, path: Path, data: bytes) -> None:
        refused = self._refused()
        if refused and not self._late:
            raise self._failure(path)
        super().replace(path, data)
        if refused:  # the new file has its name, and its directory could not be synced
            raise self._failure(path)

    def remove(self, path: Path) -> None:
        self._ask(path)
        super().remove(path)

    def sync_dir(self, directory: Path) -> None:
        self._ask(directory)

    def _ask(self, path: Path) -> None:
        if self._refused():
            raise self._failure(path)

    def _refused(self) -> bool:
        self.changes += 1
        return self._refuses(self.changes)

    def _failure(self, path: Path) -> StoreError:
        return failure("written", path, OSError(self._error, "refused"))


@contextmanager
def fresh() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(dir=FAST) as name:
        home = Home(Path(name) / "h")
        lock = HomeLock(home)
        lock.acquire(1)
        try:
            yield home
        finally:
            lock.release()


def steps() -> Iterator[Step]:
    """What a supervisor writes in the life of two jobs and a few runs, compactions included."""
    one, two = make_job(name="one"), make_job(id="two", name="two")
    yield lambda jobs, _: jobs.add(one)
    yield lambda jobs, _: jobs.add(two)
    yield lambda jobs, _: jobs.update(one.model_copy(update={"prompt": "other"}))
    for number in range(6):
        run = make_run(id=f"run-{number:04}")
        for status in (Status.QUEUED, Status.RUNNING, Status.COMPLETED):
            yield recording(run.noted(status=status, started_at=NOON))
    yield lambda jobs, _: jobs.delete("two")


def recording(run: CronRun) -> Step:
    return lambda _, runs: runs.record(run)


def what_is_known(home: Home | Stores) -> tuple[list[CronJob], list[CronRun]]:
    jobs, runs = home if isinstance(home, tuple) else (CronStore(home), RunsStore(home, KEEP))
    return sorted(jobs.list(), key=lambda job: job.id), runs.all_runs()


@pytest.mark.parametrize("number", ILLS, ids=errno.errorcode.get)
def test_whatever_change_is_refused_the_stores_are_as_before_and_it_can_be_made_later(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "SLACK", 1)  # so that six runs are enough for a few compactions
    with fresh() as home:
        plain = CronStore(home), RunsStore(home, KEEP)
        for step in steps():
            step(*plain)
        expected = what_is_known(home)
    for refused in count(1):
        with fresh() as home:
            disk = IllDisk(number, partial(eq, refused))
            stores = CronStore(home, disk=disk), RunsStore(home, KEEP, disk=disk)
            for step in steps():
                before = what_is_known(stores)[1] if disk.changes < refused else []
                try:
                    step(*stores)
                except StoreError:
                    assert what_is_known(home)[1] == what_is_known(stores)[1] == before
                    again(step, stores)
            assert what_is_known(home) == what_is_known(stores) == expected, f"change {refused} was refused"
            assert CronStore(home).damaged == [] == RunsStore(home).damaged
            if disk.changes < refused:
                return


def again(step: Step, stores: Stores) -> None:
    with suppress(NotFoundError):  # a file was removed, and only its directory could not be synced
        step(*stores)


@pytest.mark.parametrize("late", [False, True], ids=["before", "after the rename"])
def test_while_it_is_ill_nothing_starts_and_afterwards_all_is_accounted_for_once(late: bool) -> None:
    """The real core over it, a job of every minute: ill from 12:00:30 to 12:02:30, a turn every second."""
    for number in ILLS:
        with fresh() as home:
            clock, spawn = FakeClock(), FakeSpawn()
            core = core_over(home, IllDisk(number, ill(clock), late=late), spawn)
            core.jobs.add(make_job(cron_expr="* * * * *", overlap="allow", changed_at=NOON, timezone="UTC"))
            core.load(clock.wall)
            for second in range(1, 241):
                clock.pass_by(1)
                core.tick(clock.now())
                assert spawn.runners == [] or second > 150, "it was started and nothing of it is on disk"
            known = RunsStore(home).all_runs()
            told = f"{errno.errorcode[number]}: {[(run.scheduled_at.minute, run.reason) for run in known]}"
            missed = [run for run in known if run.reason is Reason.MISSED]
            minutes = sorted(run.scheduled_at.minute for run in known)
            assert minutes[-2:] == [3, 4], told
            assert len(minutes) == len(set(minutes)), told
            assert len(known) - len(missed) + sum(map(how_many, missed)) == 4, told
            assert len({runner.request.run_id for runner in spawn.runners}) == len(spawn.runners) > 1, told


def how_many(missed: CronRun) -> int:
    words = missed.error.split()
    return int(words[0]) if words[0].isdigit() else 1


def ill(clock: FakeClock) -> Callable[[int], bool]:
    began = clock.mono
    return lambda _change: 30 <= clock.mono - began <= 150


def core_over(home: Home, disk: Disk, spawn: FakeSpawn) -> Scheduler:
    ids = count(1)

    def prepare(job: CronJob, run: CronRun, seconds_left: float) -> ExecuteRequest:
        return make_request(run.id, run.attempt, home.root / run.id, job_id=job.id)

    stores = CronStore(home, disk=disk), RunsStore(home, disk=disk)
    return Scheduler(
        *stores, Config(max_concurrent=8), HOST, new_id=lambda: f"{next(ids):08}-run", prepare=prepare, spawn=spawn
    )
