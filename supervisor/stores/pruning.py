"""Carry out retention: look through the logs, remove what is doomed, drop records that are too old.

It reads the stores as any reader does and may take long, so a supervisor does it in a thread of its own: once an hour,
and sooner after so many runs that what they left counts beside what was there.
The order of looking is the argument: first what directories there are, then which runs live, then which are kept. So a
directory that is in no list cannot be of a run that began meanwhile.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.removal import remove
from shared.tree import FOLDER, Tree
from supervisor.budgets.periods import day_of
from supervisor.config import Config
from supervisor.errors import CronwardError, StoreError
from supervisor.logs.logline import about
from supervisor.models import NEVER
from supervisor.scheduler import Scheduler
from supervisor.stores import retention
from supervisor.stores.history import ended
from supervisor.stores.home import Home
from supervisor.stores.retention import Doomed, Log, Rules
from supervisor.stores.runs import RunsStore
from supervisor.stores.store import IDENTIFIER
from supervisor.timing.clock import Clock

EACH_SECONDS = 3600.0
BLOCK = 512


@dataclass(slots=True)
class Pruned:
    """What went, or would go."""

    logs: list[Doomed] = field(default_factory=list)
    records: int = 0
    left: int = 0
    """How many logs stay."""
    problems: list[str] = field(default_factory=list)

    @property
    def freed(self) -> int:
        """Bytes on disk."""
        return sum(gone.log.bytes for gone in self.logs)

    def record(self) -> dict[str, Any]:
        """For JSON."""
        logs = [{"run_id": gone.log.run_id, "bytes": gone.log.bytes, "why": gone.why} for gone in self.logs]
        return {"logs": logs, "bytes": self.freed, "records": self.records, "problems": self.problems}


def look(home: Home, config: Config, now: datetime, live: Callable[[], Set[str]]) -> Pruned:
    """What is to go; nothing is changed. `live`: the runs that the caller knows as not over. Raises StoreError."""
    logs = survey(home)
    unsafe = set(live())
    reader = RunsStore(home, keep=config.history)
    rules = Rules(config.log_days, config.log_bytes)
    over: dict[str, datetime] = {}
    for run in reader.all_runs():
        if run.status.final:
            over[run.id] = ended(run)
        else:
            unsafe.add(run.id)
    old = sum(at < retention.before(config.history_days, now) for at in over.values())
    if reader.damaged:  # whose runs these are cannot be told while a history cannot be read
        return Pruned(left=len(logs), problems=[f"Nothing is pruned: {reader.damaged[0]}"])
    going = retention.doomed(logs, over, unsafe, rules, now)
    return Pruned(going, old, len(logs) - len(going))


def carry_out(home: Home, found: Pruned, go_on: Callable[[], bool] = lambda: True) -> None:
    """Remove the logs that were found; what cannot be removed is named in `problems`."""
    logs = os.open(home.logs, FOLDER)
    try:
        for gone in found.logs:
            if not go_on():
                return
            why = remove(logs, gone.log.run_id, go_on).why
            if why:
                found.problems.append(f"{home.logs / gone.log.run_id}: {why}")
    finally:
        os.close(logs)


def survey(home: Home) -> list[Log]:
    """The directories of runs, and what they take. What is no directory of a run is left alone."""
    try:
        top = os.open(home.logs, FOLDER)
    except OSError:
        return []
    try:
        with os.scandir(top) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        return [Log(name, _bytes(top, name)) for name in sorted(names) if IDENTIFIER.fullmatch(name)]
    finally:
        os.close(top)


def _bytes(top: int, name: str) -> int:
    try:
        folder = os.open(name, FOLDER, dir_fd=top)
    except OSError:
        return 0
    try:
        with Tree(folder) as tree:
            return sum(found.stat.st_blocks * BLOCK for found in tree)
    finally:
        os.close(folder)


class Pruning:
    """Does it now and then while a supervisor keeps time, in a thread, never twice at once. `mutex` guards `core`."""

    def __init__(
        self, core: Scheduler, mutex: AbstractContextManager[bool], clock: Clock, logger: logging.Logger
    ) -> None:
        self._core, self._mutex, self._clock, self._logger = core, mutex, clock, logger
        self._soon, self._closing = threading.Event(), False
        self._ends = self._left = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin; the first time comes at once."""
        self._closing = False
        self._soon.set()
        self._thread = threading.Thread(target=self._run, name="cronward-prune", daemon=True)
        self._thread.start()

    def soon(self) -> None:
        """Do it now, or once more after what is under way."""
        self._soon.set()

    def ended(self) -> None:
        """A run is over, and what it left lies on the disk."""
        self._ends += 1
        if self._ends >= retention.ends_until_next(self._left):
            self._ends = 0
            self.soon()

    def close(self, within: float = 5.0) -> None:
        """Break off what is under way; the next supervisor goes on with it."""
        self._closing = True
        self._soon.set()
        if self._thread is not None:
            self._thread.join(within)

    def all_at_once(self) -> Pruned:
        """Look, and carry it out. Raises StoreError, OSError."""
        now = self._clock.now().wall
        found = look(self._core.runs.home, self._core.config, now, self._unfinished)
        self._ends, self._left = 0, found.left
        if not found.problems:
            carry_out(self._core.runs.home, found, lambda: not self._closing)
            found.records = self._expire(retention.before(self._core.config.history_days, now))
        return found

    def _run(self) -> None:
        while True:
            self._soon.wait(EACH_SECONDS)
            self._soon.clear()
            if self._closing:
                return
            try:
                self._say(self.all_at_once())
            except (CronwardError, OSError) as error:
                self._logger.error("Old logs and records cannot be cleared: %s", error)

    def _say(self, found: Pruned) -> None:
        for problem in found.problems:
            self._logger.warning("%s", problem)
        if found.logs or found.records:
            words = "%d logs (%d bytes) and %d records of old runs were cleared"
            self._logger.info(words, len(found.logs), found.freed, found.records, extra=about("pruned"))

    def _unfinished(self) -> set[str]:
        with self._mutex:
            return {live.run.id for live in self._core.live} | {waiting.run.id for waiting in self._core.waiting}

    def _expire(self, before: datetime) -> int:
        """Drop the records of runs that ended before this; a removed job's history goes when nothing of it is left."""
        if before == NEVER:
            return 0
        dropped, month = 0, day_of(self._clock.now().wall, self._core.purse.zone()).replace(day=1)
        for job_id in self._core.runs.job_ids():
            with self._mutex:  # one at a time: whoever asks for something waits for one at most
                dropped += self._core.runs.expire(job_id, before, whole=self._is_removed(job_id), since=month)
        return dropped

    def _is_removed(self, job_id: str) -> bool:
        try:
            return not self._core.jobs.has(job_id)
        except StoreError:  # damaged, and so not gone
            return False
