"""The program as a whole: what stands before the commands."""

from __future__ import annotations

from typing import Annotated

import typer

from supervisor.cli.commands import Program
from supervisor.cli.place import Place

app = typer.Typer(
    cls=Program,
    name="cronward",
    help="Runs AI agents on a schedule, each run in a cell of its own. Alone it shows what happened since you looked.",
    epilog="--home and --config may also stand after the command. "
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 no supervisor, 5 refused.",
    invoke_without_command=True,
    # Stored text and our own brackets are never to be read as markup.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _choose(
    ctx: typer.Context,
    home: Annotated[
        str | None,
        typer.Option(envvar="CRONWARD_HOME", metavar="DIR", help="Where jobs, runs and logs lie.", show_default=False),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(envvar="CRONWARD_CONFIG", metavar="FILE", help="The config file.", show_default=False),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    if version:  # alone it is answered before any of this is imported
        from supervisor import __version__

        typer.echo(f"cronward {__version__}")
        raise typer.Exit
    ctx.obj = Place(home, config)
    if ctx.invoked_subcommand is None:
        from supervisor.cli import recap

        recap.alone(ctx)
