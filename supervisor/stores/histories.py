"""What the files of runs say, remembered for a bounded number of runs and only while a file has not changed."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from supervisor.errors import InvalidError, StoreError
from supervisor.models import CronRun
from supervisor.sentences import shown
from supervisor.stores import sums
from supervisor.stores.asciijson import to_ascii_json
from supervisor.stores.history import LINE_BYTES, Ended, History, Mark, check_header
from supervisor.stores.recent import Recent, read_recent
from supervisor.stores.store import IDENTIFIER, Damage, DamagedError, UnreadableError, failure, file_of, open_regular
from supervisor.stores.summary import NOTHING, Summary

FILE_BYTES = 1 << 30
REMEMBERED_RUNS = 50_000
"""Runs whose places are held in memory, at about 250 bytes each."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Pick = Callable[[History], Iterable[Mark]]


@dataclass(frozen=True, slots=True)
class _Known:
    history: History
    state: sums.State
    weight: int


class Histories:
    """The files of runs in one directory, and what is noted of them in another."""

    def __init__(self, directory: Path, keep: int, notes: Path) -> None:
        self.directory = directory
        self.keep = keep
        self.noting = False
        """Whether what is read whole is noted: for a supervisor that starts."""
        self._notes = notes
        self.damaged: dict[str, Damage] = {}
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._weight = 0

    def path(self, job_id: str) -> Path:
        """The file of this job. Raises InvalidError where the text cannot be a job's id."""
        path = file_of(self.directory, job_id, ".jsonl")
        if path is None:
            raise InvalidError(f"{shown(job_id)} is no id of a job.")
        return path

    def job_ids(self) -> list[str]:
        """The jobs that have a file, those changed last first."""
        return [job_id for job_id, _ in self.changes()]

    def changes(self) -> list[tuple[str, datetime]]:
        """The same, with when it was last written."""
        try:
            with os.scandir(self.directory) as entries:
                found = [(_changed(entry), entry.name[: -len(".jsonl")]) for entry in entries if _is_ours(entry.name)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise failure("read", self.directory, error) from None
        return [(job_id, _EPOCH + timedelta(microseconds=at // 1000)) for at, job_id in sorted(found, reverse=True)]

    def get(self, job_id: str) -> History | None:
        """What the file of this job says; None where there is none. Raises DamagedError, NewerError, StoreError."""
        known = self._known.get(job_id)
        if known and known.history.whole and known.state == sums.state_at(self.path(job_id)):
            self._known.move_to_end(job_id)
            return known.history
        file = self._open(job_id)
        if file is None:
            return None
        with file:
            return self._read(job_id, file)

    def growing(self, run: CronRun) -> History | None:
        """The same of its job, to append this record to. It is not whole where a note says all that this takes; only
        what ends without ever having begun is looked up among all runs. Raises as `get` does."""
        history = self._known_or_noted(run.job_id)
        if history is None or (run.status.final and history.status_of(run.id) is None):
            return self.get(run.job_id)
        return history

    def summary(self, job_id: str) -> Summary:
        """What the file of this job comes to; nothing, where there is none. Raises as `get` does."""
        known = self._glance(job_id, sums.state_at(self.path(job_id)))
        if known is not None:
            return known[0]
        history = self.get(job_id)
        return history.summary if history else NOTHING

    def settled(self, job_id: str) -> Summary | None:
        """The same, if it is known without reading the file that all its runs have ended. None: it is not."""
        known = self._glance(job_id, sums.state_at(self.path(job_id)))
        return known[0] if known is not None and not known[1] else None

    def records(self, job_id: str, pick: Pick, last: int | None = None) -> list[CronRun]:
        """The records at the first `last` marks that `pick` names. Raises as `get` does."""
        file = self._open(job_id)
        if file is None:
            return []
        with file:
            # One descriptor for the places and for what lies there: a compaction in between makes another file.
            marks = islice(pick(self._read(job_id, file)), None if last is None else max(0, last))
            return [_record(file.fileno(), mark) for mark in marks]

    def recent(self, job_id: str, since: datetime) -> Recent:
        """What became of the job since then, at the cost of that. Raises as `get` does."""
        file = self._open(job_id)
        if file is None:
            return Recent(job_id)
        path = self.path(job_id)
        with file:
            try:
                check_header(path, file)
                known = self._glance(job_id, sums.state_of(os.fstat(file.fileno())))
                file.seek(0)
                live = self._read(job_id, file).unfinished if known is None else known[1]
                return read_recent(file, job_id, since, self.keep, live)
            except DamagedError as error:
                raise self._hopeless(job_id, error) from None
            except OSError as error:
                raise failure("read", path, error) from None

    def compacted(self, job_id: str, history: History) -> bytes:
        """What the file of this job, a whole one, would be without what nobody will ask for."""
        with os.fdopen(open_regular(self.path(job_id)), "rb") as file:
            return history.compacted(lambda mark: os.pread(file.fileno(), mark.length, mark.offset))

    def appended(self, job_id: str, history: History) -> None:
        """Remember a history that its writer has brought up to date with the file."""
        try:
            found = self.path(job_id).stat()
        except OSError:
            self.drop(job_id)
            return
        self._note(job_id, history, found)
        self._remember(job_id, history, sums.state_of(found))

    def replaced(self, job_id: str, history: History) -> None:
        """The file was written anew, without what nobody will ask for: what it comes to is the same."""
        history.lines = history.kept
        with suppress(OSError):
            self._note(job_id, history, self.path(job_id).stat())
        self.drop(job_id)

    def refused(self, job_id: str, history: History) -> None:
        """Remember a history on that its writer could not append to; what got there of a line counts for nobody.

        A full disk is tried again and again, and each try would cost the reading of all of it.
        """
        try:
            fd = open_regular(self.path(job_id))
        except (FileNotFoundError, StoreError):
            return
        with os.fdopen(fd, "rb"):
            torn = os.fstat(fd).st_size - history.end
            if 0 <= torn <= LINE_BYTES and b"\n" not in os.pread(fd, torn, history.end):
                self._remember(job_id, history, sums.state_of(os.fstat(fd)))

    def keep_only(self, keep: int) -> None:
        """Keep so many of each job from now on; every file is read again before it counts."""
        self.keep = keep
        for job_id in tuple(self._known):
            self.drop(job_id)

    def gone(self, job_id: str) -> None:
        """The file of this job was removed."""
        self.drop(job_id)
        sums.remove(self._notes / job_id)

    def drop(self, job_id: str) -> None:
        """Remember nothing of this job."""
        known = self._known.pop(job_id, None)
        if known:
            self._weight -= known.weight

    def _open(self, job_id: str) -> BinaryIO | None:
        try:
            return os.fdopen(open_regular(self.path(job_id)), "rb")
        except FileNotFoundError:
            return None
        except DamagedError as error:
            raise self._hopeless(job_id, error) from None

    def _read(self, job_id: str, file: BinaryIO) -> History:
        found = os.fstat(file.fileno())
        known = self._known.get(job_id)
        if known and known.history.whole and known.state == sums.state_of(found):
            self._known.move_to_end(job_id)
            return known.history
        path = self.path(job_id)
        try:
            if found.st_size > FILE_BYTES:
                raise DamagedError(f"{path} has more than the {FILE_BYTES} bytes that such a file may have.")
            history = History.read(path, job_id, self.keep, file)
        except DamagedError as error:
            raise self._hopeless(job_id, error) from None
        except OSError as error:
            raise failure("read", path, error) from None
        if history.problems:
            count = len(history.problems)
            lines = "a damaged line" if count == 1 else f"{count} damaged lines, the first"
            self.damaged[job_id] = Damage(path, f"{path} has {lines}: {history.problems[0]}")
        elif self.noting and sums.read(self._notes / job_id, sums.state_of(found)) is None:
            self._note(job_id, history, found)
        self._remember(job_id, history, sums.state_of(found))
        return history

    def _glance(self, job_id: str, state: sums.State | None) -> tuple[Summary, int] | None:
        """What is known of this file in this state, and how many of its runs have not ended, without reading it."""
        known = self._known.get(job_id)
        if state is None:  # there is none, or there is more to say about that
            return None
        if known and known.state == state:
            return known.history.summary, known.history.unfinished
        noted = self._noted(job_id, state)
        return None if noted is None else (noted[0], len(noted[1].live))

    def _known_or_noted(self, job_id: str) -> History | None:
        state, known = sums.state_at(self.path(job_id)), self._known.get(job_id)
        if state is None:
            return None
        if known and known.state == state:
            return known.history
        found = self._noted(job_id, state)
        if found is None or found[1].live:
            return None
        (summary, note), (_, end, *_) = found, state
        ended = Ended(note.size.runs, note.size.skips)
        history = History.resumed(job_id, self.keep, end, note.size.lines, ended, summary)
        self._remember(job_id, history, state)
        return history

    def _noted(self, job_id: str, state: sums.State) -> tuple[Summary, sums.Note] | None:
        note = sums.read(self._notes / job_id, state)
        try:
            return None if note is None else (Summary.model_validate(note.summary), note)
        except ValidationError:
            return None

    def _note(self, job_id: str, history: History, found: os.stat_result) -> None:
        with suppress(PydanticSerializationError):  # half a surrogate pair, which headers of former versions may have
            live = (
                [(mark.status.value, mark.since.isoformat()) for mark in history.live()] if history.unfinished else ()
            )
            summary, size = to_ascii_json(history.summary), sums.Size(history.lines, *history.ended)
            sums.write(self._notes / job_id, sums.state_of(found), summary, live, size)

    def _hopeless(self, job_id: str, error: DamagedError) -> DamagedError:
        self.damaged[job_id] = Damage(self.path(job_id), str(error), stays=isinstance(error, UnreadableError))
        return error

    def _remember(self, job_id: str, history: History, state: sums.State) -> None:
        self.drop(job_id)
        self._known[job_id] = _Known(history, state, history.weight)
        self._weight += history.weight
        while self._weight > REMEMBERED_RUNS and len(self._known) > 1:
            _, oldest = self._known.popitem(last=False)
            self._weight -= oldest.weight


def _changed(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return 0


def _is_ours(name: str) -> bool:
    return name.endswith(".jsonl") and IDENTIFIER.fullmatch(name.removesuffix(".jsonl")) is not None


def _record(fd: int, mark: Mark) -> CronRun:
    line = os.pread(fd, mark.length, mark.offset)
    try:
        return CronRun.model_validate_json(line)
    except ValidationError:
        # It was whole when the file was read: somebody writes into it without the lock.
        raise DamagedError(f"a record of {mark.length} bytes at {mark.offset} changed while it was read.") from None
