"""The command `import`: jobs and their history out of the original's files, or jobs out of a crontab."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor.cli import render
from supervisor.cli.completion import complete_agents
from supervisor.cli.options import AsJson
from supervisor.cli.place import Place, place_of

if TYPE_CHECKING:
    from supervisor.definitions.batch import Batch, Entry, Outcome
    from supervisor.moving.crontab import Line
    from supervisor.moving.note import Note

ORIGINAL_BYTES = 32 << 20
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, show the report, store nothing.")]


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command("import")(import_jobs)


@dataclass
class _Coming:
    """What was read: a batch in the making, and the report so far."""

    source: str
    entries: list[Entry]
    notes: list[Note]
    warnings: list[str]
    histories: list[Any] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)


def import_jobs(
    ctx: typer.Context,
    path: Annotated[
        str | None,
        typer.Argument(metavar="[PATH]", help="HotPlex's directory, or its jobs.json. Default: ~/.hotplex/cron."),
    ] = None,
    crontab: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A crontab instead; - is stdin: crontab -l | cronward import --crontab -"),
    ] = None,
    system: Annotated[
        bool, typer.Option("--system", help="The crontab names a user in each line, as /etc/crontab does.")
    ] = False,
    agent: Annotated[
        str | None,
        typer.Option(
            metavar="AGENT",
            help="Who gets HotPlex's prompts. Default: as configured.",
            autocompletion=complete_agents,
        ),
    ] = None,
    disabled: Annotated[bool, typer.Option("--disabled", help="HotPlex's jobs arrive paused too.")] = False,
    skip_refused: Annotated[
        bool, typer.Option("--skip-refused", help="Leave out what is refused, and take the rest.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Take over jobs from HotPlex or from a crontab. All of them or none, with a report of what is not the same
    here.

    What is read is left as it is. Jobs of a crontab arrive paused.

    \b
    Example: cronward import ~/.hotplex/cron --agent claude --dry-run
    Example: crontab -l | cronward import --crontab -
    """
    from supervisor.errors import InvalidError

    place = place_of(ctx)
    if crontab is not None and (path is not None or agent is not None or disabled):
        raise InvalidError("A crontab has no PATH, --agent or --disabled: give only --crontab FILE.")
    if system and crontab is None:
        raise InvalidError("--system says what a crontab looks like: give --crontab FILE as well.")
    if crontab is not None:
        coming = _from_crontab(place, crontab, system)
    else:
        coming = _from_original(place, path, agent, disabled)
    raise typer.Exit(_carry_out(place, coming, skip_refused, dry_run, as_json))


def _from_original(place: Place, path: str | None, agent: str | None, disabled: bool) -> _Coming:
    from supervisor.agents.adapters import adapter
    from supervisor.cli.given import read_given
    from supervisor.moving import arrival
    from supervisor.moving.original import OriginalFile, read_jobs, read_runs
    from supervisor.stores.home import user_home

    named = Path(path).expanduser() if path else user_home(os.environ) / ".hotplex" / "cron"
    jobs_file = named / "jobs.json" if named.is_dir() else named
    runs_file = jobs_file.with_name("runs.json")
    texts = {"jobs": read_given(str(jobs_file), "file of jobs", ORIGINAL_BYTES)}
    jobs, runs = read_jobs(texts["jobs"]), OriginalFile(())
    if runs_file.exists():
        texts["runs"] = read_given(str(runs_file), "file of runs", ORIGINAL_BYTES)
        runs = read_runs(texts["runs"])
    agent = agent or place.config.default_agent
    wish = arrival.Wish(agent, adapter(agent, place.config.agents_dir).resumable, disabled)
    entries, notes = arrival.entries(jobs, wish)
    histories, more = arrival.histories(jobs, runs)
    warnings = [f"HotPlex never read an answer; here the agent {agent} gets each prompt, in a cell, and is judged."]
    if not disabled and any(entry.draft["enabled"] for entry in entries):
        warnings.append("End HotPlex's own scheduler (hotplexd): as long as it runs these jobs run there as well.")
    files = {kind: data.decode("utf-8") for kind, data in texts.items()}
    return _Coming(str(jobs_file.absolute()), entries, [*notes, *more], warnings, histories, files)


def _from_crontab(place: Place, file: str, system: bool) -> _Coming:
    from supervisor.cli.given import read_given
    from supervisor.cli.jobs import user_name
    from supervisor.definitions.batch import Entry
    from supervisor.errors import InvalidError
    from supervisor.moving import shelljob
    from supervisor.moving.crontab import FILE_BYTES, Line, read_crontab
    from supervisor.moving.note import Note

    read = list(read_crontab(read_given(file, "crontab", FILE_BYTES), system=system))
    here = place.jobs.list()
    lines = [each for each in read if isinstance(each, Line)]
    notes = [Note(f"line {each.number}", f"{each.problem}.", True) for each in read if not isinstance(each, Line)]
    entries: list[Entry] = []
    known = {(job.cron_expr, job.command): job.label for job in here}
    for line, name in zip(lines, shelljob.names_for(lines, {job.name for job in here}), strict=True):
        label = f"line {line.number}"
        try:
            moved = shelljob.draft_of(line, name)
            draft = moved.draft | _whose(line) | {"created_by": user_name()}
            twin = known.get((draft["cron_expr"], draft["command"]))
            if twin is not None:
                raise InvalidError(
                    f"It is here already, as {twin}. Leave the line out (--skip-refused), or remove that job first."
                )
        except InvalidError as error:
            notes.append(Note(label, str(error), True))
            continue
        notes += [Note(label, text) for text in moved.lost]
        entries.append(Entry(label=label, draft=draft, search_path=line.env.get("PATH") or os.environ.get("PATH", "")))
    warnings = [
        "Each command runs in a cell: it sees the system, neither your home nor any directory that it is not given, "
        "and reaches no network. It is ended after 30 minutes (--timeout), and not started while its last run goes on "
        "(--overlap).",
        "The crontab was left alone, and cron goes on running it. Before you resume a job, take its line out "
        "(crontab -e), or it runs twice.",
    ]
    source = "a crontab on standard input" if file == "-" else str(Path(file).absolute())
    return _Coming(source, entries, notes, warnings)


