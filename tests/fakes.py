"""Stand-ins of a few lines for what a test does not want to be real."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from shared.messages import AgentSpec, Cell, ExecuteRequest, ExecuteResult
from shared.reasons import Reason
from supervisor.config import Config
from supervisor.errors import NotFoundError, StoreError
from supervisor.models import CronJob, CronRun, JobType, Trigger
from supervisor.spawning.launcher import SpawnError
from supervisor.status import Status
from supervisor.stores.runs import RunsStore
from supervisor.timing.clock import Moment

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def make_job(**fields: Any) -> CronJob:
    return CronJob.model_validate(
        {"id": "11111111-0000-4000-8000-000000000001", "cron_expr": "0 7 * * *", "prompt": "Say hello.", **fields}
    )


def make_run(**fields: Any) -> CronRun:
    known = {"id": "99999999-0000-4000-8000-000000000001", "job_id": make_job().id, "status": Status.QUEUED}
    return CronRun.model_validate({**known, "trigger": Trigger.MANUAL, "scheduled_at": NOON, **fields})


@dataclass
class FakeDesk:
    """A desk with one job called "morning", that notes what it was asked."""

    asked: list[tuple[Any, ...]] = field(default_factory=list)
    job: CronJob = field(default_factory=lambda: make_job(name="morning"))
    jobs: list[CronJob] = field(default_factory=list)
    fails: BaseException | None = None

    def __getattr__(self, name: str) -> Any:
        answers = {
            "status": {"running": 0},
            "live": [],
            "stop": None,
            "reload": ["history"],
            "prune": {"pruning": True},
            "find_runs": [make_run()],
        }
        runs = ("run_job", "cancel_run", "find_run")

        def ask(*given: Any) -> Any:
            self.asked.append((name, *given))
            if self.fails is not None:
                raise self.fails
            if name not in answers and name != "add_job" and given[:1] not in ((), ("morning",)):
                raise NotFoundError(f"There is no job or run {given[0]!r}.")
            return answers.get(name, make_run() if name in runs else self.job)

        return ask

    def list_jobs(self) -> list[CronJob]:
        return self.jobs


def make_request(run_id: str, attempt: int, log_dir: Path, **fields: Any) -> ExecuteRequest:
    ours = {"run_id": run_id, "attempt": attempt, "log_dir": str(log_dir), "session_id": run_id}
    return ExecuteRequest(**{**_ordinary(), **ours, **fields})


@cache
def _ordinary() -> dict[str, Any]:
    return {
        "job_id": make_job().id,
        "prompt": "Say hello.",
        "agent": AgentSpec(name="command", argv=("true",)),
        "cell": Cell(),
        "limits": Config().limits_for(JobType.LIGHT, 60.0),
    }


def make_result(reason: Reason = Reason.OK, run_id: str = "", attempt: int = 1, **fields: Any) -> ExecuteResult:
    return ExecuteResult(run_id=run_id or make_run().id, attempt=attempt, reason=reason, **fields)


@dataclass
class FakeClock:
    """Stands still until it is moved."""

    wall: datetime = NOON
    mono: float = 1000.0

    def now(self) -> Moment:
        return Moment(self.wall, self.mono)

    def pass_by(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.mono += seconds


@dataclass
class FakeRunner:
    """A live attempt that notes what it is told and does nothing of itself."""

    request: ExecuteRequest
    pid: int = 4711
    told: list[Reason] = field(default_factory=list)
    kills: int = 0

    def stop(self, reason: Reason) -> None:
        self.told.append(reason)

    def kill(self) -> None:
        self.kills += 1


@dataclass
class FakeSpawn:
    """Starts FakeRunners. `check` is called first, as the place to look at the disk as it is at that instant."""

    check: Callable[[ExecuteRequest], None] = lambda _request: None
    fails: str = ""
    runners: list[FakeRunner] = field(default_factory=list)
    slugs: list[str] = field(default_factory=list)

    def __call__(self, request: ExecuteRequest, slug: str) -> FakeRunner:
        self.check(request)
        self.slugs.append(slug)
        if self.fails:
            raise SpawnError(self.fails)
        self.runners.append(FakeRunner(request))
        return self.runners[-1]


class FullRunsStore(RunsStore):
    """A disk that is full whenever `full` says so of what is to be written."""

    full: Callable[[CronRun], bool] = staticmethod(lambda _run: False)

    def record(self, run: CronRun) -> None:
        if self.full(run):
            raise StoreError(f"{self.home.runs} cannot be written: No space left on device.")
        super().record(run)
