"""The command that tries a target before somebody relies on it."""

from __future__ import annotations

from typing import Annotated

import typer

from supervisor.cli import render
from supervisor.cli.completion import complete_targets
from supervisor.cli.group import group
from supervisor.cli.options import AsJson
from supervisor.cli.place import place_of

app = group("Who is told: [notify.targets.NAME] of the configuration.")


@app.command("test")
def try_target(
    ctx: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="As the configuration names it.",
            show_default=False,
            autocompletion=complete_targets,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Tell a target that this is a test: once, now, from here. Exit code 1 where it could not be told.

    \b
    Example: cronward notify test phone
    """
    import logging

    from supervisor.errors import NotFoundError
    from supervisor.notifications.sender import Sender, test_of
    from supervisor.sentences import shown, suggestion
    from supervisor.stores.jobs import new_id
    from supervisor.timing.clock import SystemClock

    place = place_of(ctx)
    notify, clock = place.config.notify, SystemClock()
    if target not in notify.targets:
        raise NotFoundError(
            f"There is no target {shown(target)}.{suggestion(target, notify.targets)} "
            "Targets are tables [notify.targets.NAME] of the configuration."
        )
    letter = test_of(target, new_id(), clock.now().wall)
    Sender(place.home, lambda: notify, clock, logging.getLogger("cronward"))(letter, letter.deliveries[0])
    if as_json:
        render.show_json({"target": target, "id": letter.deliveries[0].id, "told": True})
    else:
        render.say(f"Told {target}. Look whether it arrived.")
