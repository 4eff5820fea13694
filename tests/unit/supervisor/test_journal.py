"""Log lines for journald, and for everybody else."""

from __future__ import annotations

import logging
import os

from supervisor.journal import JournalFormatter, formatter, is_journal


def line(level: int, message: str) -> str:
    return JournalFormatter().format(logging.LogRecord("cronward", level, "", 0, message, (), None))


def test_every_line_has_its_priority_and_none_can_choose_another() -> None:
    levels = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
    assert [line(level, "x") for level in levels] == ["<7>x", "<6>x", "<4>x", "<3>x", "<2>x"]
    assert line(logging.INFO, "one\n<0>two\r\nthree") == "<6>one\n<6><0>two\n<6>three"
    assert line(logging.INFO, "") == "<6>"


def test_only_the_stream_that_is_named_is_the_journal() -> None:
    reading, writing = os.pipe()
    try:
        found = os.fstat(writing)
        environ = {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        assert is_journal(environ, writing)
        assert isinstance(formatter(environ, writing), JournalFormatter)
        for other in ({}, {"JOURNAL_STREAM": ""}, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"}):
            assert not is_journal(other, writing)
            assert not isinstance(formatter(other, writing), JournalFormatter)
    finally:
        os.close(reading)
        os.close(writing)
    assert not is_journal(environ, writing)
