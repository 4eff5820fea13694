"""The store of what became of each occurrence: one file a job, one durable line a transition.

Whoever writes holds the home's lock. A reader needs none: lines only ever come at the end, a line without its newline
does not count, and compaction replaces the file as a whole.
"""

from __future__ import annotations

import heapq
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path

from pydantic_core import PydanticSerializationError

from supervisor.budgets import spendings
from supervisor.budgets.spendings import Spendings, Totals
from supervisor.errors import InvalidError, NotFoundError, StoreError
from supervisor.models import CronRun
from supervisor.sentences import shown
from supervisor.status import EndedError, Status
from supervisor.stores.asciijson import to_ascii_json
from supervisor.stores.disk import REAL, Disk
from supervisor.stores.histories import Histories, Pick
from supervisor.stores.history import LINE_BYTES, History, Mark, began, encoded, ended, first_line
from supervisor.stores.home import Home
from supervisor.stores.lock import HomeLock
from supervisor.stores.recent import Recent
from supervisor.stores.store import (
    Damage,
    DamagedError,
    UnreadableError,
    keep_copy,
    remove_leftovers,
    set_aside,
)
from supervisor.stores.summary import NOTHING, Summary

PREFIX_CHARS = 4
CANDIDATES = 5
SLACK = timedelta(minutes=1)
"""By how much a file may say that it was written before a run in it began: clocks are set, and the kernel's ticks."""
logger = logging.getLogger("cronward.runs")


