"""What it costs to keep account: runs and definitions, in a home of ten jobs and in one of a hundred thousand.

    python -m benchmarks.accounting           in TMPDIR, which should lie on a real disk
    python -m benchmarks.accounting --smoke   small

The floors: a line appended to an open file and synced (fdatasync), for each of the two records that a run takes; the
last runs of a job out of SQLite, by an index; `json.loads` of one file that holds all jobs.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

from benchmarks import crowd
from benchmarks.measuring import Row, interleaved, ratio, show
from shared.messages import ExecuteRequest
from supervisor.config import Config
from supervisor.models import CronJob, CronRun
from supervisor.scheduler import Scheduler
from supervisor.stores.home import Home
from supervisor.stores.host import Host
from supervisor.stores.jobs import CronStore, new_id
from supervisor.stores.lock import HomeLock
from supervisor.stores.runs import RunsStore
from supervisor.timing import schedule

FEW = 10
LAST = 20
LINE = 1200
"""Bytes of a record, about."""


class Books(NamedTuple):
    """A home that a supervisor holds, and its stores."""

    jobs: CronStore
    runs: RunsStore
    size: int


@contextmanager
def kept(home: Home, count: int) -> Iterator[Books]:
    """The home of so many jobs, as its supervisor holds it; each job gets a run."""
    crowd.add_runs(home, count, datetime.now(UTC))
    with HomeLock(home):
        books = Books(CronStore(home), RunsStore(home), count)
        books.jobs.known()
        yield books


def milliseconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


class Asked:
    """One home's questions. Each is of another job, as runs are: nothing is remembered of what was idle."""

    def __init__(self, books: Books, rng: Random) -> None:
        self._books, self._rng = books, rng

    def run(self) -> float:
        """A claim and an end."""
        claim = crowd.claimed(crowd.id_of(self._rng.randrange(self._books.size)), new_id(), datetime.now(UTC))
        over = crowd.ended(claim, datetime.now(UTC))

        def record() -> None:
            self._books.runs.record(claim)
            self._books.runs.record(over)

        return milliseconds(record)

    def change(self) -> float:
        """A definition is changed."""
        job = self._books.jobs.get(crowd.id_of(self._rng.randrange(self._books.size)))
        assert job is not None
        changed = job.model_copy(update={"prompt": f"{job.prompt} {self._rng.random()}"})
        return milliseconds(lambda: self._books.jobs.update(changed))


def appended(fd: int) -> float:
    """Two lines, each synced."""
    line = b"x" * LINE + b"\n"

    def append() -> None:
        for _ in range(2):
            os.write(fd, line)
            os.fdatasync(fd)

    return milliseconds(append)


class LastRuns:
    """The last runs of one job that has as many as are kept, by our stores and by SQLite's index."""

    def __init__(self, books: Books, folder: Path) -> None:
        self._books, self._job, self.jobs = books, crowd.id_of(0), books.size
        began = datetime.now(UTC) - timedelta(days=1)
        runs = [crowd.claimed(self._job, new_id(), began + timedelta(minutes=at)) for at in range(100)]
        for run in runs:
            books.runs.record(run)
            books.runs.record(crowd.ended(run, run.started_at + timedelta(seconds=30)))
        self._table = sqlite3.connect(folder / f"{books.size}.sqlite")
        self._table.execute("create table runs (job text, began text, record text)")
        others = books.size if books.size > FEW else 0
        rows = [(crowd.id_of(at), began.isoformat(), runs[0].model_dump_json()) for at in range(1, others)]
        rows += [(self._job, run.started_at.isoformat(), run.model_dump_json()) for run in runs]
        self._table.executemany("insert into runs values (?, ?, ?)", rows)
        self._table.execute("create index by_job on runs (job, began)")
        self._table.commit()

    def ours(self) -> float:
        """As a supervisor answers."""
        return milliseconds(lambda: self._books.runs.get_runs(self._job, LAST))

    def afresh(self) -> float:
        """By a process that has read nothing yet."""
        return milliseconds(lambda: RunsStore(self._books.jobs.home).get_runs(self._job, LAST))

    def by_index(self) -> float:
        query = "select record from runs where job = ? order by began desc limit ?"

        def read() -> list[CronRun]:
            rows = self._table.execute(query, (self._job, LAST)).fetchall()
            return [CronRun.model_validate_json(text) for (text,) in rows]

        return milliseconds(read)


