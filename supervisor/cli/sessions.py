"""Commands about conversations that go on from run to run: list them, have them begin anew."""

from __future__ import annotations

from typing import Annotated

import typer

from supervisor.cli import render
from supervisor.cli.completion import complete_sessions
from supervisor.cli.group import group
from supervisor.cli.options import AsJson, JobRef, OneJob
from supervisor.cli.place import place_of

app = group("Conversations that go on from run to run (--session-key).")


@app.command("list")
def list_sessions(ctx: typer.Context, job: OneJob = None, as_json: AsJson = False) -> None:
    """List the conversations that are kept. And whether the next run goes on with them.

    \b
    Example: cronward sessions list
    Example: cronward sessions list standup --json
    """
    from supervisor.cli.times import stamp
    from supervisor.control.sessiondesk import SessionDesk
    from supervisor.definitions.sizes import format_size

    place = place_of(ctx)
    found = SessionDesk(place.home, place.jobs).list(job)
    if as_json:
        render.show_records(found)
        return
    if not found:
        render.say("No conversation is kept. A job goes on with one where it has a session key: --session-key")
        return
    columns = [render.Column(title) for title in ("JOB", "KEY", "AGENT", "RUNS", "SIZE", "SAVED")]
    rows = [
        [
            each.job,
            each.key,
            each.agent,
            str(each.runs),
            format_size(each.bytes),
            stamp(each.saved_at),
            _next(each.anew),
        ]
        for each in found
    ]
    render.show_table([*columns, render.Column("NEXT RUN", shrinks=True)], rows)


@app.command()
def reset(
    ctx: typer.Context,
    job: JobRef,
    key: Annotated[
        str | None,
        typer.Option(metavar="KEY", help="This conversation alone.", autocompletion=complete_sessions),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Forget the conversations of a job: its next run begins a new one. Refused while a run of it goes on.

    \b
    Example: cronward sessions reset standup
    """
    with place_of(ctx).desk() as desk:
        gone = desk.sessions.reset(job, key)
    if as_json:
        render.show_records(gone)
    elif gone:
        render.say(f"Forgot: {', '.join(each.key for each in gone)}. The next run begins anew.")
    else:
        render.say("There was nothing to forget.")


def _next(anew: str) -> render.Cell | str:
    return render.Cell(f"begins anew: {anew}", "yellow") if anew else "goes on"
