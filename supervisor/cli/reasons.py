"""The command that explains: why a job did, does or does not run."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import typer

from supervisor.cli import render
from supervisor.cli.options import AsJson, JobRef
from supervisor.cli.place import Place, place_of

if TYPE_CHECKING:
    from supervisor.budgets.budget import Standing
    from supervisor.models import CronJob
    from supervisor.reports.why import Known

_RUNS = 5


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(why)


def why(ctx: typer.Context, job: JobRef, as_json: AsJson = False) -> None:
    """Say why a job did, does or does not run. And when it is due next.

    \b
    Example: cronward why morning
    Example: cronward why morning --json | jq -r '.reasons[]'
    """
    from supervisor.cli import page, upcoming
    from supervisor.errors import InvalidError
    from supervisor.reports.why import next_times, reasons_of

    place = place_of(ctx)
    known = _known(place, place.jobs.find(job))
    reasons = reasons_of(known)
    try:
        due = next_times(known)
    except InvalidError:  # one of the reasons says so
        due = []
    if as_json:
        runs = [run.model_dump(mode="json") for run in known.runs]
        times = upcoming.pairs(due, known.job.timezone)
        render.show_json({"job_id": known.job.id, "reasons": reasons, "next": times, "runs": runs})
        return
    for reason in reasons:
        render.say(reason)
    if due:
        render.say("")
        upcoming.show_times(due, known.job.timezone, known.now)
    if known.runs:
        render.say("")
        page.show_runs(place, known.runs)


def _known(place: Place, job: CronJob) -> Known:
    from supervisor.budgets.budget import Over, fits
    from supervisor.budgets.metering import meter_of
    from supervisor.budgets.purse import own_caps
    from supervisor.errors import UnreachableError
    from supervisor.models import CronRun
    from supervisor.reports.why import Known, Queued

    status: dict[str, Any] = {}
    records: list[dict[str, Any]] = []
    with contextlib.suppress(UnreachableError):
        status, records = place.client.status(), place.client.live()
    queue = [
        Queued(waiting["run_id"], number, waiting["why"])
        for number, waiting in enumerate(status.get("queue", ()), 1)
        if waiting["job_id"] == job.id
    ]
    budgets = _budgets(place, job)
    found = fits(budgets, own_caps(job), meter_of(job, place.config.agents_dir))
    live = [CronRun.model_validate(record, strict=False) for record in records if record["job_id"] == job.id]
    return Known(
        job=job,
        summary=place.runs.summary(job.id),
        runs=tuple(place.runs.get_runs(job.id, _RUNS)),
        now=place.now.astimezone(),
        keeping_time=bool(status),
        stopping=bool(status.get("stopping")),
        live=tuple(live),
        queue=tuple(queue),
        running=int(status.get("running", 0)),
        max_concurrent=int(status.get("max_concurrent", 0)),
        budgets=budgets,
        over=found if isinstance(found, Over) else None,
        meter=meter_of(job, place.config.agents_dir),
    )


def _budgets(place: Place, job: CronJob) -> tuple[Standing, ...]:
    """How the budgets stand that its runs count for, by what is on disk."""
    from supervisor.budgets.purse import budgets_of, standings
    from supervisor.timing.hostzone import host_zone

    if not (budgets_of(job).any or place.config.budget.any):
        return ()
    live = place.runs.unfinished()
    return tuple(standings((job, None), place.config.budget, place.runs, live, place.now, host_zone()))
