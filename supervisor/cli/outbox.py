"""Commands about notifications: what waits, what was told; try again, give up."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import render
from supervisor.cli.completion import complete_letters
from supervisor.cli.group import group
from supervisor.cli.options import AsJson
from supervisor.cli.place import place_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from supervisor.control.outboxdesk import DeliveryRecord

app = group("Notifications: what is to be told, and what became of it.")
Ref = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="The run's id, the beginning of one, or all.",
        show_default=False,
        autocompletion=complete_letters,
    ),
]
_SHOWN = 8
OVERDUE = timedelta(seconds=5)


@app.command("list")
def list_outbox(
    ctx: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also what was told.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the notifications that wait or came to nothing. Of URLs only the host is shown: the rest is often a secret.

    \b
    Example: cronward outbox list
    Example: cronward outbox list --all --json
    """
    from supervisor.control.outboxdesk import shown_records
    from supervisor.notifications.outbox import letters

    place = place_of(ctx)
    found = shown_records(letters(place.home), settled=every)
    if as_json:
        render.show_records(found)
    elif not found:
        render.say("Nothing is still to be told." if not every else "The outbox is empty.")
    else:
        _show(found, place.now)


@app.command()
def retry(ctx: typer.Context, run: Ref, as_json: AsJson = False) -> None:
    """Tell now what was not told. What waits, failed, expired or was dropped.

    \b
    Example: cronward outbox retry 3f2a
    Example: cronward outbox retry all
    """
    with place_of(ctx).desk() as desk:
        found = desk.outbox.retry(run)
    if as_json:
        render.show_records(found)
    else:
        render.say(f"{_count(found)} to be tried now, or when a supervisor runs." if found else "There is nothing.")


@app.command()
def drop(ctx: typer.Context, run: Ref, as_json: AsJson = False) -> None:
    """Give up what still waits; `retry` takes it up again.

    \b
    Example: cronward outbox drop 3f2a
    """
    with place_of(ctx).desk() as desk:
        found = desk.outbox.drop(run)
    if as_json:
        render.show_records(found)
    else:
        render.say(f"{_count(found)} dropped." if found else "There is nothing.")


def facts(records: Sequence[DeliveryRecord], now: datetime) -> Iterator[tuple[str, render.Cell | str]]:
    """What became of a run's notifications, for its page."""
    if records:
        yield "told", "\n".join(f"{each.channel.value} {each.to}: {_standing(each, now).text}" for each in records)


def _show(found: Sequence[DeliveryRecord], now: datetime) -> None:
    from supervisor.cli.times import relative

    columns = (
        render.Column("RUN"),
        render.Column("JOB", shrinks=True),
        render.Column("OF", needs=90),
        render.Column("TO", shrinks=True, least=12),
        render.Column("SINCE", needs=80),
        render.Column("TRIES", right=True, needs=80),
        render.Column("STATE", shrinks=True, least=20),
    )
    whole = not render.on_terminal()
    rows: list[list[render.Cell | str]] = [
        [
            each.run_id if whole else each.run_id[:_SHOWN],
            each.job_name or each.job_id[:_SHOWN],
            each.status.value,
            f"{each.channel.value} {each.to}",
            relative(each.owed_since, now),
            str(each.tries),
            _standing(each, now),
        ]
        for each in found
    ]
    render.show_table(columns, rows)
    if any(each.next_at is not None and now - each.next_at > OVERDUE for each in found):
        render.warn(
            "What is overdue waits for a supervisor, or for its receiver, which rests after a failure. To ask it at "
            "once: cronward outbox retry RUN"
        )


def _standing(each: DeliveryRecord, now: datetime) -> render.Cell:
    from supervisor.cli.times import relative

    if each.next_at is not None:
        if now - each.next_at > OVERDUE:
            when = f"due {relative(each.next_at, now)}"
        else:
            when = f"next try {'now' if each.next_at <= now else relative(each.next_at, now)}"
        return render.Cell(f"{when}{f': {each.error}' if each.error else ''}", "yellow")
    at = f" {relative(each.settled_at, now)}" if each.settled_at else ""
    style: render.Style = "green" if each.state.value == "delivered" else "red"
    return render.Cell(f"{each.state.value}{at}{f': {each.error}' if each.error else ''}", style)


def _count(found: Sequence[DeliveryRecord]) -> str:
    return f"{len(found)} notification{'s' * (len(found) != 1)}"
