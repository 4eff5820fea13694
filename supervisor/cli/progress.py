"""A line below what a live run writes, that says how it stands, and goes when it writes more."""

from __future__ import annotations

import os
import sys
from datetime import datetime

from supervisor.cli.cells import clipped, even
from supervisor.cli.escape import escape
from supervisor.cli.render import columns, on_terminal, styled
from supervisor.cli.times import clock, span
from supervisor.models import NEVER, CronRun
from supervisor.status import Status

_ERASE = "\r\x1b[K"


class Progress:
    """Only where output and errors both go to a terminal; else nothing is ever written."""

    def __init__(self) -> None:
        self._wanted = on_terminal() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._there = False

    def hide(self) -> None:
        """Make room for what the run writes."""
        if self._there:
            self._write(_ERASE)
            self._there = False

    def show(self, run: CronRun, now: datetime) -> None:
        """How it stands; output must be at the beginning of a line."""
        if self._wanted and not run.status.final:
            sys.stdout.flush()
            text = clipped(even(escape(words(run, now))), columns() - 1)
            self._write(f"{_ERASE}{styled(text, 'dim')}")
            self._there = True

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()


def words(run: CronRun, now: datetime) -> str:
    """Status, attempt and time, or what it waits for."""
    if run.status is Status.QUEUED:
        return f"queued for {_since(run.queued_at, now)}"
    total = f"{run.status.value} for {_since(run.started_at, now)}"
    if run.retry_at is not None and run.status is Status.RUNNING:
        return f"{total}; attempt {run.attempt} failed, the next is at {clock(run.retry_at, now)}: {run.error}"
    return f"{total}, attempt {run.attempt}"


def _since(at: datetime, now: datetime) -> str:
    return span(max(0.0, (now - at).total_seconds())) if at != NEVER else "0 s"
