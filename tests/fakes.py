"""Stand-ins of a few lines for what a test does not want to be real."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from supervisor.errors import NotFoundError
from supervisor.models import CronJob, CronRun, Status, Trigger

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
        answers = {"status": {"running": 0}, "live": [], "stop": None, "find_runs": [make_run()]}
        runs = ("run_job", "cancel_run", "find_run")

        def ask(*given: Any) -> Any:
            self.asked.append((name, *given))
            if self.fails is not None:
                raise self.fails
            if name not in answers and name != "add_job" and given not in ((), ("morning",)):
                raise NotFoundError(f"There is no job or run {given[0]!r}.")
            return answers.get(name, make_run() if name in runs else self.job)

        return ask

    def list_jobs(self) -> list[CronJob]:
        return self.jobs
