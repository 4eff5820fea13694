"""Commands that make jobs: add, edit."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import render, secrets
from supervisor.cli.joboptions import Grouped, JobOptions, with_job_options
from supervisor.cli.options import AsJson, JobRef
from supervisor.cli.place import Place, place_of

if TYPE_CHECKING:
    from supervisor.models import CronJob
    from supervisor.stores.summary import Summary


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command(cls=Grouped)(add)
    app.command(cls=Grouped)(edit)


@with_job_options
def add(
    ctx: typer.Context,
    given: JobOptions,
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
    when = draft.timing(given.cron, given.every, given.at, given.tz, place.now)
    asked = {"prompt": draft.prompt_text(given.prompt, given.prompt_file)}
    fields = draft.of(replace(given, prompt=asked["prompt"], prompt_file=None), place.now) | when
    fields = draft.search_path() | fields | {"created_by": user_name(), "enabled": not disabled}
    with place.desk() as desk:
        added = desk.add_job(fields)
    told(place, added.id, "Added", as_json)
    secrets.warn_of_values(place, added)


@with_job_options
def edit(
    ctx: typer.Context,
    job: JobRef,
    given: JobOptions,
    refresh_program: Annotated[
        bool, typer.Option("--refresh-program", help="Look its program up anew, on your PATH of now.")
    ] = False,
    keep_secrets: Annotated[
        bool, typer.Option("--keep-secrets", help="Leave it its secrets, whatever is changed of what it does.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Change a job. It is checked whole first; a run that is going on keeps what it started with.

    A change of what it does, sees or reaches takes its secrets away, unless --keep-secrets is given.

    \b
    Example: cronward edit morning --cron '30 7 * * mon-fri'
    Example: cronward edit morning --until none --overlap queue
    Example: cronward edit morning --refresh-program
    """
    from supervisor.cli import draft
    from supervisor.errors import InvalidError

    place = place_of(ctx)
    changes = draft.of(given, place.now) | (draft.search_path() if refresh_program else {})
    if not changes:
        raise InvalidError("Nothing is to be changed: give at least one option; `cronward edit --help` lists them.")
    with place.desk() as desk:
        before = desk.find_job(job)
        edited = desk.edit_job(job, changes | ({"keep_secrets": True} if keep_secrets else {}))
    told(place, edited.id, "Changed", as_json)
    if not any(grant in changes for grant in ("secrets", "git_credentials", "login", "webhook_token")):
        secrets.tell_dropped(place, before, edited, ask=not as_json)
    secrets.warn_of_values(place, edited)


def user_name() -> str:
    """Whoever types this."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def told(place: Place, job_id: str, verb: str, as_json: bool) -> None:
    from supervisor.cli import page
    from supervisor.cli.times import relative, stamp
    from supervisor.models import NEVER

    job = page.current(place, place.jobs.find(job_id))
    if as_json:
        render.show_record(job)
        return
    due = "" if job.next_run == NEVER else f" Next run {relative(job.next_run, place.now)}: {stamp(job.next_run)}."
    render.say(f"{verb} {job.label} ({job.id}).{due or _not_due(job, verb, page.summary_of(place, job))}")


def _not_due(job: CronJob, verb: str, summary: Summary | None) -> str:
    """Why there is no next run."""
    if summary is None:
        return f" Its history is damaged: {job.last_error}"
    if verb == "Paused":
        return f" Reason: {job.pause_reason}" if job.pause_reason else ""
    if job.enabled:
        return " It is not due any more."
    return f" It is paused: {job.pause_reason}" if job.pause_reason else " It is paused."
