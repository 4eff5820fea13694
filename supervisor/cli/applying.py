"""The command `apply`: jobs as a file of theirs describes them."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor.cli import render
from supervisor.cli.importing import DryRun
from supervisor.cli.options import AsJson
from supervisor.cli.place import place_of

if TYPE_CHECKING:
    from supervisor.definitions.batch import Change, Entry, Outcome
    from supervisor.models import CronJob

_SHOWN = 100
_QUIET = frozenset({"changed_at", "anchor", "program", "search_path", "applied_from", "imported_from"})
"""They follow from other changes."""


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(apply)


def apply(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A jobs file: TOML, [[job]] for each job.")],
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove the jobs that an earlier apply of this file made, and it lacks now.")
    ] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Also change jobs of these names that this file did not make.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make the jobs what a jobs file says: all of them or none. What is as it says already is not touched.

    What the file does not say of a job has its default, but for whether it is paused.

    \b
    Example: cronward apply jobs.toml --dry-run
    Example: cronward apply jobs.toml --prune
    """
    from supervisor.definitions.batch import Batch

    place = place_of(ctx)
    source = _source(file)
    drafts = _drafts(file)
    with place.desk() as desk:
        jobs = list(desk.list_jobs())
        entries, refused = _entries(drafts, jobs, source, take_over)
        names = {draft["name"] for draft in drafts}
        gone = [job for job in jobs if job.applied_from == source and job.name not in names]
        batch = Batch(jobs=entries, remove=[job.id for job in gone] if prune else [], dry_run=dry_run or bool(refused))
        outcome = desk.change_jobs(batch)
    refused += [(each.label, each.error) for each in outcome.refused]
    kept = [] if prune else gone
    _report(outcome, refused, kept, dry_run, as_json)
    raise typer.Exit(2 if refused else 0)


def _source(file: str) -> str:
    """What the file is known by: its real path, for two files of one name are two files."""
    return "-" if file == "-" else os.path.realpath(file)


def _drafts(file: str) -> list[dict[str, Any]]:
    from supervisor.cli.given import read_given
    from supervisor.errors import InvalidError
    from supervisor.models import MAX_PROMPT
    from supervisor.moving.jobsfile import FILE_BYTES, read_jobs_file

    folder = Path.cwd() if file == "-" else Path(file).absolute().parent

    def read_prompt(path: str) -> str:
        data = read_given(str(folder / Path(path).expanduser()), "prompt file", MAX_PROMPT)
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise InvalidError(f"the prompt file {path!r} is not UTF-8 text: convert it.") from None

    drafts = read_jobs_file(read_given(file, "jobs file", FILE_BYTES), read_prompt)
    for draft in drafts:
        for key in ("work_dir", "read_paths", "write_paths"):
            if key in draft:
                draft[key] = _placed(draft[key], folder)
    return drafts


def _placed(value: object, folder: Path) -> object:
    """Paths as the supervisor understands them too: those in a file begin where it lies."""
    if isinstance(value, list):
        return [_placed(each, folder) for each in value]
    if not isinstance(value, str) or not value:
        return value
    return os.path.abspath(folder / Path(value).expanduser())  # noqa: PTH100 - resolving links is the desk's to judge


def _entries(
    drafts: Sequence[dict[str, Any]], jobs: Sequence[CronJob], source: str, take_over: bool
) -> tuple[list[Entry], list[tuple[str, str]]]:
    from supervisor.cli.jobs import user_name
    from supervisor.definitions.batch import Entry

    named = {job.id: job for job in jobs if not job.name} | {job.name: job for job in jobs if job.name}
    entries: list[Entry] = []
    refused: list[tuple[str, str]] = []
    for draft in drafts:
        name = draft["name"]
        before = named.get(name)
        if before is not None and before.applied_from != source and not take_over:
            whose = f"{before.applied_from} made it" if before.applied_from else "no file made it"
            refused.append((name, f"There is such a job, and {whose}. To change it all the same: --take-over"))
            continue
        facts = {**draft, "applied_from": source}
        if before is None:
            facts["created_by"] = user_name()
        entry = Entry(label=name, draft=facts, search_path=os.environ.get("PATH", ""))
        entries.append(entry.model_copy(update={"replaces": before.id if before is not None else ""}))
    return entries, refused


def _report(
    outcome: Outcome, refused: list[tuple[str, str]], kept: Sequence[CronJob], dry_run: bool, as_json: bool
) -> None:
    if as_json:
        render.show_json(
            outcome.model_dump(mode="json", exclude={"runs_kept", "runs_dropped"})
            | {"refused": [{"label": label, "error": text} for label, text in refused]}
            | {"no_longer_in_the_file": [job.model_dump(mode="json") for job in kept]}
        )
        return
    for line in _difference(outcome):
        render.say(line)
    for label, text in refused:
        render.say(f"! {label}: {text}")
    for job in kept:
        render.say(f"  {job.label} is not in the file any more; --prune removes it.")
    counts = (("added", outcome.added), ("changed", outcome.changed), ("removed", outcome.removed))
    done = ", ".join([f"{len(each)} {word}" for word, each in counts if each] + [f"{len(outcome.unchanged)} unchanged"])
    if refused:
        render.say(f"Nothing was stored: {len(refused)} refused.")
    elif dry_run:
        render.say(f"Nothing was stored (--dry-run): {done}.")
    else:
        render.say(f"Applied: {done}.")


def _difference(outcome: Outcome) -> Iterator[str]:
    for job in outcome.added:
        yield f"+ {job.label}  {job.cron_expr or (job.at.isoformat() if job.at else '')}"
    for change in outcome.changed:
        yield f"~ {change.after.label}"
        yield from _changes(change)
    for job in outcome.removed:
        yield f"- {job.label}"


def _changes(change: Change) -> Iterator[str]:
    before, after = change.before.definition(), change.after.definition()
    for key in before:
        if before[key] == after[key] or key in _QUIET:
            continue
        if isinstance(before[key], str) and "\n" in before[key] + str(after[key]):
            yield f"    {key}:"
            lines = difflib.unified_diff(before[key].splitlines(), str(after[key]).splitlines(), n=1, lineterm="")
            yield from (f"      {line}" for line in list(lines)[2:])
        else:
            yield f"    {key}: {_short(before[key])} -> {_short(after[key])}"


def _short(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
