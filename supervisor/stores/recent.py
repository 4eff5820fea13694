"""The newest part of one job's file of runs, read from its end: it costs what happened lately, not all that ever did.

Lines stand in the order in which they were written, and that a run ended is written when it ends. Only a recovery
writes ends that lie back, of the few runs that were open; so the reading goes on some lines beyond the first old end.
A run that goes on for days may lie behind many that ended meanwhile, so whoever reads has to know how many there are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from pydantic import ValidationError

from supervisor.models import NEVER, CronRun
from supervisor.status import Status
from supervisor.stores.history import LINE_BYTES

LINES_BEYOND = 8
BLOCK = 16 << 10
# A line is JSON: in a text of an agent's each quote has a backslash, so nothing in it looks like one of these.
_ID = re.compile(rb'\{"id":"([^"\\]+)"')
_SKIPPED = re.compile(rb'"status":"skipped"')
_MANUAL = re.compile(rb'"trigger":"manual"')
_FINISHED = re.compile(rb'"finished_at":"([^"\\]+)"')
_SCHEDULED = re.compile(rb'"scheduled_at":"([^"\\]+)"')


@dataclass(frozen=True, slots=True)
class Recent:
    """What became of one job since some instant."""

    job_id: str
    runs: tuple[CronRun, ...] = ()
    """Those that ended since then or have not ended, as they stand; the one that was written last comes first."""
    before: CronRun | None = None
    """Where no run is among them that ended, skips aside: the latest that had ended before."""
    whole: bool = True
    """Whether these are all. Else so many ended that the older ones of them are not kept any more."""
    settled: datetime = NEVER
    """The latest occurrence of its schedule that was found; never, where none has a record."""
    damaged: int = 0
    """Lines among them that cannot be read."""

    @property
    def newest_ended(self) -> CronRun | None:
        """The run that ended last, whenever that was; a skip is none."""
        return next((run for run in self.runs if _is_end(run)), self.before)


def read_recent(file: BinaryIO, job_id: str, since: datetime, keep: int, live: int) -> Recent:
    """What this open file says of the time since then. `keep`: how many runs, and skips beside them, are kept; `live`:
    how many of them have not ended."""
    look = _Look(job_id, since, live)
    for line in _lines_back(file):
        if not look.take(line):
            break
    skips = [run for run in look.runs if run.status is Status.SKIPPED]
    ends = [run for run in look.runs if _is_end(run)]
    dropped = {run.id for run in (*skips[keep:], *ends[keep:])}
    runs = tuple(run for run in look.runs if run.id not in dropped)
    whole = len(skips) < keep and len(ends) < keep
    return Recent(job_id, runs, look.before, whole, look.settled, look.damaged)


class _Look:
    """What was found so far, from the end of the file on."""

    def __init__(self, job_id: str, since: datetime, live: int) -> None:
        self._job_id, self._since, self._live = job_id, since, live
        self._seen: set[bytes] = set()
        self._old = 0
        self._ended = False
        self.runs: list[CronRun] = []
        self.before: CronRun | None = None
        self.settled = NEVER
        self.damaged = 0

    def take(self, line: bytes) -> bool:
        """One line more; whether those before it can matter."""
        known = _ID.match(line)
        if known and known[1] in self._seen:
            return True  # superseded
        self._seen |= {known[1]} if known else set()
        if not _MANUAL.search(line):
            self.settled = max(self.settled, _instant(line, _SCHEDULED))
        if not NEVER < _instant(line, _FINISHED) < self._since:
            self._note(line)
            return True
        self._old += 1
        if not self._ended and not _SKIPPED.search(line):
            self.before = self._read(line)
            self._ended = self.before is not None
        return self._old <= LINES_BEYOND or self._live > 0 or not self._ended or self.settled == NEVER

    def _note(self, line: bytes) -> None:
        run = self._read(line)
        if run is not None:
            self.runs.append(run)
            self._ended |= _is_end(run)
            self._live -= not run.status.final

    def _read(self, line: bytes) -> CronRun | None:
        try:
            run = CronRun.model_validate_json(line)
        except ValidationError:
            run = None
        if run is None or run.job_id != self._job_id:
            self.damaged += 1
            return None
        return run


def _is_end(run: CronRun) -> bool:
    return run.status.final and run.status is not Status.SKIPPED


def _instant(line: bytes, key: re.Pattern[bytes]) -> datetime:
    """What stands there; never, where nothing does that can be read."""
    found = key.search(line)
    try:
        at = datetime.fromisoformat(found[1].decode("ascii")) if found else NEVER
    except ValueError:
        return NEVER
    return at if at.tzinfo is not None else NEVER


def _lines_back(file: BinaryIO) -> Iterator[bytes]:
    """The complete lines, the last first, without the header; up to one that is longer than any may be."""
    fd, tail, start = file.fileno(), b"", os.fstat(file.fileno()).st_size
    torn = True
    while start > 0 and len(tail) <= LINE_BYTES:
        block = min(BLOCK, start)
        start -= block
        first, *lines = (os.pread(fd, block, start) + tail).split(b"\n")
        if torn and lines:  # what follows the last newline was never acknowledged to anybody
            lines.pop()
            torn = False
        yield from reversed(lines)
        tail = first if not torn else b""
