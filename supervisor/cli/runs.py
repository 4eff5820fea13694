"""Commands about runs: run, runs, logs, cancel, ps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import render
from supervisor.cli.completion import among, complete_jobs
from supervisor.cli.options import AsJson, JobRef, RunRef
from supervisor.cli.place import Place, place_of

if TYPE_CHECKING:
    from supervisor.errors import NotFoundError
    from supervisor.models import CronRun
    from supervisor.status import Status

_DEFAULT_LAST = 20
STATUS = ("queued", "running", "stopping", "completed", "failed", "canceled", "skipped", "unknown")
"""Those of `supervisor.status`, which is not loaded to define a command."""


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("run")(run_job)
    app.command("runs")(list_runs)
    app.command()(logs)
    app.command()(cancel)
    app.command()(ps)


def run_job(
    ctx: typer.Context,
    job: JobRef,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for its end; exit 0 only if it completed.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be run, and run nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a job now, besides its schedule. Needs a running supervisor, but for --dry-run.

    \b
    Example: cronward run morning --wait
    Example: cronward run morning --dry-run
    """
    from supervisor.cli import waiting

    place = place_of(ctx)
    if dry_run:
        from supervisor.cli import dryrun

        dryrun.show(place, job, as_json)
        return
    run = place.client.run_job(job)
    if not wait:
        if as_json:
            render.show_record(run)
        else:
            render.say(f"Accepted as run {run.id}. Follow it with: cronward logs -f {run.id[:8]}")
        return
    ended = waiting.wait_for(place, run)
    waiting.show_end(place, ended, as_json)
    raise typer.Exit(waiting.exit_code(ended))


def list_runs(
    ctx: typer.Context,
    job: Annotated[
        str | None,
        typer.Argument(metavar="[JOB]", help="Of one job only.", show_default=False, autocompletion=complete_jobs),
    ] = None,
    last: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="How many, newest first.")] = _DEFAULT_LAST,
    status: Annotated[
        str | None,
        typer.Option(
            metavar="STATUS", help="Only these: completed, failed, skipped, running, ...", autocompletion=among(*STATUS)
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first.

    \b
    Example: cronward runs morning --last 5
    Example: cronward runs --status failed --json | jq -r '.[].error'
    """
    from supervisor.cli import page

    place = place_of(ctx)
    found = runs_of(place, job, last, status_named(status))
    if as_json:
        render.show_records(found)
    elif not found:
        render.say("There are no such runs.")
    else:
        page.show_runs(place, found)


def logs(
    ctx: typer.Context,
    run: RunRef,
    network: Annotated[bool, typer.Option("--network", help="Show whom it talked to, or tried to.")] = False,
    raw: Annotated[bool, typer.Option("--raw", help="Its output as it came; not to a terminal.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a run did, answered and complained of. Attempt by attempt; of a job: its latest run, skips aside.

    \b
    Example: cronward logs 3f2a9c1b
    Example: cronward logs -f morning
    Example: cronward logs --network 3f2a9c1b
    Example: cronward logs --raw 3f2a9c1b | jq
    """
    from supervisor.cli import reading

    place = place_of(ctx)
    found = run_meant(place, run)
    if raw:
        show_raw(place, found, follow=follow, more=network or as_json)
    elif network:
        from supervisor.cli import connections

        found = reading.wait_for_end(place, found) if follow else found
        connections.show_json(place, found) if as_json else connections.show(place, found)
    elif as_json:
        reading.show_json(place, reading.wait_for_end(place, found) if follow else found)
    elif follow and not found.status.final:
        reading.follow(place, found)
    else:
        reading.show(place, found)


def show_raw(place: Place, run: CronRun, *, follow: bool, more: bool) -> None:
    from supervisor.cli import raw
    from supervisor.errors import InvalidError

    if more:
        raise InvalidError("--raw gives the output and nothing else: leave --network or --json out.")
    raw.show(place, run, follow=follow and not run.status.final)


def cancel(ctx: typer.Context, run: RunRef, as_json: AsJson = False) -> None:
    """End a run, or take it out of the queue. Needs a running supervisor.

    \b
    Example: cronward cancel 3f2a9c1b
    """
    from supervisor.errors import NotFoundError

    place = place_of(ctx)
    try:
        told = place.client.cancel_run(run)
    except NotFoundError as error:
        raise _of_job(place, run, error) from None
    if as_json:
        render.show_record(told)
    elif told.status.final:
        render.say(f"Run {told.id} is canceled.")
    else:
        render.say(f"Run {told.id} is told to end. Follow it with: cronward logs -f {told.id[:8]}")


def ps(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show the processes of every live run. Needs a running supervisor.

    \b
    Example: cronward ps
    """
    from supervisor.cli import proctree

    client = place_of(ctx).client
    supervisor = client.status().get("pid")
    trees = proctree.trees(client.live(), supervisor if isinstance(supervisor, int) else 0)
    if as_json:
        render.show_json(trees)
    else:
        proctree.show(trees)


def run_meant(place: Place, reference: str) -> CronRun:
    """The run of that id; where a job is named, its live run, else its latest. Raises as `RunsStore.get` does."""
    from supervisor.errors import NotFoundError
    from supervisor.status import Status

    try:
        return place.runs.get(reference)
    except NotFoundError as unknown:
        try:
            job = place.jobs.find(reference)
        except NotFoundError:
            raise unknown from None
    found = place.runs.get_runs(job.id)
    known = [run for run in found if not run.status.final] or [run for run in found if run.status is not Status.SKIPPED]
    if not (known or found):
        raise NotFoundError(f"The job {job.label} has not run yet. Run it now with: cronward run {reference}")
    return (known or found)[0]


def _of_job(place: Place, reference: str, unknown: NotFoundError) -> NotFoundError:
    """What is said where a run was to be named, and a job was."""
    from supervisor.errors import NotFoundError

    try:
        job = place.jobs.find(reference)
    except NotFoundError:
        return unknown
    live = [run.id[:8] for run in place.runs.get_runs(job.id) if not run.status.final]
    if not live:
        return NotFoundError(
            f"{job.label} is a job, and none of its runs goes on. Pause it with: cronward pause {reference}"
        )
    return NotFoundError(f"{job.label} is a job. End its live run with: cronward cancel {' or '.join(live)}")


def runs_of(place: Place, job: str | None, last: int | None, status: Status | None) -> Sequence[CronRun]:
    """The newest runs of one job, which may have been removed, or of all."""
    from supervisor.errors import NotFoundError

    if job is None:
        return place.runs.all_runs(None, status) if last is None else place.runs.newest(last, place.now, status)
    try:
        return place.runs.get_runs(place.jobs.find(job).id, last, status)
    except NotFoundError:
        # The history of a removed job stays.
        return place.runs.runs_of(job, last, status)


def status_named(text: str | None) -> Status | None:
    """The status that a person means."""
    from supervisor.errors import InvalidError
    from supervisor.status import Status

    try:
        return None if text is None else Status(text)
    except ValueError as error:
        raise InvalidError(f"The status {text!r} is unknown: use one of {', '.join(Status)}.") from error
