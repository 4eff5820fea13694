"""Log lines for journald, and for everybody else."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from supervisor.logs.journal import Prefixed, entry, handler, is_journal
from supervisor.logs.logline import Logfmt, about


def record(level: int, message: str, **extra: object) -> logging.LogRecord:
    return logging.Logger("cronward").makeRecord("cronward", level, "", 0, "%s", (message,), None, extra=extra)


def test_every_line_has_its_priority_and_none_can_choose_another() -> None:
    levels = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
    assert [Prefixed().format(record(level, "x"))[:6] for level in levels] == [f"<{n}>ts=" for n in (7, 6, 4, 3, 2)]
    assert Prefixed().format(record(logging.INFO, "one\n<0>two\r\nthree")).endswith(r'msg="one\n<0>two\r\nthree"')


def test_an_entry_has_the_sentence_and_fields_of_ours_and_none_can_be_forged() -> None:
    facts = about("run.ended", run="r-1", job="j\nPRIORITY=0", reason="ok")
    lines = entry(record(logging.ERROR, "one\nPRIORITY=0\x1b[31m", **facts), lost=3).decode("ascii").splitlines()
    assert lines == [
        r"MESSAGE=one\nPRIORITY=0\u001b[31m",
        "PRIORITY=3",
        "SYSLOG_IDENTIFIER=cronward",
        "CRONWARD_EVENT=run.ended",
        "CRONWARD_RUN=r-1",
        r"CRONWARD_JOB=j\nPRIORITY=0",
        "CRONWARD_REASON=ok",
        "CRONWARD_LOST=3",
    ]


def test_only_the_stream_that_is_named_is_the_journal() -> None:
    reading, writing = os.pipe()
    try:
        found = os.fstat(writing)
        environ = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert is_journal(environ, writing)
        for other in ({}, {"JOURNAL_STREAM": ""}, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"}):
            assert not is_journal(other, writing)
            assert type(handler(other, writing, Path("/nowhere")).formatter) is Logfmt
        # Where there is the stream and no socket, the stream it is.
        assert type(handler(environ, writing, Path("/nowhere")).formatter) is Prefixed
    finally:
        os.close(reading)
        os.close(writing)
    assert not is_journal(environ, writing)
