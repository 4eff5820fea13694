"""Commands about the settings: show, check."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import render
from supervisor.cli.group import group
from supervisor.cli.options import AsJson
from supervisor.cli.place import Place, place_of

if TYPE_CHECKING:
    from supervisor.config import Config, Sources
    from supervisor.reports.origins import Setting

app = group("The settings, and where each came from.")


@app.command("show")
def show_config(
    ctx: typer.Context,
    changed: Annotated[bool, typer.Option("--changed", help="Only what is not the default.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show each setting, its value, and where it came from. That is the default, the file or the environment.

    A supervisor that runs goes by what it read last: cronward reload.

    \b
    Example: cronward config show --changed
    """
    from dataclasses import asdict

    from supervisor.reports.origins import settings

    sources, config = _read(place_of(ctx))
    found = [each for each in settings(config, sources) if not changed or each.origin != "default"]
    if as_json:
        render.show_json([asdict(setting) for setting in found])
    elif found:
        columns = (render.Column("KEY"), render.Column("VALUE", shrinks=True), render.Column("FROM", shrinks=True))
        render.show_table(columns, [_row(setting) for setting in found])
    else:
        render.say("Every setting has its default.")
    if not as_json:
        render.warn(_about(sources))


@app.command("check")
def check_config(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Check file and variables, and change nothing. Exit 2 if a setting is wrong, 1 if a variable has no effect.

    \b
    Example: cronward --config new.toml config check
    """
    from supervisor.reports.origins import unknown_variables

    sources, _ = _read(place_of(ctx))
    without_effect = unknown_variables(os.environ)
    if as_json:
        render.show_json({"file": str(sources.file), "there": sources.there, "without_effect": without_effect})
    else:
        render.say(f"{_about(sources)} All settings are right.")
        for sentence in without_effect:
            render.warn(sentence)
    if without_effect:
        raise typer.Exit(1)


def _read(place: Place) -> tuple[Sources, Config]:
    from supervisor.config import read_sources

    sources = read_sources(place.config_path, os.environ)
    return sources, sources.config(os.environ)


def _about(sources: Sources) -> str:
    return f"The file is {sources.file}." if sources.there else f"There is no file {sources.file}: defaults hold."


def _row(setting: Setting) -> list[render.Cell | str]:
    style: render.Style = "dim" if setting.origin == "default" else "cyan"
    return [setting.key, setting.value, render.Cell(setting.at or setting.origin, style)]
