"""Commands that show jobs: list, show."""

from __future__ import annotations

import typer

from supervisor.cli import render
from supervisor.cli.options import AsJson, JobRef
from supervisor.cli.place import place_of


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("list")(list_jobs)
    app.command()(show)


def list_jobs(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List all jobs.

    \b
    Example: cronward list
    Example: cronward list --json | jq -r '.[] | select(.enabled) | .name'
    """
    from supervisor.cli import joblist

    place = place_of(ctx)
    if place.config_path is not None:  # it has no need of it, but what was named must be there, and right
        _ = place.config
    joblist.show(place, as_json)


def show(ctx: typer.Context, job: JobRef, as_json: AsJson = False) -> None:
    """Show one job, or one run. Of a job its latest runs too; by the id of a run, what that did.

    \b
    Example: cronward show morning
    Example: cronward show 3f2a9c1b
    """
    from supervisor.cli import glance, page
    from supervisor.errors import NotFoundError

    place = place_of(ctx)
    try:
        found = page.current(place, place.jobs.find(job))
    except NotFoundError as error:
        run = glance.named(place, job, error)
        render.show_record(run) if as_json else glance.show(place, run)
        return
    if as_json:
        render.show_record(found)
    else:
        page.show_job(place, found)
