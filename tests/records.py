"""Runs of one job, a minute apart, and where they lie."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from supervisor.models import CronRun, Trigger
from supervisor.status import Status
from supervisor.stores.home import Home
from tests.fakes import NOON, make_run

JOB = make_run().job_id
MINUTE = timedelta(minutes=1)


def run_of(number: int, status: Status = Status.COMPLETED, **fields: Any) -> CronRun:
    at = NOON + number * MINUTE
    started = {} if status in (Status.QUEUED, Status.SKIPPED) else {"started_at": at}
    facts = {"scheduled_at": at, "trigger": Trigger.SCHEDULE, **started, **fields}
    return make_run(id=f"run-{number:04}", status=status, **facts)


def ids(runs: list[CronRun]) -> list[str]:
    return [run.id for run in runs]


def file_of(home: Home, job_id: str = JOB) -> Path:
    return home.runs / f"{job_id}.jsonl"
