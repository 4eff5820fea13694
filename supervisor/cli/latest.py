"""How the last run of each job ended, or goes on, out of the ends of the histories: what a list on a screen needs."""

from __future__ import annotations

from datetime import datetime

from supervisor.cli.place import Place
from supervisor.models import NEVER, CronJob
from supervisor.recent import Recent
from supervisor.shown import with_history, with_runs
from supervisor.summary import NOTHING, Summary


def summaries(place: Place, now: datetime) -> dict[str, Summary | None]:
    """By the id of the job; None where its history cannot be read. Only how the last run ended, or that it
    goes on, is in them."""
    found: dict[str, Summary | None] = {each.job_id: _summary(each) for each in place.runs.recent(now)}
    damaged = {damage.path.name.removesuffix(".jsonl") for damage in place.runs.damaged}
    return found | dict.fromkeys(damaged - set(found))


def with_next(place: Place, job: CronJob, now: datetime) -> CronJob:
    """The job with when it is due; its history is read only where how often it ran decides that."""
    return with_history(job, NOTHING, now) if job.max_runs is None else with_runs(job, place.runs, now)


def _summary(recent: Recent) -> Summary:
    live = next((run for run in recent.runs if not run.status.final), None)
    run = live or recent.newest_ended
    if run is None:
        return NOTHING
    began = run.scheduled_at if run.started_at == NEVER else run.started_at
    return Summary(last_run=began, last_end=run.finished_at, last_status=run.status, last_reason=run.reason)
