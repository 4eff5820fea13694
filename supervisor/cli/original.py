"""The original's commands, with its flags, columns and messages: what people type from memory goes on working."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor.cli import render
from supervisor.cli.completion import TYPES, among, complete_jobs
from supervisor.cli.group import group
from supervisor.cli.place import place_of

if TYPE_CHECKING:
    from supervisor.models import CronJob, CronRun

_JOB_COLUMNS = ("ID", "CRON", "PROMPT", "ENABLED", "TYPE", "LAST RUN", "NEXT RUN")
_RUN_COLUMNS = ("RUN ID", "STATUS", "STARTED AT", "DURATION", "ERROR", "RETRIES")
_PROMPT_CHARS = 40

app = group("The original's commands, as it spells them.")
JobId = Annotated[
    str, typer.Option("--id", metavar="ID", help="The job.", show_default=False, autocompletion=complete_jobs)
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command("add_cron")
def add_cron(
    ctx: typer.Context,
    cron: Annotated[str, typer.Option(metavar="EXPR", help="Five fields, or six with seconds first.")],
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="What the agent is asked.")],
    work_dir: Annotated[str | None, typer.Option(metavar="DIR", help="Where it works.")] = None,
    job_type: Annotated[
        str,
        typer.Option("--type", metavar="TYPE", help="light, medium, resource-intensive.", autocompletion=among(*TYPES)),
    ] = "light",
    timeout: Annotated[int, typer.Option(metavar="MINUTES", help="Of a whole run.")] = 30,
    retries: Annotated[int, typer.Option(metavar="N", help="Further attempts.")] = 3,
    disabled: Annotated[bool, typer.Option("--disabled", help="Add it paused.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create a job.

    \b
    Example: cronward cron add_cron --cron '*/30 * * * *' --prompt 'Audit the logs' --work-dir /app/logs
    """
    from supervisor.cli.draft import full_path
    from supervisor.cli.jobs import user_name

    fields: dict[str, Any] = {
        "cron_expr": cron,
        "prompt": prompt,
        "type": job_type,
        "timeout_mins": timeout,
        "retries": retries,
        "enabled": not disabled,
        "created_by": user_name(),
    }
    if work_dir:
        fields["work_dir"] = full_path(work_dir)
    with place_of(ctx).desk() as desk:
        job = desk.add_job(fields)
    _told(job, "created", as_json)


@app.command("del_cron")
def del_cron(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Delete a job.

    \b
    Example: cronward cron del_cron --id 3f2a9c1b
    """
    with place_of(ctx).desk() as desk:
        job = desk.remove_job(job_id)
    _told(job, "deleted", as_json)


@app.command("pause_cron")
def pause_cron(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Pause a job.

    \b
    Example: cronward cron pause_cron --id 3f2a9c1b
    """
    with place_of(ctx).desk() as desk:
        job = desk.pause_job(job_id)
    _told(job, "paused", as_json)


@app.command("resume_cron")
def resume_cron(ctx: typer.Context, job_id: JobId, as_json: AsJson = False) -> None:
    """Resume a job.

    \b
    Example: cronward cron resume_cron --id 3f2a9c1b
    """
    with place_of(ctx).desk() as desk:
        job = desk.resume_job(job_id)
    _told(job, "resumed", as_json)


@app.command("list_crons")
def list_crons(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List all jobs.

    \b
    Example: cronward cron list_crons
    """
    from supervisor.cli.page import current

    place = place_of(ctx)
    jobs = [current(place, job) for job in place.jobs.list()]
    if as_json:
        render.show_records(jobs)
    elif not jobs:
        render.say("No cron jobs found.")
    else:
        render.show_lines(render.plain_lines(_JOB_COLUMNS, [_job_row(job) for job in jobs]))


@app.command("list_runs")
def list_runs(
    ctx: typer.Context,
    job_id: Annotated[
        str,
        typer.Option("--job-id", metavar="ID", help="The job.", show_default=False, autocompletion=complete_jobs),
    ],
    last: Annotated[int | None, typer.Option(min=1, max=100_000, metavar="N", help="The newest N.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the runs of a job, newest first.

    \b
    Example: cronward cron list_runs --job-id 3f2a9c1b --last 5
    """
    from supervisor.cli.runs import runs_of

    runs = runs_of(place_of(ctx), job_id, last, None)
    if as_json:
        render.show_records(runs)
    elif not runs:
        render.say("No runs found.")
    else:
        render.show_lines(render.plain_lines(_RUN_COLUMNS, [_run_row(run) for run in runs]))


def _told(job: CronJob, done: str, as_json: bool) -> None:
    if as_json:
        render.show_record(job)
    else:
        render.say(f"Cron job {done}: {job.id}")


def _job_row(job: CronJob) -> list[str]:
    from supervisor.cli.escape import shortened

    expr = job.cron_expr or (f"at {job.at.isoformat()}" if job.at else "")
    prompt = shortened(job.prompt, _PROMPT_CHARS)
    enabled = "true" if job.enabled else "false"
    return [job.id, expr, prompt, enabled, job.type.value, _time(job.last_run), _time(job.next_run)]


def _run_row(run: CronRun) -> list[str]:
    from supervisor.cli.times import lasted

    took = lasted(run.duration) if run.duration else "-"
    return [run.id, run.status.value, _time(run.started_at), took, run.error or "-", str(run.retry_count)]


def _time(at: datetime) -> str:
    from supervisor.models import NEVER

    return "-" if at == NEVER else at.astimezone().isoformat(timespec="seconds")
