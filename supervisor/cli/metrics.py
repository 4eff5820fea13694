"""The command metrics: the stores and the live supervisor, as Prometheus reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer

from supervisor.cli import render
from supervisor.cli.options import AsJson
from supervisor.cli.place import Place, place_of

if TYPE_CHECKING:
    from supervisor.models import CronJob
    from supervisor.reports.exposition import Family
    from supervisor.reports.metrics import Measured


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(metrics)


def metrics(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Print measurements in Prometheus's text format. Due, started, ended, lateness, queue, durations, cost.

    A supervisor is not needed; without one cronward_up is 0, and the queue is left out.

    \b
    Example: cronward metrics > cronward.prom
    """
    from supervisor.reports.exposition import lines

    found = list(_families(place_of(ctx)))
    if as_json:
        render.show_json([family.record() for family in found])
    else:
        render.show_lines(lines(found))


def _families(place: Place) -> Iterator[Family]:
    from supervisor.reports.metrics import families
    from supervisor.stores import lastsign

    jobs = place.jobs.list()
    live = _live(place)
    sign: datetime | None
    if live is not None:
        sign = place.now
    else:
        last = lastsign.of(place.home)
        sign = None if last is None else last.at
    return families(jobs, _measured(place, {job.id: job for job in jobs}), live, sign)


def _live(place: Place) -> dict[str, Any] | None:
    from supervisor.errors import UnreachableError

    try:
        return place.client.status()
    except UnreachableError:  # one that does not answer keeps no time either
        return None


def _measured(place: Place, jobs: Mapping[str, CronJob]) -> Iterator[Measured]:
    from supervisor.errors import StoreError
    from supervisor.reports.metrics import Measured

    unfinished = Counter(run.job_id for run in place.runs.unfinished())
    for job_id in sorted({*jobs, *place.runs.job_ids()}):
        try:
            summary = place.runs.summary(job_id)
        except StoreError as error:
            render.warn(str(error))
            continue
        yield Measured(job_id, jobs.get(job_id), summary, unfinished[job_id])