class RunsStore:
    """The runs of one home."""

    def __init__(self, home: Home | Path | str, keep: int = 100, wait_seconds: float = 10.0, disk: Disk = REAL) -> None:
        """`keep`: how many runs, and how many skips beside them, are kept of each job."""
        self.home, self._disk = Home.of(home), disk
        self._lock = HomeLock(self.home, wait_seconds)
        self._histories = Histories(self.home.runs, max(1, keep), self.home.sums)
        self._totals: Totals | None = None

    @property
    def totals(self) -> Totals:
        """What the runs of all jobs have spent, also of removed ones. Looked up once; `unfinished` looks anew."""
        if self._totals is None:
            self.unfinished()
        assert self._totals is not None
        return self._totals

    @property
    def damaged(self) -> list[Damage]:
        """What could not be read so far, wholly or in part. Nothing of it was overwritten."""
        return [damage for _, damage in sorted(self._histories.damaged.items())]

    def add_run(self, run: CronRun) -> None:
        """The seed's name for `record`."""
        self.record(run)

    def record(self, run: CronRun) -> None:
        """Store this state of a run; on return it is on disk. Raises StoreError; then nothing changed.

        EndedError: the run has ended already, in another way.
        """
        run, line = _line(run)
        with self._lock.writing():
            history = self._for_writing(run.job_id, partial(self._histories.growing, run))
            before = history.status_of(run.id)
            if before is not None and before.final and before is not run.status:
                raise EndedError(f"run {run.id} is {before.value} and cannot become {run.status.value}.")
            self._append(history, run, line)

    def get_runs(self, job_id: str, last: int | None = None, status: Status | None = None) -> list[CronRun]:
        """The kept runs of a job, newest first: at most `last` of those with this status.

        Raises DamagedError where the file is there and nothing of it can be read: that is not "no runs".
        """
        return self._histories.records(job_id, lambda history: history.newest(status), last)

    def live_of(self, job_id: str) -> list[CronRun]:
        """The runs of a job that have not ended, oldest first. Raises as above."""
        return self._histories.records(job_id, History.live)

    def last_ended(self, job_id: str) -> CronRun | None:
        """The run of a job that ended last, of those that really started; None where there is none. Raises as above."""
        return next(iter(self._histories.records(job_id, History.newest_ended, 1)), None)

    def runs_of(self, reference: str, last: int | None = None, status: Status | None = None) -> list[CronRun]:
        """As `get_runs`, of the job, which may have been removed, that an id, its beginning, or a name means.

        Several removed jobs may have had one name: it means the runs of all. Raises NotFoundError, InvalidError.
        """
        kept = self.job_ids()
        if reference in kept:
            return self.get_runs(reference, last, status)
        called = [run.job_id for run in self._of_all_jobs(History.newest, 1) if reference and run.job_name == reference]
        if called:
            runs = [run for job_id in called for run in self.get_runs(job_id, last, status)]
            return sorted(runs, key=began, reverse=True)[:last]
        found = sorted(job_id for job_id in kept if job_id.startswith(reference))
        if not found or len(reference) < PREFIX_CHARS:
            raise NotFoundError(f"There is no job {shown(reference)}. `cronward list` shows those there are.")
        if len(found) > 1:
            raise InvalidError(_ambiguous(reference, found))
        return self.get_runs(found[0], last, status)

    def all_runs(self, last: int | None = None, status: Status | None = None) -> list[CronRun]:
        """The kept runs of all jobs, newest first: at most `last` of those with this status."""
        runs = self._of_all_jobs(lambda history: history.newest(status), last)
        return sorted(runs, key=began, reverse=True) if last is None else heapq.nlargest(last, runs, key=began)

    def recent(self, since: datetime) -> Iterator[Recent]:
        """What became of each job since then, removed ones included; what cannot be read stands in `damaged`."""
        return self._recent(self.job_ids(), since)

    def newest(self, last: int, now: datetime, status: Status | None = None) -> list[CronRun]:
        """As `all_runs`, by the times at which histories were written: none of a file's runs began after that."""
        changes = [(job_id, written + SLACK) for job_id, written in self._histories.changes()]
        lately = now - timedelta(days=1)

        def begun(job_id: str) -> Iterator[CronRun]:
            for recent in self._recent([job_id], lately):
                yield from (run for run in recent.runs if began(run) >= lately and status in (None, run.status))

        def kept(job_id: str) -> Iterator[CronRun]:
            return self._of_jobs([job_id], lambda history: history.newest(status), last)

        found = _newest(last, [change for change in changes if change[1] >= lately], begun)
        return found if len(found) >= last else _newest(last, changes, kept)

    def _recent(self, job_ids: Iterable[str], since: datetime) -> Iterator[Recent]:
        for job_id in job_ids:
            try:
                yield self._histories.recent(job_id, since)
            except StoreError as error:
                self._histories.damaged.setdefault(job_id, Damage(self._histories.path(job_id), str(error), stays=True))

    def unfinished(self, *, noted: bool = True) -> list[CronRun]:
        """The runs of all jobs that have not ended: what a start has to settle.

        `noted`: a history that is known to have none is not read; else all are, and what is damaged is found.
        """
        totals, found = Totals(), list[CronRun]()

        def live(history: History) -> Iterator[Mark]:
            totals.add(history.summary.spent)
            return history.live()

        for job_id in self.job_ids():
            settled = self._histories.settled(job_id) if noted else None
            if settled is None:
                found += self._of_jobs([job_id], live)
            else:
                totals.add(settled.spent)
        self._totals = totals
        return found

    def summary(self, job_id: str) -> Summary:
        """What the history of this job comes to; all zero where there is none. Raises as `get_runs` does."""
        return self._histories.summary(job_id)

    def spent(self) -> Iterator[tuple[str, Spendings]]:
        """What the runs of each job used, removed ones included, by its id. One that cannot be read is left out."""
        for job_id in self.job_ids():
            try:
                yield job_id, self.summary(job_id).spent
            except DamagedError as error:
                logger.warning("%s", error)

    def get(self, reference: str) -> CronRun:
        """The run meant by an id or the beginning of one (4 characters or more), whichever job it belongs to.

        Raises NotFoundError, or InvalidError naming the candidates where several ids begin so.
        """
        found: dict[str, CronRun] = {}
        if len(reference) >= PREFIX_CHARS:
            for run in self._of_all_jobs(lambda history: history.beginning_with(reference)):
                if run.id == reference:
                    return run
                found[run.id] = run
        if not found:
            raise NotFoundError(f"There is no run {shown(reference)}. `cronward runs` shows those there are.")
        if len(found) > 1:
            raise InvalidError(_ambiguous(reference, list(found)))
        return next(iter(found.values()))

    def status_of(self, job_id: str, run_id: str) -> Status | None:
        """How a kept run stands. None: it is not kept. Raises as `get_runs` does."""
        history = self._histories.get(job_id)
        return history.status_of(run_id) if history else None

    def job_ids(self) -> list[str]:
        """The jobs that have a history, also removed ones; those with the latest news first."""
        return self._histories.job_ids()

    def keep_only(self, keep: int) -> None:
        """Keep so many runs, and as many skips, of each job from now on."""
        if self._histories.keep != max(1, keep):
            self._histories.keep_only(max(1, keep))

    def expire(self, job_id: str, before: datetime, *, whole: bool = False, since: date = date.max) -> int:
        """Drop the records of runs that were over before this, and say how many; what was counted stays counted.

        `whole`: the history itself goes too once no run is left in it, nor anything spent since the day `since`.
        Raises StoreError.
        """
        with self._lock.writing():
            history = self._histories.get(job_id)
            if history is None or history.problems:
                return 0
            path = self._histories.path(job_id)
            dropped = history.expire(before)
            try:
                if whole and not history.kept and not any(spendings.since(history.summary.spent, since)):
                    self._disk.remove(path)
                    self._disk.sync_dir(path.parent)
                    self._histories.gone(job_id)
                elif dropped:
                    self._disk.replace(path, self._histories.compacted(job_id, history))
                    self._histories.replaced(job_id, history)
            finally:  # what is on disk decides
                self._histories.drop(job_id)
            return dropped

    def forget(self, job_id: str) -> None:
        """The job was removed. Its history stays on disk, to be read, and takes no memory."""
        self._histories.drop(job_id)

    def quarantine(self) -> list[Damage]:
        """Keep what is damaged in `damaged/`, go on with what of it is good; remove what killed writers left."""
        with self._lock.writing():
            remove_leftovers(self.home.runs)
            self._histories.noting = True
            self.unfinished(noted=False)
            self._histories.noting = False
            waiting = [job_id for job_id, damage in self._histories.damaged.items() if damage.moved_to is None]
            for job_id in waiting:
                if not self._histories.damaged[job_id].stays:
                    self._for_writing(job_id, partial(self._histories.get, job_id))
            return [self._histories.damaged[job_id] for job_id in waiting]

    def whole_file(self, job_id: str, runs: Iterable[CronRun], summary: Summary) -> tuple[Path, bytes, int]:
        """A history that comes from elsewhere, as a file: where it belongs, its bytes, and how many runs it keeps.

        `runs` are over. `summary`: what they come to, with those that are not kept. Raises InvalidError.
        """
        newest = sorted(runs, key=ended)[-self._histories.keep :]
        lines = [_line(run)[1] for run in newest]
        return self._histories.path(job_id), first_line(summary, len(lines)) + b"".join(lines), len(lines)

    def _of_all_jobs(self, pick: Pick, last: int | None = None) -> Iterator[CronRun]:
        return self._of_jobs(self.job_ids(), pick, last)

    def _of_jobs(self, job_ids: Iterable[str], pick: Pick, last: int | None = None) -> Iterator[CronRun]:
        for job_id in job_ids:
            try:
                yield from self._histories.records(job_id, pick, last)
            except DamagedError as error:
                logger.warning("%s", error)  # it stands in `damaged`; the other jobs' runs are not to wait for it

    def _for_writing(self, job_id: str, find: Callable[[], History | None]) -> History:
        """The history to append to; what is damaged of it is in `damaged/` by then."""
        path = self._histories.path(job_id)
        try:
            history = find()
        except UnreadableError:
            raise
        except DamagedError as error:
            moved = set_aside(path, self.home.damaged)
            self._histories.damaged[job_id] = Damage(path, str(error), moved)
            history = None
        if history is None:
            self._disk.replace(path, first_line(NOTHING, folded=0))
        elif history.problems:
            copy = keep_copy(path, self.home.damaged)
            self._histories.damaged[job_id] = Damage(path, self._histories.damaged[job_id].problem, copy)
            self._disk.replace(path, self._histories.compacted(job_id, history))
        else:
            return history
        history = self._histories.get(job_id)
        if history is None or history.problems:
            raise StoreError(f"{path} changes although cronward holds the lock; who else writes there?")
        return history

    def _append(self, history: History, entry: CronRun, line: bytes) -> None:
        try:
            offset = self._disk.append(self._histories.path(history.job_id), line)
        except StoreError:
            self._histories.refused(history.job_id, history)
            raise
        before = history.summary.spent
        history.take(entry, offset, len(line) - 1)
        if self._totals is not None and history.summary.spent is not before:
            self._totals.note(entry)
        self._histories.appended(history.job_id, history)
        if history.crowded:
            self._compact(history.job_id)

    def _compact(self, job_id: str) -> None:
        try:
            whole = self._histories.get(job_id)
            if whole is not None and not whole.problems:
                self._disk.replace(self._histories.path(job_id), self._histories.compacted(job_id, whole))
                self._histories.replaced(job_id, whole)
        except StoreError as error:
            # What was to be stored is stored. A full disk is met again at the next line that it cannot take.
            logger.warning("%s", error)
        self._histories.drop(job_id)


