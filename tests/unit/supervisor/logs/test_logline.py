"""A line of the log: one line whatever is in it, and no key that was not ours."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import datetime
from inspect import signature
from pathlib import Path
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from supervisor.logs.logline import MOST_CHARS, LogEvent, Logfmt, about

MEMBER = re.compile(r'([a-z]+)=("(?:[^"\\]|\\.)*"|[A-Za-z0-9_./:+-]+)(?: |$)')


def made(message: str, *args: object, name: str = "cronward", **extra: object) -> logging.LogRecord:
    logger = logging.Logger(name)
    return logger.makeRecord(name, logging.WARNING, "x.py", 1, message, args, None, extra=extra)


def read(line: str) -> dict[str, str]:
    """By a reader of its own, which takes nothing but whole members."""
    found: dict[str, str] = {}
    at = 0
    while at < len(line):
        member = MEMBER.match(line, at)
        assert member, line[at : at + 40]
        key, value = member.groups()
        assert key not in found, key
        found[key] = json.loads(value) if value.startswith('"') else value
        at = member.end()
    return found


def broken(error: BaseException, name: str = "cronward") -> logging.LogRecord:
    record = made("%s", "it broke", name=name)
    try:
        raise error
    except type(error):
        record.exc_info = sys.exc_info()
    return record


def test_a_line_says_when_how_grave_and_about_what_and_ends_with_a_sentence() -> None:
    extra = about("run.ended", run="r-1", job="j", attempt=2, status="failed", reason="timeout_wall", seconds=1.23456)
    line = Logfmt().format(made("run %s: %s", "r-1", "failed", **extra))
    members = read(line)
    assert list(members) == ["ts", "level", "event", "run", "job", "attempt", "status", "reason", "seconds", "msg"]
    assert datetime.fromisoformat(members["ts"]).tzinfo is not None
    assert line.endswith(
        " level=warning event=run.ended run=r-1 job=j attempt=2 status=failed reason=timeout_wall seconds=1.235"
        ' msg="run r-1: failed"'
    )
    assert [read(Logfmt().format(made("x", **about("told"))))["event"], read(Logfmt().format(made("x")))["event"]] == [
        "told",
        "note",
    ]
    assert len(set(get_args(LogEvent))) == len(get_args(LogEvent))


@given(st.text(max_size=60), st.text(max_size=60))
def test_hostile_text_begins_neither_a_line_nor_a_key(message: str, job: str) -> None:
    for words in (message, f'" event=run.ended msg="{message}\nts=1 level=info event=run.ended', f"{message}\\"):
        line = Logfmt().format(made("%s", words, **about("note", job=job)))
        assert line.isascii()
        assert line.isprintable()
        members = read(line)
        assert set(members) == {"ts", "level", "event", "msg"} | ({"job"} if job else set())
        assert (members["msg"], members.get("job", "")) == (words, job)


def test_every_event_and_key_is_documented() -> None:
    page = (Path(__file__).parents[4] / "docs" / "keeping-it-running.md").read_text()
    keys = set(signature(about).parameters) | {"ts", "level", "msg", "trace"}
    assert [word for word in (*get_args(LogEvent), *keys) if f"`{word}`" not in page] == []


def test_a_flood_is_cut() -> None:
    line = Logfmt().format(made("x" * 10**6, **about("note", run="é" * 10**6)))
    assert len(line) < 8 * MOST_CHARS


def test_of_an_exception_the_log_has_places_and_types_and_no_words_of_it() -> None:
    try:
        raise KeyError("SECRET-PROMPT")
    except KeyError as error:
        inner = error
    outer = RuntimeError("SECRET-ANSWER")
    outer.__cause__ = inner
    line = Logfmt().format(broken(outer))
    assert "SECRET" not in line
    members = read(line)
    assert members["event"] == "defect"
    assert re.search(r"^Traceback: .*logs/test_logline\.py:\d+ broken", members["trace"])
    assert members["trace"].endswith("KeyError")
    assert "RuntimeError; caused by " in members["trace"]
    aio = made("Exception in callback f('SECRET')", name="asyncio")
    aio.exc_info = broken(outer).exc_info
    assert "SECRET" not in Logfmt().format(aio)
