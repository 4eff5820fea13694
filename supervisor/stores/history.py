"""One job's file of runs: which line says what. Pure: bytes in, bytes out.

The first line is a header: the summary of everything up to the last compaction, and how many of the lines below were
`folded` into it then. Each further line is one transition of one run, the whole record; the latest of a run counts.
What is kept: the `keep` runs that ended last, as many skips beside them, and whatever has not ended.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from supervisor.models import FORMAT_VERSION, NEVER, CronRun
from supervisor.reports.past import since
from supervisor.sentences import sentence
from supervisor.status import Status
from supervisor.stores.store import DamagedError, versioned
from supervisor.stores.summary import NOTHING, Summary, counts

LINE_BYTES = 4 << 20
"""A line is shorter than this, or damaged."""
SLACK = 16
"""Kept runs that a file is taken to have at least, so that a short one is not compacted at every other run."""
CROWDED = 4
"""How many lines per kept run make a file worth compacting: three quarters of it are then history of the history."""


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: int = FORMAT_VERSION
    folded: int = 0
    summary: Summary = NOTHING


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the latest record of a run lies, and what a decision needs of it."""

    offset: int
    length: int
    status: Status
    began: datetime
    ended: datetime
    """When it was over; of one that is not, when it began."""
    counted: bool
    since: datetime
    """Of one that is not over: since when it goes on, or was due."""

    @property
    def skip(self) -> bool:
        """Whether it is a skip, which is kept apart from runs."""
        return self.status is Status.SKIPPED


class Ended(NamedTuple):
    """How many runs are kept that are over."""

    runs: int
    skips: int


class History:
    """What one job's file says. Records stay on disk; here are only their places."""

    def __init__(self, job_id: str, keep: int) -> None:
        self.job_id = job_id
        self.keep = keep
        self.whole = True
        """Whether the place of every kept run is known. Else only appending is possible: see `resumed`."""
        self.summary = NOTHING
        self.problems: list[str] = []
        self._marks: dict[str, Mark] = {}  # in the order of their records: who ended first comes first
        self._live: dict[str, Mark] = {}  # those of them that have not ended
        self.lines = 0
        """How many it has below its header."""
        self.end = 0
        """Where its complete lines end in the file."""
        self._ended = {True: 0, False: 0}  # skips, runs
        self._placeless = {True: 0, False: 0}  # those of them whose places are not known: older than all others

    @classmethod
    def read(cls, path: Path, job_id: str, keep: int, file: BinaryIO) -> History:
        """What this open file says. Raises NewerError, or DamagedError where nothing of it can be used."""
        history = cls(job_id, keep)
        lines = _lines(file)
        first = next(lines, None)
        if first is None:
            raise DamagedError(f"{path} has no complete line.")
        line, offset = first
        folded = history._begin(path, line)
        for number, (line, length) in enumerate(lines):
            history._read(line, number + 2, offset, fold=number >= folded)
            offset += length
        history.end = offset
        return history

    @classmethod
    def resumed(cls, job_id: str, keep: int, end: int, lines: int, ended: Ended, summary: Summary) -> History:
        """One of whose file this is known, and that all its runs are over: so it grows at the same cost however long
        it is."""
        history = cls(job_id, keep)
        history.whole, history.end, history.lines, history.summary = False, end, lines, summary
        history._ended = {False: min(ended.runs, keep), True: min(ended.skips, keep)}
        history._placeless = dict(history._ended)
        return history

    def take(self, entry: CronRun, offset: int, length: int) -> None:
        """Note what was appended as a line at `offset`, `length` bytes without its newline."""
        self._fold(entry)
        self._put(entry, offset, length)
        self.lines += 1
        self.end = offset + length + 1

    def status_of(self, run_id: str) -> Status | None:
        """The status of a run that is kept."""
        mark = self._marks.get(run_id)
        return mark.status if mark else None

    def newest(self, status: Status | None = None) -> Iterator[Mark]:
        """The kept runs, newest first: in the order in which they were queued or started."""
        marks = [mark for mark in reversed(self._marks.values()) if status in (None, mark.status)]
        return iter(sorted(marks, key=lambda mark: mark.began, reverse=True))

    def newest_ended(self) -> Iterator[Mark]:
        """The runs that really started and are over, the one that ended last first."""
        return (mark for mark in reversed(self._marks.values()) if mark.counted and mark.status.final)

    def live(self) -> Iterator[Mark]:
        """The runs that have not ended, oldest first."""
        return iter(sorted(self._live.values(), key=lambda mark: mark.began))

    def beginning_with(self, prefix: str) -> Iterator[Mark]:
        """The kept runs whose id begins so."""
        return (mark for run_id, mark in self._marks.items() if run_id.startswith(prefix))

    def expire(self, before: datetime) -> int:
        """Forget the runs that are over and ended before this. Returns how many."""
        old = [run_id for run_id, mark in self._marks.items() if mark.status.final and mark.ended < before]
        for run_id in old:
            self._ended[self._marks.pop(run_id).skip] -= 1
        return len(old)

    @property
    def crowded(self) -> bool:
        """Whether most of the file is history that nobody will ask for."""
        return self.lines > CROWDED * max(self.kept, SLACK)

    def compacted(self, read: Callable[[Mark], bytes]) -> bytes:
        """The file without what is no longer wanted. `read`: the line at a mark."""
        kept = [read(mark) for mark in self._marks.values()]
        return first_line(self.summary, folded=len(kept)) + b"".join(line + b"\n" for line in kept)

    @property
    def kept(self) -> int:
        """How many runs are kept."""
        return len(self._live) + sum(self._ended.values())

    @property
    def ended(self) -> Ended:
        """How many of them are over."""
        return Ended(self._ended[False], self._ended[True])

    @property
    def unfinished(self) -> int:
        """How many runs have not ended."""
        return len(self._live)

    @property
    def weight(self) -> int:
        """What it takes to remember it, in runs."""
        return len(self._marks) + len(self.summary.spent) + 1

    def _begin(self, path: Path, line: bytes) -> int:
        try:
            header = _Header.model_validate(versioned(line, path, FORMAT_VERSION))
        except (ValidationError, DamagedError) as error:
            # The counts of what was dropped are gone with it; all that can be said is said from the lines themselves.
            self.problems.append(_complaint(1, error))
            self._read(line, 1, 0, fold=True, complain=False)
            return 0
        self.summary = header.summary
        return header.folded

    def _read(self, line: bytes, number: int, offset: int, *, fold: bool, complain: bool = True) -> None:
        try:
            self._read_run(line, offset, fold=fold)
        except (ValidationError, DamagedError) as error:
            if complain:
                self.problems.append(_complaint(number, error))
        self.lines += 1

    def _read_run(self, line: bytes, offset: int, *, fold: bool) -> None:
        run = CronRun.model_validate_json(line)
        if run.job_id != self.job_id:
            raise DamagedError(f"it belongs to the job {run.job_id}.")
        if fold:
            self._fold(run)
        self._put(run, offset, len(line))

    def _fold(self, run: CronRun) -> None:
        before = self._marks.get(run.id)
        counted, ended = (before.counted, before.status.final) if before else (False, False)
        self.summary = self.summary.after(run, counted=counted, ended=ended)

    def _put(self, run: CronRun, offset: int, length: int) -> None:
        before = self._marks.pop(run.id, None)
        if before is not None and before.status.final:
            self._ended[before.skip] -= 1
        mark = Mark(offset, length, run.status, began(run), ended(run), counts(run), since(run))
        self._marks[run.id] = mark
        if not mark.status.final:
            self._live[run.id] = mark
        else:
            self._live.pop(run.id, None)
            self._ended[mark.skip] += 1
            self._trim(skips=mark.skip)

    def _trim(self, *, skips: bool) -> None:
        """Forget the one that ended first, of runs or of skips, where they are too many now."""
        if self._ended[skips] <= self.keep:
            return
        self._ended[skips] -= 1
        if self._placeless[skips]:
            self._placeless[skips] -= 1
        else:
            ended = (run_id for run_id, mark in self._marks.items() if mark.status.final and mark.skip == skips)
            del self._marks[next(ended)]


