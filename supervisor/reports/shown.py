"""A job as the original shows it: with what its runs say about it, and when it is due next."""

from __future__ import annotations

from datetime import datetime

from supervisor.errors import StoreError
from supervisor.models import NEVER, CronJob
from supervisor.stores.runs import RunsStore
from supervisor.stores.summary import Summary
from supervisor.timing.occurrences import next_occurrence


def with_runs(job: CronJob, runs: RunsStore, now: datetime) -> CronJob:
    """The job with what its history says. One that cannot be read is told as its last error: nothing is due then."""
    try:
        summary = runs.summary(job.id)
    except StoreError as error:
        unknown = {"last_run": NEVER, "last_error": str(error), "next_run": NEVER, "run_count": 0}
        return job.model_copy(update=unknown)
    return with_history(job, summary, now)


def with_history(job: CronJob, summary: Summary, now: datetime) -> CronJob:
    """The job with its derived fields. A paused job is never due."""
    due = next_occurrence(job, now, summary.run_count) if job.enabled else None
    return job.model_copy(
        update={
            "last_run": summary.last_run,
            "last_error": summary.last_error,
            "next_run": due or NEVER,
            "run_count": summary.run_count,
        }
    )
