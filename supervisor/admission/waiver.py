"""Whether a run of which nobody knows how it ended may be tried again: only where its owner waived "at most once"."""

from __future__ import annotations

from datetime import datetime, timedelta

from supervisor.budgets import charge
from supervisor.errors import InvalidError
from supervisor.models import CronJob, CronRun, Trigger
from supervisor.status import Status
from supervisor.stores.host import Host
from supervisor.timing.occurrences import last_start

AGAIN = "The supervisor died while it ran, and nobody knows how it ended; it is tried again (rerun_unknown)."


def why_not(job: CronJob, run: CronRun, host: Host, now: datetime) -> str | None:
    """Why this run is not tried again, in a sentence; None: it is.

    `run` is as it stood on disk when its supervisor had died, and nothing of its runner lives on this host.
    """
    if not job.rerun_unknown or run.status is not Status.RUNNING:
        return "It is not run again by itself."
    if run.host != host.name:  # whatever lives there cannot be seen from here
        return f"It is not run again, since it ran on {run.host or 'another host'}, and this is {host.name}."
    if not job.enabled and run.trigger is not Trigger.MANUAL:
        return "It is not run again, since its job is paused."
    if run.retry_count >= job.retries:
        return f"It is not run again: {run.retry_count} of {job.retries} retries were made."
    if charge.used_up(run) is not None:
        return "It is not run again, since nobody knows how much of its cap it has used."
    if now >= run.started_at + timedelta(seconds=job.timeout_seconds + run.rested_secs):
        return "It is not run again, since its time is over."
    return _too_late(job, run, now)


def _too_late(job: CronJob, run: CronRun, now: datetime) -> str | None:
    if run.trigger is Trigger.MANUAL:
        return None
    try:
        latest = last_start(job, run.scheduled_at)
    except InvalidError as error:  # a definition that somebody changed by hand
        return f"It is not run again: {error}"
    return "It is not run again, since its grace is over." if now > latest else None
