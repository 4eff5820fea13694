"""All jobs, as `list` tells of them: without the models and without any history, wherever a note on it holds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from supervisor.cli import jobtable, render
from supervisor.reports.listed import Listed, read_all
from supervisor.reports.past import Past, noted
from supervisor.timing.occurrences import next_occurrence
from supervisor.vocabulary import NEVER

if TYPE_CHECKING:
    from supervisor.cli.place import Place
    from supervisor.models import CronJob


def show(place: Place, as_json: bool) -> None:
    """Print all there are, and beside them what cannot be read."""
    if as_json:
        _show_records(place)
        return
    found: Sequence[CronJob | Listed] | None = read_all(place.home.jobs)
    judged = found is None
    if found is None:
        found = place.jobs.list()
    now = place.now
    if found:
        pasts = noted(place.home, (job.id for job in found))
        read = [_read(place, job.id) if past is None else past for job, past in zip(found, pasts, strict=True)]
        jobtable.show([(job, _due(job, past, now), past) for job, past in zip(found, read, strict=True)], now)
    else:
        pasts = list[Past | None]()
        render.say("There are no jobs. Add one with: cronward add --every 1h --prompt TEXT")
    if judged or None in pasts:
        _warn(place)


def _show_records(place: Place) -> None:
    from supervisor.cli.page import current

    render.show_records([current(place, job) for job in place.jobs.list()])
    _warn(place)


def _read(place: Place, job_id: str) -> Past | None:
    """What the history itself says; None: it is damaged."""
    from supervisor.errors import StoreError
    from supervisor.reports.past import of

    try:
        return of(place.runs.summary(job_id), place.runs.live_of(job_id))
    except StoreError:
        return None


def _due(job: CronJob | Listed, past: Past | None, now: datetime) -> datetime:
    """A job whose history is damaged is not told to be due, nor is a paused one."""
    if past is None or not job.enabled:
        return NEVER
    return next_occurrence(job, now, past.runs) or NEVER


def _warn(place: Place) -> None:
    from supervisor.cli.page import warn_of_damage

    warn_of_damage(place)
