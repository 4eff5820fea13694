"""What an agent said and did, for reading: its transcript, one entry after the other.

The runner wrote its lines, but their texts are the agent's: all is escaped, and what is long is cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import typer

from supervisor.cli import render
from supervisor.cli.escape import escape_lines
from supervisor.cli.tail import pieces

FILE = "transcript.jsonl"
LINE_MOST = 1 << 20
RESULT_LINES, RESULT_CHARS = 10, 1000
USAGE_CHARS = 200
_INDENT = " " * 11
Entry = Mapping[str, Any]


class Shown(NamedTuple):
    """`piece`: the text goes on where the one before it ended."""

    text: str
    style: render.Style = ""
    piece: bool = False


class Transcript:
    """One attempt's, read from where it was read last. Its heading comes before its first entry."""

    def __init__(self, path: Path, heading: str) -> None:
        self._path, self._heading = path, heading
        self._offset, self._rest = 0, b""
        self._open: object = None
        self.said = ""
        """What the agent said last."""

    def more(self, *, last: bool) -> bool:
        """Show what is new; whether there was anything, now or before. `last`: no more will come."""
        for data in pieces(self._path, self._offset):
            if self._heading and not self._offset:
                render.say(self._heading)
            self._offset += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._show(entry_of(line))
            self._rest = self._rest[:LINE_MOST]
        if last:
            self._end_line(None)
        return self._offset > 0

    @property
    def ended_line(self) -> bool:
        """Whether what was shown so far ended with its line."""
        return self._open is None

    def _show(self, entry: Entry) -> None:
        kind = entry.get("kind")
        if kind == "text":
            text = _text(entry)
            self.said = (self.said + text if entry.get("piece") and self._open == kind else text)[-LINE_MOST:]
        shown = words_of(entry)
        self._end_line(kind if shown.piece else None)
        typer.echo(render.styled(escape_lines(shown.text), shown.style), nl=not shown.piece)
        self._open = kind if shown.piece else None

    def _end_line(self, kind: object) -> None:
        """Unless what comes goes on with it."""
        if self._open is not None and self._open != kind:
            typer.echo()
            self._open = None


def entry_of(line: bytes) -> Entry:
    """What a line holds. One that is none of ours is told as an error."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    return {"kind": "error", "text": f"A line of {len(line)} bytes is no entry of a transcript."}


def words_of(entry: Entry) -> Shown:
    """An entry as it is shown."""
    kind, text = entry.get("kind"), _text(entry)
    if kind in ("text", "thought"):
        style: render.Style = "dim" if kind == "thought" else ""
        return Shown(text, style, piece=bool(entry.get("piece")))
    if kind == "tool_call":
        what = next((str(entry[key]) for key in ("command", "path") if entry.get(key)), _first_line(text))
        return Shown(f"{_at(entry)}{entry.get('name') or 'tool'}: {_indented(what)}", "cyan")
    if kind == "tool_result":
        failed = bool(entry.get("failed"))
        return Shown(f"{_INDENT}{'failed: ' * failed}{_indented(cut(text))}", "red" if failed else "dim")
    if kind == "usage":
        return Shown(f"{_INDENT}usage: {_first_line(text)}", "dim")
    return Shown(f"{_at(entry)}{kind or 'error'}: {_indented(cut(text))}", "red")


def cut(text: str) -> str:
    """The first lines of it, and how much more there is."""
    lines = text.rstrip("\n").split("\n")
    kept = "\n".join(lines[:RESULT_LINES])[:RESULT_CHARS]
    more = len(text.rstrip("\n")) - len(kept)
    return f"{kept}\n… {more} more characters" if more > 0 else kept


def raw_entries(path: Path) -> Iterator[str]:
    """Each entry as JSON, in ASCII."""
    rest = b""
    for data in pieces(path, 0):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield json.dumps(entry_of(line))
        rest = rest[:LINE_MOST]


def _text(entry: Entry) -> str:
    text = str(entry.get("text") or "")
    return f"{text} … (cut)" if entry.get("cut") else text


def _at(entry: Entry) -> str:
    at = entry.get("at")
    return f"{at:7.1f} s  " if isinstance(at, int | float) else _INDENT


def _indented(text: str) -> str:
    return text.replace("\n", f"\n{_INDENT}")


def _first_line(text: str) -> str:
    line = text.partition("\n")[0]
    return line if len(line) <= USAGE_CHARS else f"{line[:USAGE_CHARS]}…"
