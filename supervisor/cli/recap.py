"""The command that says what happened while nobody looked, and `cronward` alone, which is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import render
from supervisor.cli.options import AsJson
from supervisor.cli.place import Place, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from supervisor.models import CronJob, CronRun
    from supervisor.reports.recap import Recap
    from supervisor.stores.looked import Look

BEGIN = """\
cronward runs AI agents on a schedule, each run in a cell of its own.

Nothing is set up here yet. To begin:
  cronward doctor                                             is all in order?
  cronward supervise --ensure                                 keep time
  cronward add --name hello --every 1h --prompt 'Say hello.'  a first job
  cronward run hello --wait                                   try it at once
  cronward service install                                    keep time at boot

All commands: cronward --help
"""


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(recap)


def recap(
    ctx: typer.Context,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="From then on: 8h, 7d, or like --at. Default: your last look.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what happened since you last looked. Also what needs you, and what is due next; `cronward` alone does the
    same.

    On a terminal, and without --since and --json, it is noted that you have looked.

    \b
    Example: cronward recap
    Example: cronward recap --since 8h
    Example: cronward recap --json | jq '.needs[].command'
    """
    from supervisor.cli.instant import parse_since

    place = place_of(ctx)
    now = place.now
    show(place, now, None if since is None else parse_since(since, now), as_json)


def alone(ctx: typer.Context) -> None:
    """What the program does when no command is named: how to begin where there is nothing to show."""
    place = place_of(ctx)
    if place.jobs.list() or place.jobs.damaged or place.runs.job_ids():
        show(place, place.now, None, as_json=False)
        return
    typer.echo(BEGIN.rstrip())


def show(place: Place, now: datetime, since: datetime | None, as_json: bool) -> None:
    """The screen, or its JSON; then the look is noted."""
    from supervisor.cli import recapped
    from supervisor.stores import looked

    look = looked.look(looked.read(place.home), now)
    found = gathered(place, now, look.since if since is None else since)
    if as_json:
        render.show_json(recapped.record(place, found))
        return
    recapped.show(place, found, _opening(look, now) if since is None else None)
    if since is None and render.on_terminal() and place.home.root.is_dir():
        _note(place, look)


def gathered(place: Place, now: datetime, since: datetime) -> Recap:
    """What is on disk of that time, and what goes on by the supervisor's word, if one answers."""
    from supervisor.notifications.outbox import given_up
    from supervisor.reports.recap import Known, recap

    live, trouble = _live(place)
    recent = list(place.runs.recent(since))
    jobs = [_counted(place, job) for job in place.jobs.list()]
    asleep = _asleep(place, now) if live is None else ""
    return recap(Known(jobs, recent, since, now, live, trouble, asleep, given_up(place.home, since)))


def _live(place: Place) -> tuple[Sequence[CronRun] | None, str]:
    from supervisor.control.client import NotRunningError
    from supervisor.errors import UnreachableError
    from supervisor.models import CronRun

    try:
        return [CronRun.model_validate(record, strict=False) for record in place.client.live()], ""
    except NotRunningError:
        return None, ""
    except UnreachableError as error:
        return None, str(error)


def _asleep(place: Place, now: datetime) -> str:
    """That nothing keeps time, and since when, where that is known."""
    from supervisor.cli.times import clock, relative
    from supervisor.stores import lastsign

    sign = lastsign.of(place.home)
    if sign is None:
        return "Nothing has ever kept time here, so no job starts."
    at = min(sign.at, now)
    killed = "" if sign.orderly else "; what did was killed"
    return f"Nothing has kept time here since {clock(at, now)}, {relative(at, now)}{killed}: no job starts."


def _counted(place: Place, job: CronJob) -> CronJob:
    """With how often it ran, where that decides whether it is due: only then its whole history is read."""
    from supervisor.reports.shown import with_runs

    return job if job.max_runs is None else with_runs(job, place.runs, place.now)


def _opening(look: Look, now: datetime) -> str:
    from supervisor.cli.times import relative

    return "In the last 24 h" if look.first else f"Since you last looked, {relative(look.since, now)}"


def _note(place: Place, look: Look) -> None:
    from supervisor.errors import StoreError
    from supervisor.stores import looked

    try:
        looked.note(place.home, look)
    except StoreError as error:
        render.warn(f"That you have looked is not noted: {error}")
