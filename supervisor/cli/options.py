"""Options and arguments that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from supervisor.cli.completion import among, complete_jobs, complete_runs

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
JobRef = Annotated[
    str,
    typer.Argument(
        metavar="JOB",
        help="Its id, the beginning of its id, or its name.",
        show_default=False,
        autocompletion=complete_jobs,
    ),
]
OneJob = Annotated[
    str | None,
    typer.Argument(metavar="[JOB]", help="One job alone.", show_default=False, autocompletion=complete_jobs),
]
RunRef = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="Its id, or the beginning of its id.",
        show_default=False,
        autocompletion=complete_runs,
    ),
]
Zone = Annotated[
    str | None, typer.Option("--tz", metavar="ZONE", help="Time zone, like Europe/Berlin. Default: this host's.")
]
NetworkName = Annotated[
    str | None,
    typer.Option(
        "--network",
        metavar="NETWORK",
        help="What it can reach: none, public, host. Default: none.",
        autocompletion=among("none", "public", "host"),
    ),
]
AllowedHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host", metavar="HOST", help="A host that it can reach, or .DOMAIN, or either with :PORT. Repeatable."
    ),
]
