"""One line of the supervisor's log: keys that stay as they are, for programs, and a sentence, for people.

    ts=2026-11-24T03:00:17.512+01:00 level=info event=run.ended run=48a8… status=completed reason=ok msg="run 48a8…: …"

A line is one line of ASCII whatever is in it: a value that is more than a plain word is quoted and escaped as JSON
is, so that what a run or a file made us say can neither begin a line nor a key. Of an exception it has the places and
the type: its words could hold a prompt.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

LogEvent = Literal[
    "supervisor.ready",
    "supervisor.signal",
    "supervisor.stopped",
    "config.read",
    "config.refused",
    "run.due",
    "run.claimed",
    "run.started",
    "run.retried",
    "run.overdue",
    "run.ended",
    "run.unstored",
    "job.paused",
    "job.unscheduled",
    "store.damaged",
    "pruned",
    "told",
    "told.later",
    "told.never",
    "defect",
    "note",
]
"""What a line is about. `defect`: an error of ours; `note`: anything that has no word of its own."""
MOST_CHARS = 8192
"""Of one value; a line is a few of them."""
_FRAMES = 20
_PLAIN = re.compile(r"[A-Za-z0-9_./:+-]+")
_FACTS = "facts"


def about(
    event: LogEvent,
    *,
    run: str = "",
    job: str = "",
    attempt: int = 0,
    status: str = "",
    reason: str = "",
    seconds: float | None = None,
    channel: str = "",
    tries: int = 0,
) -> dict[str, object]:
    """What a line is about, as the `extra` of a call of a logger. What is empty is left out."""
    given: tuple[tuple[str, str | int], ...] = (
        ("event", event),
        ("run", run),
        ("job", job),
        ("attempt", attempt),
        ("status", status),
        ("reason", reason),
        ("seconds", "" if seconds is None else f"{seconds:.3f}"),
        ("channel", channel),
        ("tries", tries),
    )
    return {_FACTS: {key: str(value) for key, value in given if value}}


def facts_of(record: logging.LogRecord) -> Mapping[str, str]:
    """What it is about, at least its event."""
    found: Mapping[str, str] | None = getattr(record, _FACTS, None)
    return found or {"event": "defect" if record.exc_info else "note"}


def sentence_of(record: logging.LogRecord) -> str:
    """What people read. asyncio would show the arguments of what broke, and those are anything."""
    if record.name == "asyncio" and record.exc_info:
        return "A task of the loop broke."
    return record.getMessage()


def trace_of(record: logging.LogRecord) -> str:
    """Where an exception came from, the innermost place last, and the types of it and its causes. Empty: none did."""
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    return "Traceback: " + "; caused by ".join(_told(error) for error in _causes(record.exc_info[1]))


def escaped(text: str) -> str:
    """The text as one line of printable ASCII, cut if it is long."""
    return json.dumps(text[:MOST_CHARS])[1:-1].replace("\x7f", "\\u007f")


class Logfmt(logging.Formatter):
    """`key=value` in one line: the time, the level, what it is about, the sentence."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone()
        members = [
            ("ts", at.isoformat(timespec="milliseconds")),
            ("level", record.levelname.lower()),
            *facts_of(record).items(),
        ]
        plain = " ".join(f"{key}={value if _PLAIN.fullmatch(value) else _quoted(value)}" for key, value in members)
        trace = trace_of(record)
        return f"{plain} msg={_quoted(sentence_of(record))}" + (f" trace={_quoted(trace)}" if trace else "")


def _quoted(text: str) -> str:
    return f'"{escaped(text)}"'


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_FRAMES):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _told(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    places = " > ".join(f"{_short(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames)
    return f"{places}: {type(error).__name__}"


def _short(path: str) -> str:
    return "/".join(Path(path).parts[-2:])