def _newest(
    last: int, changes: Iterable[tuple[str, datetime]], runs_of: Callable[[str], Iterable[CronRun]]
) -> list[CronRun]:
    """So many of the runs of these jobs. Each has beside it an instant after which none of its runs began."""
    found: list[CronRun] = []
    for job_id, latest in changes:
        if len(found) >= last and began(found[-1]) > latest:
            break
        found = heapq.nlargest(last, [*found, *runs_of(job_id)], key=began)
    return found


def _ambiguous(reference: str, found: list[str]) -> str:
    more = f" and {len(found) - CANDIDATES} more" if len(found) > CANDIDATES else ""
    return f"{shown(reference)} may mean {', '.join(found[:CANDIDATES])}{more}. Give more of the id."


def _line(run: CronRun) -> tuple[CronRun, bytes]:
    """The line of this run, and the run that it tells of."""
    try:
        line = to_ascii_json(run) + b"\n"
    except PydanticSerializationError:
        # Half a surrogate pair, out of an agent's answer: no reader would take it. The run's end matters more.
        line = encoded(json.loads(json.dumps(run.record(), ensure_ascii=False).encode("utf-8", "replace")))
        run = CronRun.model_validate_json(line)
    if len(line) > LINE_BYTES:
        raise InvalidError(f"The run {run.id} would need a line of {len(line)} bytes; {LINE_BYTES} are allowed.")
    return run, line