def _whose(line: Line) -> dict[str, str]:
    """Under root, the user that a system crontab names. Raises InvalidError: only root runs others' jobs."""
    from supervisor.cli.jobs import user_name
    from supervisor.errors import InvalidError

    if line.user in ("", user_name()):
        return {}
    if os.geteuid() != 0:
        raise InvalidError(f"It runs as {line.user[:80]!r}, and you are {user_name()}: only root can import it.")
    return {"run_as": line.user}


def _carry_out(place: Place, coming: _Coming, skip: bool, dry_run: bool, as_json: bool) -> int:
    """Ask for it, first without storing anything; the exit code."""
    from supervisor.definitions.batch import Batch

    by_line = not coming.files
    for entry in coming.entries:
        entry.draft["imported_from"] = f"{coming.source}, {entry.label}" if by_line else coming.source
    with place.desk() as desk:
        batch = Batch(jobs=coming.entries, histories=coming.histories, original=coming.files, dry_run=True)
        outcome = desk.change_jobs(batch)
        refused = [(note.label, note.text) for note in coming.notes if note.refused]
        refused += [(each.label, each.error) for each in outcome.refused]
        if refused and skip and outcome.refused:
            batch = _without(batch, {label for label, _ in refused})
            outcome = desk.change_jobs(batch)
        if not dry_run and (skip or not refused):
            outcome = desk.change_jobs(batch.model_copy(update={"dry_run": False}))
    _report(coming, outcome, refused, skip, dry_run, as_json)
    return 2 if (refused and not skip) or outcome.refused else 0


def _without(batch: Batch, labels: set[str]) -> Batch:
    jobs = tuple(entry for entry in batch.jobs if entry.label not in labels)
    gone = {entry.draft.get("id") for entry in batch.jobs} - {entry.draft.get("id") for entry in jobs}
    histories = tuple(
        past for past in batch.histories if past.job_id not in gone and f"history of {past.job_id}" not in labels
    )
    return batch.model_copy(update={"jobs": jobs, "histories": histories})


def _report(
    coming: _Coming, outcome: Outcome, refused: list[tuple[str, str]], skip: bool, dry_run: bool, as_json: bool
) -> None:
    notes = [note for note in coming.notes if not note.refused]
    if as_json:
        render.show_json(
            {
                "stored": outcome.stored,
                "jobs": [job.model_dump(mode="json") for job in outcome.added],
                "runs_kept": outcome.runs_kept,
                "runs_dropped": outcome.runs_dropped,
                "refused": [{"label": label, "error": text} for label, text in refused],
                "notes": [note.record() for note in notes],
                "warnings": coming.warnings,
            }
        )
        return
    shared: dict[str, list[str]] = {}
    for note in notes:
        shared.setdefault(note.text, []).append(note.label)
    for job, entry in zip(outcome.added, [e for e in coming.entries if not _is_refused(e, refused)], strict=False):
        render.say(f"{entry.label}: {job.label}  {job.cron_expr}  {'' if job.enabled else 'paused'}".rstrip())
        for note in notes:
            if note.label == entry.label and len(shared[note.text]) == 1:
                render.say(f"    {note.text}")
    for text, labels in shared.items():
        if len(labels) > 1:
            render.say(f"{', '.join(labels)}: {text}")
    for label, text in refused:
        render.say(f"{label}: REFUSED: {text}")
    _summary(coming, outcome, refused, skip, dry_run)


def _is_refused(entry: Entry, refused: list[tuple[str, str]]) -> bool:
    return entry.label in {label for label, _ in refused}


def _summary(coming: _Coming, outcome: Outcome, refused: list[tuple[str, str]], skip: bool, dry_run: bool) -> None:
    if outcome.added:
        render.say("")
        for warning in coming.warnings:
            render.say(warning)
    history = f" and {outcome.runs_kept} runs" if outcome.runs_kept else ""
    if outcome.runs_dropped:
        render.say(f"{outcome.runs_dropped} runs are left out: more than are kept of a job, or it has a history here.")
    jobs = f"{len(outcome.added)} job{'' if len(outcome.added) == 1 else 's'}"
    if outcome.stored:
        render.say(f"Imported {jobs}{history}.")
        paused = next((job for job in outcome.added if not job.enabled), None)
        if paused is not None:
            name = shlex.quote(paused.label)
            render.say(f"Look at one, then have it be due: cronward show {name}; cronward resume {name}")
    elif refused and not skip:
        render.say(f"Nothing was stored: {len(refused)} refused. Repair that, or leave it out with --skip-refused.")
    elif dry_run:
        render.say(f"Nothing was stored (--dry-run): it would be {jobs}{history}.")
    else:
        render.say("There was nothing to import.")
