"""The real scheduler over real stores, with a clock that is moved by hand and runners that do nothing of themselves."""

from __future__ import annotations

import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.findings import Usage
from shared.messages import ExecuteRequest
from shared.reasons import Reason
from supervisor.budgets import charge
from supervisor.budgets.purse import Purse
from supervisor.config import Config
from supervisor.definitions import edits
from supervisor.errors import InvalidError, StoreError
from supervisor.models import CronJob, CronRun, JobType, Trigger
from supervisor.scheduler import Scheduler, Wake
from supervisor.spawning.launcher import Gone
from supervisor.spawning.recovery import recover
from supervisor.status import ALLOWED, Status
from supervisor.stores.host import Host
from supervisor.stores.jobs import CronStore
from supervisor.stores.lock import HomeLock
from tests.fakes import NOON, FakeClock, FakeRunner, FakeSpawn, FullRunsStore, make_job, make_request, make_result

HOST = Host("house", "boot-1")
USED = Usage(wall_seconds=2.0, cpu_seconds=1.0, peak_rss_bytes=1, output_bytes=1)
EACH_MINUTE = {"cron_expr": "* * * * *"}
Event = tuple[Any, ...]
TURNS = 5_000
"""More turns than this in one step of a test mean that the scheduler spins."""


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder in memory where there is one: what is written is the question here, and an fsync costs 4 ms."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else None) as name:
        yield Path(name)


@contextmanager
def timeline(config: Config | None = None, purse: Purse | None = None) -> Iterator[Timeline]:
    """One in a folder of its own, that is gone afterwards."""
    with memory_folder() as root:
        made = Timeline(root, config, purse or Purse())
        try:
            yield made
        finally:
            made.lock.release()


