"""One simulated host: the real scheduling core and stores, a clock moved by hand, a disk that fails, mortal runners.

The loop's part is played exactly: a turn comes when the last one asked for it, when news arrive, after each request.
Nothing else ever calls the core, so a turn that is not asked for is never made up for.
"""

from __future__ import annotations

import itertools
import json
import logging
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from shared.messages import ExecuteRequest, Ready
from supervisor.admission import gate
from supervisor.admission.waiting import Waiting
from supervisor.budgets import charge
from supervisor.budgets.budget import Meter
from supervisor.budgets.purse import Purse
from supervisor.config import Config
from supervisor.errors import CronwardError, InvalidError, StoreError
from supervisor.models import CronJob, CronRun, JobType
from supervisor.scheduler import Scheduler, Wake
from supervisor.spawning.launcher import Gone, SpawnError, Spoke
from supervisor.spawning.liveruns import SAVE_AGAIN, LiveRunner
from supervisor.spawning.recovery import recover
from supervisor.stores.host import Host
from supervisor.stores.jobs import CronStore
from supervisor.stores.lock import HomeLock
from supervisor.stores.runs import RunsStore
from tests.fakes import FakeClock, make_request, make_result
from tests.simulation.actors import SimRunner, new_runner
from tests.simulation.disk import Crash, SimDisk
from tests.simulation.ledger import DAY, Ledger, must

HOST = Host("house", "boot-1")
METERS = {"claude": Meter(tokens=True, cost=True, turns=True), "codex": Meter(tokens=True)}
SLACK = timedelta(seconds=1)
TURNS = 3_000
SILENT = logging.getLogger("cronward.simulation")
SILENT.propagate, SILENT.disabled = False, True