class Start:
    """All jobs from disk onto the agenda, as a supervisor begins."""

    def __init__(self, home: Home, whole: Path) -> None:
        self._home, self._whole = home, whole
        self._core = self._new()

    def _new(self) -> Scheduler:
        def prepare(job: CronJob, run: CronRun, seconds_left: float) -> ExecuteRequest:
            raise NotImplementedError  # nothing is started here

        stores = CronStore(self._home), RunsStore(self._home)
        return Scheduler(*stores, Config(), Host.here(), new_id=new_id, prepare=prepare)

    def load(self) -> float:
        for found in vars(schedule).values():  # a start has parsed nothing yet
            if hasattr(found, "cache_clear"):
                found.cache_clear()
        self._core = self._new()
        return milliseconds(self._core.jobs.known)

    def plan(self) -> float:
        return milliseconds(lambda: self._core.load(datetime.now(UTC)))

    def whole(self) -> float:
        return milliseconds(lambda: json.loads(self._whole.read_bytes()))


def changes(few: Asked, many: Asked, fd: int, rounds: int) -> None:
    """Print what a run and a change of a definition cost."""
    questions: dict[str, Callable[[], float]] = {"floor": partial(appended, fd), "run": few.run, "change": few.change}
    asked = interleaved(questions | {"run among many": many.run, "change among many": many.change}, rounds, 20.0)
    found = asked.median
    rows = [
        ratio("a run's claim and end", found["run"], found["floor"], 2.0),
        ratio("a change of a definition", found["change"], found["floor"] / 2, 5.0),
        ratio("a run, among many; floor: among 10", found["run among many"], found["run"], 1.25),
        ratio("a change, among many; floor: among 10", found["change among many"], found["change"], 1.25),
    ]
    show("Changes; floor: append and fdatasync, once for each record", rows, asked.rounds)


def last_runs(few: LastRuns, many: LastRuns, rounds: int) -> None:
    """Print what it costs to ask for a job's last runs."""
    asked = interleaved(
        {"ours": many.ours, "floor": many.by_index, "few": few.ours, "afresh": few.afresh}, rounds, 10.0
    )
    found = asked.median
    rows = [
        ratio(f"by the supervisor, among {many.jobs} jobs", found["ours"], found["floor"], 2.0),
        Row("the same, among 10", found["few"], found["floor"]),
        Row("by a process that has read nothing yet", found["afresh"], found["floor"]),
    ]
    show(f"The last {LAST} runs of a job; floor: SQLite by an index", rows, asked.rounds)


def starts(start: Start, count: int, rounds: int) -> None:
    """Print how long a start takes."""
    asked = interleaved({"floor": start.whole, "load": start.load, "plan": start.plan}, rounds, 25.0)
    found = asked.median
    rows = [
        ratio("read and checked", found["load"], found["floor"], 2.5),
        Row("scheduled", found["plan"], found["floor"], "<= 1000 ms more", 1000.0),
    ]
    show(f"{count} jobs at a start; floor: json.loads of one file with all of them", rows, asked.rounds)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    count, rounds = (200, 3) if smoke else (100_000, 300)
    with ExitStack() as stack:
        folder = stack.enter_context(crowd.folder(smoke=smoke))
        homes = {size: Home.of(folder / str(size)) for size in (FEW, count)}
        for size, home in homes.items():
            (folder / f"{size}.json").write_bytes(crowd.add_jobs(home, size, datetime.now(UTC)))
        with HomeLock(homes[count]):
            starts(Start(homes[count], folder / f"{count}.json"), count, 1 if smoke else 2)
        few, many = (stack.enter_context(kept(home, size)) for size, home in homes.items())
        fd = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        changes(Asked(few, Random(1)), Asked(many, Random(1)), fd, rounds)
        os.close(fd)
        last_runs(LastRuns(few, folder), LastRuns(many, folder), rounds)


if __name__ == "__main__":
    main()
