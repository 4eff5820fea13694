"""The command line: thin commands that parse, ask a desk or a store, and print."""

from __future__ import annotations

from typing import Annotated

import typer

from supervisor.cli import (
    agents,
    applying,
    configuration,
    exporting,
    importing,
    jobs,
    keeping,
    logins,
    metrics,
    notifying,
    original,
    outbox,
    pausing,
    pruning,
    reasons,
    recap,
    runs,
    secrets,
    service,
    sessions,
    timeline,
    upcoming,
    usage,
)
from supervisor.cli.place import Place

app = typer.Typer(
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
        recap.alone(ctx)


for _module in (recap, jobs, pausing, upcoming, reasons, runs, timeline, usage, pruning, metrics, logins, keeping):
    _module.register(app)
for _module in (importing, applying, exporting):
    _module.register(app)
app.add_typer(agents.app, name="agents")
app.add_typer(configuration.app, name="config")
app.add_typer(secrets.app, name="secret")
app.add_typer(service.app, name="service")
app.add_typer(sessions.app, name="sessions")
app.add_typer(outbox.app, name="outbox")
app.add_typer(notifying.app, name="notify")
app.add_typer(original.app, name="cron")
