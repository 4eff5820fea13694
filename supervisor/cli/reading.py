"""The files of a run's attempts, shown without trusting a byte of them, and without holding more than a piece."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from supervisor.cli import render
from supervisor.cli.tail import Tail, size_of, texts
from supervisor.cli.transcript import FILE, Transcript, raw_entries
from supervisor.cli.waiting import changes
from supervisor.models import CronRun
from supervisor.status import Status

if TYPE_CHECKING:
    from supervisor.cli.place import Place

ANSWER, ERRORS, OUTPUT = "answer", "stderr", "stdout"
TASKS = ("gate", "check")
_TITLES = {ANSWER: "answer", ERRORS: "standard error", OUTPUT: "output", FILE: "transcript"}


def show(place: Place, run: CronRun) -> None:
    """Every attempt's answer and standard error, under headings."""
    render.show_facts(_head(run))
    shown = False
    for attempt in attempts(place, run):
        transcript = Transcript(file_of(place, run, attempt, FILE), _heading(attempt, FILE))
        told = transcript.more(last=True)
        shown |= told
        for name in (*_answers(place, run, attempt, transcript.said if told else None), ERRORS, *TASKS):
            shown |= Tail(file_of(place, run, attempt, name), _heading(attempt, name)).more(last=True)
    if not shown:
        render.warn("No output of it is kept." if run.status.final else "There is no output yet; follow it with -f.")


def _answers(place: Place, run: CronRun, attempt: int, said: str | None) -> Sequence[str]:
    """Its answer; without an accepted one, what the agent wrote instead. `said`: what the transcript ended with, and
    None where there is none: what stands there is not shown twice."""
    path = file_of(place, run, attempt, ANSWER)
    if said is None:
        return (ANSWER if size_of(path) else OUTPUT,)
    same = size_of(path) <= 2 * len(said.encode()) + 2 and "".join(texts(path)).strip() == said.strip()
    return () if same else (ANSWER,)


def show_answer(place: Place, run: CronRun) -> None:
    """The answer of the last attempt alone; what the record keeps of it where the file is gone."""
    path = file_of(place, run, run.attempt, ANSWER)
    if size_of(path):
        Tail(path, "").more(last=True)
    else:
        render.say(run.response)


def follow(place: Place, run: CronRun) -> None:
    """What the run writes, as it writes it, until it has ended."""
    from supervisor.cli.progress import Progress

    tails: dict[tuple[int, str], Tail | Transcript] = {}
    progress = Progress()
    try:
        for current in changes(place, run):
            run = current
            progress.hide()
            _show_more(place, run, tails)
            if all(tail.ended_line for tail in tails.values()):
                progress.show(run, place.now)
    finally:
        progress.hide()
    render.show_facts(_head(run))


def _show_more(place: Place, run: CronRun, tails: dict[tuple[int, str], Tail | Transcript]) -> None:
    """What its attempts have written since the last time."""
    for attempt in attempts(place, run):
        transcribed = file_of(place, run, attempt, FILE).is_file()
        for name in (FILE if transcribed else OUTPUT, ERRORS, *TASKS):
            path, kind = file_of(place, run, attempt, name), Transcript if name == FILE else Tail
            tail = tails.setdefault((attempt, name), kind(path, _heading(attempt, name)))
            tail.more(last=run.status.final or attempt < run.attempt)


def wait_for_end(place: Place, run: CronRun) -> CronRun:
    """The run when it has ended."""
    for current in changes(place, run):
        run = current
    return run


def show_json(place: Place, run: CronRun) -> None:
    """The record, and the texts of each attempt, written piece by piece."""
    typer.echo('{"run": ' + json.dumps(run.model_dump(mode="json")) + ',\n "attempts": [', nl=False)
    for place_in_list, attempt in enumerate(attempts(place, run)):
        typer.echo(("," if place_in_list else "") + f'\n  {{"attempt": {attempt}', nl=False)
        for name in (ANSWER, OUTPUT, ERRORS, *(name for name in TASKS if file_of(place, run, attempt, name).is_file())):
            typer.echo(f', "{name}": "', nl=False)
            for text in texts(file_of(place, run, attempt, name)):
                typer.echo(json.dumps(text)[1:-1], nl=False)
            typer.echo('"', nl=False)
        if file_of(place, run, attempt, FILE).is_file():
            typer.echo(', "transcript": [', nl=False)
            for at, entry in enumerate(raw_entries(file_of(place, run, attempt, FILE))):
                typer.echo(("," if at else "") + f"\n   {entry}", nl=False)
            typer.echo("]", nl=False)
        typer.echo("}", nl=False)
    typer.echo("]}")


def _head(run: CronRun) -> list[tuple[str, render.Cell | str]]:
    from supervisor.cli.page import run_facts

    return list(run_facts(run)) if run.status is not Status.QUEUED else [("run", run.id), ("status", "queued")]


def _heading(attempt: int, name: str) -> str:
    return f"\n--- attempt {attempt}: {_TITLES.get(name, name)}"


def attempts(place: Place, run: CronRun) -> Sequence[int]:
    """Those that left a directory, in order."""
    with suppress(FileNotFoundError):
        names = [path.name for path in (place.home.logs / run.id).iterdir()]
        return sorted(int(name) for name in names if name.isascii() and name.isdecimal() and len(name) < 6)
    return ()


def file_of(place: Place, run: CronRun, attempt: int, name: str) -> Path:
    return place.home.log_dir(run.id, attempt) / name
