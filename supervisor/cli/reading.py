"""The files of a run's attempts, shown without trusting a byte of them, and without holding more than a piece."""

from __future__ import annotations

import codecs
import json
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from supervisor.cli import render
from supervisor.cli.escape import escape_lines
from supervisor.cli.waiting import changes
from supervisor.errors import StoreError
from supervisor.models import CronRun, Status

if TYPE_CHECKING:
    from supervisor.cli.place import Place

ANSWER, ERRORS, OUTPUT = "answer", "stderr", "stdout"
TASKS = ("gate", "check")
_TITLES = {ANSWER: "answer", ERRORS: "standard error", OUTPUT: "output", "gate": "gate", "check": "check"}
_PIECE = 64 << 10


def show(place: Place, run: CronRun) -> None:
    """Every attempt's answer and standard error, under headings."""
    render.show_facts(_head(run))
    shown = False
    for attempt in attempts(place, run):
        # Without an accepted answer, what the agent wrote instead of one.
        for name in (ANSWER if _size(file_of(place, run, attempt, ANSWER)) else OUTPUT, ERRORS, *TASKS):
            shown |= _Tail(file_of(place, run, attempt, name), _heading(attempt, name)).more(last=True)
    if not shown:
        render.warn("No output of it is kept." if run.status.final else "There is no output yet; follow it with -f.")


def show_answer(place: Place, run: CronRun) -> None:
    """The answer of the last attempt alone; what the record keeps of it where the file is gone."""
    path = file_of(place, run, run.attempt, ANSWER)
    if _size(path):
        _Tail(path, "").more(last=True)
    else:
        render.say(run.response)


def follow(place: Place, run: CronRun) -> None:
    """What the run writes, as it writes it, until it has ended."""
    tails: dict[tuple[int, str], _Tail] = {}
    for current in changes(place, run):
        run = current
        for attempt in attempts(place, run):
            for name in (OUTPUT, ERRORS):
                path = file_of(place, run, attempt, name)
                tail = tails.setdefault((attempt, name), _Tail(path, _heading(attempt, name)))
                tail.more(last=run.status.final or attempt < run.attempt)
    render.show_facts(_head(run))


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
        for name in (ANSWER, OUTPUT, ERRORS):
            typer.echo(f', "{name}": "', nl=False)
            for text in _texts(file_of(place, run, attempt, name)):
                typer.echo(json.dumps(text)[1:-1], nl=False)
            typer.echo('"', nl=False)
        typer.echo("}", nl=False)
    typer.echo("]}")


class _Tail:
    """One file, read from where it was read last. Its heading comes before its first text."""

    def __init__(self, path: Path, heading: str) -> None:
        self._path = path
        self._heading = heading
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._ended_line = True

    def more(self, *, last: bool) -> bool:
        """Show what is new; whether there was anything, now or before. `last`: no more will come."""
        for data in pieces(self._path, self._offset):
            if self._heading and not self._offset:
                render.say(self._heading)
            self._offset += len(data)
            self._say(self._decoder.decode(data))
        if last:
            self._say(self._decoder.decode(b"", final=True))
            if not self._ended_line:
                typer.echo()
                self._ended_line = True
        return self._offset > 0

    def _say(self, text: str) -> None:
        if text:
            typer.echo(escape_lines(text), nl=False)
            self._ended_line = text.endswith("\n")


def _head(run: CronRun) -> list[tuple[str, render.Cell | str]]:
    from supervisor.cli.page import run_facts

    return list(run_facts(run)) if run.status is not Status.QUEUED else [("run", run.id), ("status", "queued")]


def _heading(attempt: int, name: str) -> str:
    return f"\n--- attempt {attempt}: {_TITLES[name]}"


def attempts(place: Place, run: CronRun) -> Sequence[int]:
    """Those that left a directory, in order."""
    with suppress(FileNotFoundError):
        names = [path.name for path in (place.home.logs / run.id).iterdir()]
        return sorted(int(name) for name in names if name.isascii() and name.isdecimal() and len(name) < 6)
    return ()


def file_of(place: Place, run: CronRun, attempt: int, name: str) -> Path:
    return place.home.log_dir(run.id, attempt) / name


def _size(path: Path) -> int:
    with suppress(OSError):
        return path.lstat().st_size
    return 0


def _texts(path: Path) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for data in pieces(path, 0):
        yield decoder.decode(data)
    yield decoder.decode(b"", final=True)


def pieces(path: Path, offset: int) -> Iterator[bytes]:
    """The file from `offset` to where it ends now; nothing where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"The file {path} cannot be read: {error.strerror}.") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise StoreError(f"{path} is no regular file.")
        file.seek(offset)
        # Up to the length that it has now: one that grows faster than it is shown must not hold this reader for ever.
        left = found.st_size - offset
        while left > 0 and (data := file.read(min(_PIECE, left))):
            left -= len(data)
            yield data