def began(run: CronRun) -> datetime:
    """When it was first heard of: when it was queued, else when it started, else when it was due."""
    return next((at for at in (run.queued_at, run.started_at) if at != NEVER), run.scheduled_at)


def ended(run: CronRun) -> datetime:
    """When it was over, as far as it is known."""
    return run.finished_at if run.finished_at != NEVER else began(run)


def _lines(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """The complete lines without their newlines, and how many bytes each takes; one that is too long comes empty."""
    while line := file.readline(LINE_BYTES):
        length = len(line)
        while not line.endswith(b"\n"):
            more = file.readline(LINE_BYTES)
            if not more:
                return  # torn: never acknowledged to anybody
            line, length = more[-1:], length + len(more)
        yield line[:-1], length


def check_header(path: Path, file: BinaryIO) -> None:
    """Raises NewerError for a file of a later version, DamagedError where nothing of it can be used."""
    line = next(_lines(file), None)
    if line is None:
        raise DamagedError(f"{path} has no complete line.")
    with suppress(DamagedError):  # a damaged header is a problem, and the lines below it are good
        versioned(line[0], path, FORMAT_VERSION)


def _complaint(number: int, error: ValidationError | DamagedError) -> str:
    what = f"line {number}"
    return sentence(error, what) if isinstance(error, ValidationError) else f"{what}: {error}"


def first_line(summary: Summary, folded: int) -> bytes:
    """A file's header."""
    return encoded({"version": FORMAT_VERSION, "folded": folded, "summary": summary.model_dump(mode="json")})


def encoded(record: dict[str, Any]) -> bytes:
    """One line, ASCII only: what an agent answered must not steer the terminal of whoever looks with `tail`."""
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
