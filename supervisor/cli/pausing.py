"""Commands that keep a job from being due, or let it be again: pause, resume, remove."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import render
from supervisor.cli.jobs import told
from supervisor.cli.options import AsJson, JobRef
from supervisor.cli.place import Place, place_of

if TYPE_CHECKING:
    from supervisor.control.routes import Desk
    from supervisor.models import CronRun

Cancel = Annotated[bool, typer.Option("--cancel", help="End its live runs now.")]
Wait = Annotated[bool, typer.Option("--wait", help="Return when its live runs have ended.")]
_LEAVING = "It is removed when its live run has ended."


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(pause)
    app.command()(resume)
    app.command()(remove)


def pause(
    ctx: typer.Context,
    job: JobRef,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; shown with the job.", show_default=False)] = "",
    cancel: Cancel = False,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Pause a job: it is no longer due. A live run goes on, unless --cancel. Again: nothing more changes.

    \b
    Example: cronward pause morning --reason 'until the quota is back'
    Example: cronward pause morning --cancel --wait
    """
    place = place_of(ctx)
    with place.desk() as desk:
        # Asked before and after: a canceled run may be over before we ask again, and one may start before the pause.
        ending = live_runs(desk, place.jobs.find(job).id) if cancel else []
        done = desk.pause_job(job, reason, cancel)
        live = _union(ending, live_runs(desk, done.id))
    if wait:
        _wait(place, live)
    told(place, done.id, "Paused", as_json)
    if not as_json and not wait:
        _say_what_becomes(live, ended=cancel)


def resume(ctx: typer.Context, job: JobRef, as_json: AsJson = False) -> None:
    """Resume a paused job. What fell due meanwhile is not made up for.

    \b
    Example: cronward resume morning
    """
    place = place_of(ctx)
    with place.desk() as desk:
        done = desk.resume_job(job)
    told(place, done.id, "Resumed", as_json)


def remove(
    ctx: typer.Context, job: JobRef, cancel: Cancel = False, wait: Wait = False, as_json: AsJson = False
) -> None:
    """Remove a job; its history stays. Its live runs are ended, unless --wait alone lets them end first.

    \b
    Example: cronward remove morning
    Example: cronward remove morning --wait
    """
    place = place_of(ctx)
    with place.desk() as desk:
        found = place.jobs.find(job)
        live = live_runs(desk, found.id)
        if live and wait and not cancel:
            # Paused meanwhile, so that the run that is waited for is the last one.
            desk.pause_job(found.id, _LEAVING)
            _wait(place, live)
            live = []
        gone = desk.remove_job(found.id)
        live = _union(live, live_runs(desk, found.id))
    if wait:
        _wait(place, live)
    if as_json:
        render.show_record(gone)
        return
    render.say(f"Removed {gone.label} ({gone.id}).")
    if not wait:
        _say_what_becomes(live, ended=True)


def live_runs(desk: Desk, job_id: str) -> list[CronRun]:
    """The runs of a job that are not over; none where nothing keeps time."""
    from supervisor.errors import UnreachableError
    from supervisor.models import CronRun

    try:
        records = desk.live()
    except UnreachableError:
        return []
    runs = [CronRun.model_validate(record, strict=False) for record in records if record["job_id"] == job_id]
    return [run for run in runs if not run.status.final]


def _union(before: list[CronRun], after: list[CronRun]) -> list[CronRun]:
    return list({run.id: run for run in [*before, *after]}.values())


def _say_what_becomes(live: list[CronRun], *, ended: bool) -> None:
    for run in live:
        if ended:
            render.say(f"Its live run {run.id} is told to end. See: cronward logs -f {run.id[:8]}")
        else:
            render.say(f"Its live run {run.id} goes on. End it with: cronward cancel {run.id[:8]}")


def _wait(place: Place, live: list[CronRun]) -> None:
    from supervisor.cli.waiting import show_how, wait_for

    for run in live:
        show_how(wait_for(place, run))
