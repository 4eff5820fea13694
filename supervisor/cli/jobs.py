"""Commands about jobs: add, list, show, pause, resume, remove."""

from __future__ import annotations

import os
import pwd
from typing import Annotated

import typer

from supervisor.cli import render
from supervisor.cli.options import AllowedHosts, AsJson, JobRef, NetworkName, Zone
from supervisor.cli.place import Place, place_of

Text = str | None


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(add)
    app.command("list")(list_jobs)
    app.command()(show)
    app.command()(pause)
    app.command()(resume)
    app.command()(remove)


def add(
    ctx: typer.Context,
    cron: Annotated[Text, typer.Option(metavar="EXPR", help="Five fields, six with seconds first, or @daily.")] = None,
    every: Annotated[Text, typer.Option(metavar="DURATION", help="An interval, like 30m or 1h30m.")] = None,
    at: Annotated[Text, typer.Option(metavar="TIME", help="Once: '2026-11-24 07:00', RFC 3339, or +10m.")] = None,
    prompt: Annotated[Text, typer.Option(metavar="TEXT", help="What the agent is asked.")] = None,
    prompt_file: Annotated[Text, typer.Option(metavar="FILE", help="The same out of a file; - is stdin.")] = None,
    name: Annotated[Text, typer.Option(metavar="NAME", help="What you call it.")] = None,
    agent: Annotated[Text, typer.Option(metavar="AGENT", help="Who gets the prompt: local, command.")] = None,
    command: Annotated[Text, typer.Option(metavar="ARGV", help="A program with arguments; no shell is used.")] = None,
    model: Annotated[Text, typer.Option(metavar="MODEL", help="The agent's model.")] = None,
    work_dir: Annotated[Text, typer.Option(metavar="DIR", help="The directory that the agent works in.")] = None,
    network: NetworkName = None,
    allow_host: AllowedHosts = None,
    job_type: Annotated[
        Text, typer.Option("--type", metavar="TYPE", help="Limits: light, medium, resource-intensive. Default: light.")
    ] = None,
    timeout: Annotated[Text, typer.Option(metavar="DURATION", help="Of a whole run. Default: 30m.")] = None,
    idle_timeout: Annotated[
        Text, typer.Option(metavar="DURATION", help="How long it may write nothing. Default: as configured, none.")
    ] = None,
    retries: Annotated[int | None, typer.Option(metavar="N", help="Further attempts. Default: 3.")] = None,
    retry_delay: Annotated[
        Text, typer.Option(metavar="DURATION", help="Before the first retry; doubles. Default: 1s.")
    ] = None,
    output_format: Annotated[Text, typer.Option(metavar="FORMAT", help="text, json, structured.")] = None,
    output_schema: Annotated[
        Text, typer.Option(metavar="SCHEMA", help="A JSON Schema, or @FILE; implies structured.")
    ] = None,
    tz: Zone = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="Add it paused.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add a job.

    \b
    Example: cronward add --cron '0 7 * * *' --prompt 'Summarise yesterday in one line.' --name morning
    Example: cronward add --every 30m --prompt-file audit.md --work-dir ~/logs --timeout 10m
    """
    from supervisor.cli import draft

    place = place_of(ctx)
    given = {"name": name, "agent": agent, "command": command, "model": model, "type": job_type, "retries": retries}
    fields = draft.timing(cron, every, at, tz, place.now) | draft.described(given)
    fields |= {"prompt": draft.prompt_text(prompt, prompt_file), "created_by": user_name(), "enabled": not disabled}
    fields |= draft.bounds(work_dir, timeout, retry_delay, idle_timeout) | draft.output(output_format, output_schema)
    fields |= draft.reach(network, allow_host or ())
    with place.desk() as desk:
        added = desk.add_job(fields)
    _told(place, added.id, "Added", as_json)


def list_jobs(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List all jobs.

    \b
    Example: cronward list
    Example: cronward list --json | jq -r '.[] | select(.enabled) | .name'
    """
    from supervisor.cli import page

    place = place_of(ctx)
    found = [page.current(place, job) for job in place.jobs.list()]
    page.warn_of_damage(place)
    if as_json:
        render.show_records(found)
    elif not found:
        render.say("There are no jobs. Add one with: cronward add --every 1h --prompt TEXT")
    else:
        page.show_jobs(place, found)


def show(ctx: typer.Context, job: JobRef, as_json: AsJson = False) -> None:
    """Show one job and its latest runs.

    \b
    Example: cronward show morning
    """
    from supervisor.cli import page

    place = place_of(ctx)
    found = page.current(place, place.jobs.find(job))
    if as_json:
        render.show_record(found)
    else:
        page.show_job(place, found)


def pause(ctx: typer.Context, job: JobRef, as_json: AsJson = False) -> None:
    """Pause a job: it is no longer due. Pausing twice changes nothing more.

    \b
    Example: cronward pause morning
    """
    place = place_of(ctx)
    with place.desk() as desk:
        done = desk.pause_job(job)
    _told(place, done.id, "Paused", as_json)


def resume(ctx: typer.Context, job: JobRef, as_json: AsJson = False) -> None:
    """Resume a paused job. What fell due meanwhile is not made up for.

    \b
    Example: cronward resume morning
    """
    place = place_of(ctx)
    with place.desk() as desk:
        done = desk.resume_job(job)
    _told(place, done.id, "Resumed", as_json)


def remove(ctx: typer.Context, job: JobRef, as_json: AsJson = False) -> None:
    """Remove a job; its history stays. A run that is going on is canceled.

    \b
    Example: cronward remove morning
    """
    with place_of(ctx).desk() as desk:
        gone = desk.remove_job(job)
    if as_json:
        render.show_record(gone)
    else:
        render.say(f"Removed {gone.label} ({gone.id}).")


def user_name() -> str:
    """Whoever types this."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def _told(place: Place, job_id: str, verb: str, as_json: bool) -> None:
    from supervisor.cli import page
    from supervisor.cli.times import relative, stamp
    from supervisor.models import NEVER

    job = page.current(place, place.jobs.find(job_id))
    if as_json:
        render.show_record(job)
        return
    due = "" if job.next_run == NEVER else f" Next run {relative(job.next_run, place.now)}: {stamp(job.next_run)}."
    render.say(f"{verb} {job.label} ({job.id}).{due or ' It is paused.' * (not job.enabled)}")
