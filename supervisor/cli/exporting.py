"""The command `export`: the jobs as a jobs file, as a crontab, or as the original's two files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import render
from supervisor.cli.completion import complete_jobs
from supervisor.cli.escape import escape_lines
from supervisor.cli.options import AsJson
from supervisor.cli.place import Place, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from supervisor.models import CronJob
    from supervisor.moving.note import Note


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command("export")(export_jobs)


def export_jobs(
    ctx: typer.Context,
    refs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[JOB]...", help="Only these jobs.", autocompletion=complete_jobs),
    ] = None,
    crontab: Annotated[bool, typer.Option("--crontab", help="As a crontab.")] = False,
    original: Annotated[
        str | None, typer.Option(metavar="DIR", help="As HotPlex's jobs.json and runs.json, into this directory.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the files that are in DIR already.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the jobs out. As a jobs file for `cronward apply`, as a crontab, or as HotPlex's files.

    What cannot be said in the other form is told on standard error. Nothing here is changed.

    \b
    Example: cronward export > jobs.toml
    Example: cronward export --crontab backup report
    Example: cronward export --original ~/.hotplex/cron --force
    """
    from supervisor.cli import page
    from supervisor.errors import InvalidError

    place = place_of(ctx)
    if crontab and original is not None:
        raise InvalidError("A crontab or HotPlex's files: give one of --crontab and --original.")
    found = [place.jobs.find(ref) for ref in refs] if refs else place.jobs.list()
    jobs = [page.current(place, job) for job in found]
    page.warn_of_damage(place)
    if original is not None:
        _as_original(place, jobs, original, whole=not refs, force=force, as_json=as_json)
        return
    text, notes = _as_crontab(jobs) if crontab else _as_toml(jobs)
    for note in [] if as_json else notes:
        render.warn(f"{note.label}: {note.text}")
    if as_json:
        render.show_json({"crontab" if crontab else "toml": text, "notes": [note.record() for note in notes]})
    else:
        typer.echo(escape_lines(text) if render.on_terminal() else text, nl=False)


def _as_toml(jobs: Sequence[CronJob]) -> tuple[str, list[Note]]:
    from supervisor.moving.jobsfile import written
    from supervisor.moving.note import Note

    notes = [Note(job.id, "has no name, and is called by its id.") for job in jobs if not job.name]
    return written(jobs), notes


def _as_crontab(jobs: Sequence[CronJob]) -> tuple[str, list[Note]]:
    from supervisor.moving.cronlines import crontab_of
    from supervisor.timing.hostzone import host_zone

    return crontab_of(jobs, host_zone().key)


def _as_original(place: Place, jobs: Sequence[CronJob], name: str, *, whole: bool, force: bool, as_json: bool) -> None:
    from supervisor.agents.adapters import adapter
    from supervisor.errors import InvalidError, RefusedError
    from supervisor.moving.departure import Surroundings, depart
    from supervisor.stores.archives import read_archives
    from supervisor.stores.store import write_atomic
    from supervisor.timing.hostzone import host_zone

    folder = Path(name).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise InvalidError(f"{folder} is no directory: name one for the two files.")
    there = [each for each in ("jobs.json", "runs.json") if os.path.lexists(folder / each)]
    if there and not force:
        raise RefusedError(f"{folder} has {' and '.join(there)} already. Name another directory, or give --force.")

    def resumes(agent: str) -> bool:
        try:
            return adapter(agent, place.config.agents_dir).resumable
        except InvalidError:
            return False

    archive, problems = read_archives(place.home)
    ids = [job.id for job in jobs] if not whole else dict.fromkeys([*place.runs.job_ids(), *(job.id for job in jobs)])
    runs = {job_id: place.runs.get_runs(job_id) for job_id in ids}
    left = depart(jobs, runs, archive, Surroundings(host_zone().key, resumes, os.path.realpath))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for kind, text in (("jobs", left.jobs), ("runs", left.runs)):
        write_atomic(folder / f"{kind}.json", text.encode("utf-8", "replace"))
    if as_json:
        notes = [note.record() for note in left.notes]
        told = {"directory": str(folder), "jobs": left.job_count, "runs": left.run_count}
        render.show_json(told | {"notes": notes, "problems": problems})
        return
    for text in (*problems, *(f"{note.label}: {note.text}" for note in left.notes)):
        render.warn(text)
    render.say(f"Wrote {left.job_count} jobs and {left.run_count} runs to {folder}.")
