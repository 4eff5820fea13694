"""The command that clears old logs and records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import render
from supervisor.cli.options import AsJson
from supervisor.cli.place import Place, place_of

if TYPE_CHECKING:
    from supervisor.stores.pruning import Pruned

_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(prune)


def prune(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: AsJson = False,
) -> None:
    """Clear old logs and records. Those that are older or larger than the configuration keeps; a supervisor does it
    each hour.

    \b
    Example: cronward prune --dry-run
    Example: cronward prune --dry-run --json | jq .bytes
    """
    place = place_of(ctx)
    found = _found(place)
    if not dry_run:
        with place.desk() as desk:
            done = desk.prune()
        if as_json:
            render.show_json(done)
        elif "pruning" in done:
            render.say(f"The supervisor clears it now: {_words(found)}")
        else:
            render.say(f"Cleared: {_words(found)}")
        return
    if as_json:
        render.show_json(found.record())
        return
    for gone in found.logs[:_SHOWN]:
        render.say(f"{gone.log.run_id}  {gone.log.bytes:>12} bytes: {gone.why}.")
    if len(found.logs) > _SHOWN:
        render.say(f"and {len(found.logs) - _SHOWN} more")
    render.say(f"Would go: {_words(found)}")


def _found(place: Place) -> Pruned:
    from supervisor.stores import pruning

    found = pruning.look(place.home, place.config, place.now, frozenset)
    for problem in found.problems:
        render.warn(problem)
    return found


def _words(found: Pruned) -> str:
    from supervisor.definitions.sizes import format_size

    logs, records = len(found.logs), found.records
    if not logs and not records:
        return "nothing."
    what = f"{logs} log{'s' * (logs != 1)} of {format_size(found.freed)}"
    return f"{what}, {records} old record{'s' * (records != 1)}."