class Timeline:
    """`pass_by` and `until` call the scheduler's turns exactly when it asked for them, as the loop does."""

    def __init__(self, root: Path, config: Config | None, purse: Purse) -> None:
        self.root, self.config, self.clock, self.purse = root, config or Config(), FakeClock(), purse
        self.spawn = FakeSpawn(self._check_claim)
        self.told: list[CronRun] = []
        self.full: Callable[[CronRun], bool] = lambda _run: False
        self.bad_definition = self.busy = ""
        self.no_directory = False
        self.job_ids: dict[str, str] = {}
        self.created: dict[str, CronJob] = {}
        self.dead: set[tuple[str, int]] = set()
        self.numbers = itertools.count(1)
        self.lock = HomeLock(CronStore(root).home)
        self.lock.acquire(1.0)
        self.open()

    def open(self, load: bool = True) -> None:
        """Begin anew with what is on disk, as after a kill, which took all runners along."""
        self.dead.update(self.attempts())
        self.runs = FullRunsStore(self.root, keep=10_000)
        self.runs.full = lambda run: self.full(run)
        self.core = Scheduler(
            CronStore(self.root),
            self.runs,
            self.config,
            HOST,
            new_id=lambda: f"{next(self.numbers):08}-run",
            prepare=self._prepare,
            spawn=self.spawn,
            told_end=lambda _job, run: self.told.append(run),
            host_busy=lambda: self.busy,
            purse=self.purse,
        )
        if load:
            recover(self.core, self.clock.now())
            self.core.load(self.clock.wall)
            self.turn()

    # ---- time

    def turn(self) -> Wake:
        self.wake = self.core.tick(self.clock.now())
        return self.wake

    def pass_by(self, seconds: float) -> None:
        """Let time pass, with a turn whenever one was asked for and one at the end."""
        end = self.clock.mono + seconds
        for _ in range(TURNS):
            left = self._until_wake()
            if left is None or self.clock.mono + left > end:
                break
            self.clock.pass_by(left)
            self.turn()
        else:
            raise AssertionError(f"the scheduler spins: {TURNS} turns, the last asked for {self.wake}")
        self.clock.pass_by(max(0.0, end - self.clock.mono))
        self.turn()

    def until(self, instant: datetime) -> None:
        self.pass_by((instant - self.clock.wall).total_seconds())

    def sleep(self, seconds: float) -> None:
        """Let time pass with nobody awake."""
        self.clock.pass_by(seconds)

    def _until_wake(self) -> float | None:
        wall, mono = self.wake.wall, self.wake.mono
        waits = [] if wall is None else [(wall - self.clock.wall).total_seconds()]
        waits += [] if mono is None else [mono - self.clock.mono]
        return max(0.0, min(waits)) if waits else None

    # ---- what people ask for; a turn follows, as in the loop

    def add(self, name: str = "job", **fields: Any) -> CronJob:
        job_id = f"{len(self.job_ids) + 1:08}-job"
        self.job_ids[name] = job_id
        now = self.clock.wall
        job = make_job(**{"id": job_id, "name": name, "created_at": now, "changed_at": now, **fields})
        added = self.created[name] = edits.add(self.core, job, self.clock.now())
        self.turn()
        return added

    def job(self, name: str = "job") -> CronJob:
        return self.core.jobs.find(name)

    def pause(self, name: str = "job") -> None:
        edits.pause(self.core, self.job(name), self.clock.now())
        self.turn()

    def resume(self, name: str = "job") -> None:
        edits.resume(self.core, self.job(name), self.clock.now())
        self.turn()

    def remove(self, name: str = "job") -> None:
        edits.remove(self.core, self.job(name), self.clock.now())
        self.turn()

    def run(self, name: str = "job") -> CronRun:
        run = self.core.run(self.job(name), self.clock.now())
        self.turn()
        return run

    def cancel(self, run_id: str) -> CronRun:
        run = self.core.cancel(run_id, self.clock.now())
        self.turn()
        return run

    def drain(self, seconds: float) -> None:
        self.core.drain(self.clock.now(), seconds)
        self.turn()

    # ---- what runners do

    def live(self, number: int = -1) -> FakeRunner:
        return self.spawn.runners[number]

    def end(self, reason: Reason = Reason.OK, number: int = -1, **fields: Any) -> None:
        """The attempt that was spawned as this one ends; a turn follows."""
        request = self._over(number)
        words = {} if reason is Reason.OK else {"error": "It failed."}
        result = make_result(reason, request.run_id, request.attempt, **{**words, **fields})
        self.core.inbox.append(Gone(request.run_id, request.attempt, result))
        self.turn()

    def vanish(self, number: int = -1, fault: str = "The runner broke.") -> None:
        """It ends without a result."""
        request = self._over(number)
        self.core.inbox.append(Gone(request.run_id, request.attempt, None, fault))
        self.turn()

    def _over(self, number: int) -> ExecuteRequest:
        request = self.live(number).request
        self.dead.add((request.run_id, request.attempt))
        return request

    def leave_result(self, reason: Reason, number: int = -1) -> None:
        """Its result is on disk, and nobody hears of it any more."""
        request = self.live(number).request
        put_result(Path(request.log_dir), request.run_id, request.attempt, reason)

    # ---- what came of it

    def lines(self, name: str = "job") -> list[CronRun]:
        """Every record on disk, oldest first, read past the store."""
        path = self.runs.home.runs / f"{self.job_ids[name]}.jsonl"
        lines = path.read_text().splitlines()[1:] if path.exists() else []
        return [CronRun.model_validate_json(line) for line in lines]

    def stored(self, name: str = "job") -> list[CronRun]:
        """The newest record of each run, in the order in which the runs were first heard of."""
        newest: dict[str, CronRun] = {}
        for run in self.lines(name):
            newest[run.id] = run
        return list(newest.values())

    def ends(self, name: str = "job") -> list[str]:
        """How each stored run stands, in words, such as `completed` or `skipped overlap`."""
        return [
            f"{run.status.value} {run.reason.value}" if run.reason not in (None, Reason.OK) else run.status.value
            for run in self.stored(name)
        ]

    def attempts(self) -> list[tuple[str, int]]:
        return [(runner.request.run_id, runner.request.attempt) for runner in self.spawn.runners]

    def check_rules(self) -> None:
        """What holds whatever happened."""
        for name in self.job_ids:
            states: dict[str, Status] = {}
            for run in self.lines(name):
                before = states.get(run.id, run.status)
                assert run.status is before or run.status in ALLOWED[before], f"{run.id}: {before} -> {run.status}"
                states[run.id] = run.status
                assert run.status.final == (run.reason is not None)
                assert run.status is Status.COMPLETED or not run.status.final or run.error
            keys = [(run.scheduled_at, run.trigger) for run in self.stored(name) if run.trigger is not Trigger.MANUAL]
            assert len(keys) == len(set(keys))
        stored = {run.id: run for name in self.job_ids for run in self.stored(name)}
        assert [run for run in self.told if stored[run.id] != run] == []
        assert len(self.told) == len({run.id for run in self.told})

    # ---- the seams

    def _prepare(self, job: CronJob, run: CronRun, seconds_left: float) -> ExecuteRequest:
        if self.bad_definition:
            raise InvalidError(self.bad_definition)
        if self.no_directory:
            raise StoreError("The run's directory cannot be written.")
        limits = self.config.limits_for(JobType(job.type), seconds_left)
        log_dir = self.root / "logs" / run.id / str(run.attempt)
        return make_request(run.id, run.attempt, log_dir, job_id=job.id, limits=limits, caps=charge.left(run))

    def _check_claim(self, request: ExecuteRequest) -> None:
        """P1: what is about to be started is on disk as running, at this attempt, was never started before, and its
        earlier attempts are over."""
        path = self.runs.home.runs / f"{request.job_id}.jsonl"
        lines = [CronRun.model_validate_json(line) for line in path.read_text().splitlines()[1:]]
        claimed = [run for run in lines if run.id == request.run_id][-1]
        assert (claimed.status, claimed.attempt, claimed.retry_at) == (Status.RUNNING, request.attempt, None)
        assert (request.run_id, request.attempt) not in self.attempts()
        assert {one for one in self.attempts() if one[0] == request.run_id} <= self.dead


def play(line: Timeline, *events: Event) -> None:
    """Each event is (second, verb, arguments…), second 0 being noon and the verbs Timeline's methods, besides:

    `crash` (killed, and started again at once), `down` until a second, `full` and `room` of the disk, `nothing`.
    """
    for second, verb, *arguments in events:
        line.pass_by(second - (line.clock.wall - NOON).total_seconds())
        named = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
        if verb == "crash":
            line.open()
        elif verb == "down":
            line.sleep(arguments[0] - second)
            line.open()
        elif verb == "full":
            line.full = lambda _run: True
        elif verb == "room":
            line.full = lambda _run: False
        elif verb != "nothing":
            getattr(line, verb)(*arguments, **named)


def put_result(log_dir: Path, run_id: str, attempt: int, reason: Reason) -> None:
    """What a runner syncs to disk before it says it."""
    words = "" if reason is Reason.OK else "It failed."
    log_dir.mkdir(parents=True, exist_ok=True)
    result = asdict(make_result(reason, run_id, attempt, error=words, usage=USED))
    (log_dir / "result.json").write_text(json.dumps(result))