class World:
    """`run` is what people and the host do to it; `ledger` holds everything to the promises."""

    def __init__(self, root: Path, rng: Random, start: datetime, keep: int = 100) -> None:
        self.root, self.rng, self.keep = root, rng, keep
        self.jobs: dict[str, CronJob] = {}
        self.clock = FakeClock(start)
        self.ledger = Ledger()
        self.disk = SimDisk(rng, self.ledger.stored, self._redefined)
        self.zone = ZoneInfo(rng.choice(("UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York")))
        self.config = Config(max_concurrent=rng.choice((1, 2, 4)), disable_after_failures=0)
        self.ledger.accounts.zone, self.ledger.accounts.jobs = self.zone, self.jobs
        self.told: set[str] = set()
        self.busy, self.refuses = "", 0.03
        self.trouble_ends = float("inf")
        """When, monotonic, the disk has room again and the host is not busy: nobody polls for days here."""
        self.down = False
        self.ill_until = 0.0
        """Until then, monotonic, nobody may expect that all is seen to."""
        self._numbers = itertools.count(1)
        self.lock = HomeLock(CronStore(root).home)
        self.lock.acquire(1.0)
        self.open()

    # ---- the life of the supervisor

    def new_core(self) -> Scheduler:
        """A supervisor's core over what is on disk."""
        return Scheduler(
            CronStore(self.root, disk=self.disk),
            RunsStore(self.root, keep=self.keep, disk=self.disk),
            self.config,
            HOST,
            new_id=lambda: f"{next(self._numbers):08}-run",
            prepare=self._prepare,
            spawn=self._spawn,
            told_end=lambda _job, run: self._heard_end(run),
            host_busy=lambda: self.busy,
            purse=Purse(lambda: self.zone, lambda job, _folder: METERS[job.agent]),
            logger=SILENT,
            cpus=1,
        )

    def open(self) -> None:
        """Start one, as after a kill; it may be killed while it starts, and is started again."""
        self.down, self.ill_until = False, self.clock.mono + SAVE_AGAIN + 1
        while True:
            self.core = self.new_core()
            try:
                self._must_agree()
                recover(self.core, self.clock.now())
                self.core.load(self.clock.wall)
                self.turn()
            except Crash:
                self._everything_dies()
            except StoreError:  # it does not start on a full disk, and is started when there is room
                self.disk.full = False
            else:
                return

    def kill(self) -> None:
        """The supervisor is dead, and all its runners with it."""
        self._everything_dies()
        self.down = True

    def _everything_dies(self) -> None:
        """A runner may have synced its result before; one that had ended has, whether anybody heard of it or not."""
        for (run_id, attempt), runner in self.ledger.runners.items():
            if not runner.alive and self.ledger.records[run_id]["status"] not in ("running", "stopping"):
                continue
            ended = not runner.alive or self.rng.random() < 0.2
            runner.alive = False
            record = self.ledger.records[run_id]
            if record["attempt"] == attempt and record["retry_at"] is None:
                result = runner.result if ended else None
                self.ledger.died_with[run_id] = result
                runner.result = result
                if result is not None:
                    self._leave_result(runner)
        self.ledger.supervisor_died()

    def _leave_result(self, runner: SimRunner) -> None:
        folder = Path(runner.request.log_dir)
        folder.mkdir(parents=True, exist_ok=True)
        assert runner.result is not None
        said = {**runner.said, "retry_after_seconds": None}
        (folder / "result.json").write_text(json.dumps(asdict(make_result(runner.result, *runner.key, **said))))

    def _must_agree(self) -> None:
        """What is on disk is what was answered: no definition lost, torn, changed or come back."""
        found = {job.id: job for job in self.core.jobs.list()}
        must(not self.core.jobs.damaged, "P9", f"damaged: {self.core.jobs.damaged}")
        for job_id in {*found, *self.jobs}:
            same = found.get(job_id) == self.jobs.get(job_id)
            must(same, "P9", f"the definition of {job_id} is not what was stored")

    def _redefined(self, path: Path) -> None:
        """A definition from the future may be dated anew, once somebody set the clock back."""
        known = self.jobs.get(path.stem)
        if path.suffix != ".json" or known is None:
            return
        changed_at = datetime.fromisoformat(json.loads(path.read_bytes())["changed_at"])
        if changed_at < known.changed_at - DAY:
            self.jobs[known.id] = known.model_copy(update={"changed_at": changed_at})
            self.ledger.redated(self.jobs[known.id])

    # ---- time

    def turn(self) -> Wake:
        """One turn of the core."""
        self.wake = self.core.tick(self.clock.now())
        return self.wake

    def pass_by(self, seconds: float) -> None:
        """Let time pass: runners end, and the core is called when it asked for it."""
        end = self.clock.mono + seconds
        for _ in range(TURNS + 10 * len(self.jobs)):
            left = min(self._until_wake(), self._until_news())
            if self.clock.mono + left > end:
                self.clock.pass_by(max(0.0, end - self.clock.mono))
                return
            self.clock.pass_by(left)
            if left > 0:  # else it is in the midst of a herd, of which it takes so many a turn
                self.check()  # before the turn, which would make up for one that nobody asked for
            self.guarded(self._hear)
        raise AssertionError(f"the core spins: {TURNS} turns, the last asked for {self.wake}")

    def guarded(self, act: Any, *given: Any) -> None:
        """Do it; if the supervisor is killed meanwhile, start it again after a while."""
        try:
            act(*given)
        except Crash:
            self.kill()
            self.clock.pass_by(self.rng.choice((0.0, 5.0, 3600.0)))
            self.open()

    def begin_trouble(self) -> None:
        """The disk is full or the host busy, for some minutes."""
        self.trouble_ends = self.clock.mono + self.rng.choice((5.0, 60.0, 400.0))

    def end_trouble(self) -> None:
        """Both are well again."""
        if self.disk.full:
            self.ill_until = self.clock.mono + SAVE_AGAIN + 1
        self.disk.full, self.busy, self.trouble_ends = False, "", float("inf")

    def check(self) -> None:
        """What was due is seen to, as far as anybody could."""
        if self.disk.full:
            self.ill_until = self.clock.mono + SAVE_AGAIN + 1
        if not self.down and not self.core.draining and self.clock.mono > self.ill_until:
            self.ledger.attended(self.clock.wall, SLACK)

    def _hear(self) -> None:
        if self.clock.mono >= self.trouble_ends:
            self.end_trouble()
        ready = [runner for runner in self._living() if runner.becomes_ready()]
        self.core.inbox.extend(Spoke(*runner.key, Ready(pid=runner.pid)) for runner in ready)
        for runner in self._ended():
            runner.alive = False
            run_id, attempt = runner.key
            result = None if runner.result is None else make_result(runner.result, run_id, attempt, **runner.said)
            self.ledger.heard_end(runner, self.clock.mono)
            self.core.inbox.append(Gone(run_id, attempt, result, "" if result else "The runner broke."))
        self.turn()

    def _living(self) -> list[SimRunner]:
        return self.ledger.alive()

    def _ended(self) -> list[SimRunner]:
        return [runner for runner in self._living() if runner.ends_at <= self.clock.mono]

    def _until_news(self) -> float:
        return min((max(0.0, runner.ends_at - self.clock.mono) for runner in self._living()), default=float("inf"))

    def _until_wake(self) -> float:
        wall, mono = self.wake.wall, self.wake.mono
        waits = [] if wall is None else [(wall - self.clock.wall).total_seconds()]
        waits += [] if mono is None else [mono - self.clock.mono]
        return max(0.0, min(waits, default=float("inf")))

    # ---- what people ask for

    def ask(self, request: Any, *given: Any) -> Any:
        """A request of somebody's, and the turn that follows it. What is refused has changed nothing."""
        try:
            answer = request(*given)
        except CronwardError:
            answer = None
        self.turn()
        return answer

    def change(self, job_id: str, after: CronJob | None, act: Any, *given: Any) -> None:
        """Change a definition to `after` (None: remove it) by `act`. A kill leaves the one or the other."""
        before = self.jobs.get(job_id)
        try:
            act(self.core, *given)
        except CronwardError:
            pass  # as if it had not been asked for
        except Crash:
            self._know(job_id, self._on_disk(job_id, before, after))
            raise
        else:
            self._know(job_id, after)
        self.turn()

    def _on_disk(self, job_id: str, before: CronJob | None, after: CronJob | None) -> CronJob | None:
        store = CronStore(self.root)
        found = next((job for job in store.list() if job.id == job_id), None)
        must(not store.damaged, "P9", f"damaged: {store.damaged}")
        must(found in (before, after), "P9", f"the definition of {job_id} is neither the old nor the new one")
        return found

    def _know(self, job_id: str, job: CronJob | None) -> None:
        before = self.jobs.pop(job_id, None)
        if job is not None:
            self.jobs[job_id] = job
        if before is not None and job is not None and owes_alike(before, job):
            if job.enabled:
                self.ledger.spans[job_id][-1].job = job
            return
        self.ledger.end(job_id, self.clock.wall)
        if job is not None and job.enabled:
            self.ledger.begin(job, self.clock.wall)

    # ---- the seams of the core

    def _prepare(self, job: CronJob, run: CronRun, seconds_left: float) -> ExecuteRequest:
        if self.rng.random() < 0.01:
            raise InvalidError("The work directory is gone.")
        limits = self.config.limits_for(JobType(job.type), seconds_left)
        log_dir = self.root / "logs" / run.id / str(run.attempt)
        return make_request(run.id, run.attempt, log_dir, job_id=job.id, limits=limits, caps=charge.left(run))

    def _spawn(self, request: ExecuteRequest, slug: str) -> LiveRunner:
        hurried = [each for each in self._living() if not each.ready and self.clock.mono < each.began + gate.SECONDS]
        must(len(hurried) < self.config.starting(1), "gate", f"{request.run_id} is one too many that start at once")
        runner = new_runner(request, self.rng, lambda: self.clock.mono)
        self.ledger.started(runner, self.jobs.get(request.job_id), self.config.max_concurrent, self.clock.mono)
        must(not self.core.draining, "drain", f"{request.run_id} was started during a drain")
        if self.rng.random() < self.refuses:
            runner.alive, runner.result, runner.refused = False, None, True
            raise SpawnError("No process can be made.")
        return runner

    def _heard_end(self, run: CronRun) -> None:
        stored = self.ledger.records.get(run.id)
        must(stored and stored["status"] == run.status.value, "P11", f"{run.id}: told before stored")
        must(run.id not in self.told, "P11", f"{run.id}: told twice")
        self.told.add(run.id)

    def waiting(self) -> list[Waiting]:
        return list(self.core.waiting)


def owes_alike(before: CronJob, after: CronJob) -> bool:
    """Whether a change leaves what is owed as it was."""
    return before.enabled and after.enabled and before.changed_at == after.changed_at
