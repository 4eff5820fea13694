"""Options and arguments that several commands share, and what a shell completes them with."""

from __future__ import annotations

from typing import Annotated

import typer

from supervisor.cli.place import Place


def complete_jobs(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The names of jobs, or their ids, that begin like this."""
    from supervisor.errors import CronwardError

    options = ctx.find_root().params
    place = Place(options.get("home"), options.get("config"))
    try:
        jobs = place.jobs.list()
    except (CronwardError, OSError):
        # A shell that completes has nowhere to show an error.
        return []
    found = [(job.name or job.id, job.cron_expr or "once") for job in jobs]
    return [each for each in found if each[0].startswith(incomplete)]


def complete_runs(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """The newest runs whose ids begin like this."""
    from supervisor.errors import CronwardError

    options = ctx.find_root().params
    place = Place(options.get("home"), options.get("config"))
    try:
        runs = place.runs.all_runs(50)
    except (CronwardError, OSError):
        return []
    found = [(run.id, f"{run.job_name or run.job_id} {run.status.value}") for run in runs]
    return [each for each in found if each[0].startswith(incomplete)]


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
    typer.Option("--network", metavar="NETWORK", help="What it can reach: none, public, host. Default: none."),
]
AllowedHosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host", metavar="HOST", help="A host that it can reach, or .DOMAIN, or either with :PORT. Repeatable."
    ),
]
