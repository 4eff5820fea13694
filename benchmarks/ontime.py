"""How late a due job is decided about, and what waiting costs.

    python -m benchmarks.ontime           in TMPDIR, which should lie on a real disk
    python -m benchmarks.ontime --smoke   small, and without the peer

Ours is a scheduler as `cronward supervise` and programs run it: its loop, its timer and its stores, in a thread. Only
the runners are left out: what is started is over when we say so. A job is seen to be due when a turn has taken it off
the agenda. It is settled at the line that the scheduler logs of it, after it has read the definition and knows that the
occurrence is owed. The floor is a thread that sleeps until the instant by clock_nanosleep(2); the peers are asyncio's
`call_at` and APScheduler, which keeps jobs in memory and has decided when it calls them.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import gc
import json
import logging
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from benchmarks import crowd
from benchmarks.measuring import Row, interleaved, ratio, show
from benchmarks.peers.environment import Environment, cache, environment
from shared.messages import ExecuteRequest, ExecuteResult
from shared.reasons import Reason
from supervisor.config import Config
from supervisor.cronscheduler import CronScheduler
from supervisor.errors import InvalidError
from supervisor.spawning.launcher import Executor, Gone, News, Runner
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.timing.clock import Moment

RNG = Random(1)
WITHIN = 60.0
DUE = "due, the occurrence of"


class Runners(Executor):
    """Starts nothing. An attempt has ended well as soon as `end_all` says so, and from then on each does at once."""

    def __init__(self) -> None:
        super().__init__()
        self._held: list[Callable[[], object]] = []
        self._holding = False

    def spawn(
        self,
        request: ExecuteRequest,
        tell: Callable[[News], None],
        loop: asyncio.AbstractEventLoop,
        slug: str = "",  # noqa: ARG002
    ) -> Runner:
        result = ExecuteResult(run_id=request.run_id, attempt=request.attempt, reason=Reason.OK, response="done")
        gone = Gone(request.run_id, request.attempt, result)
        self._held.append(lambda: loop.call_soon_threadsafe(tell, gone))
        if not self._holding:
            self.end_all()
        return _Over()  # type: ignore[return-value]  # a runner that nobody needs to stop

    def hold(self) -> None:
        self._holding = True

    def end_all(self) -> None:
        self._holding = False
        held, self._held = self._held, []
        for end in held:
            end()


class _Over:
    pid = 0

    def stop(self, reason: Reason) -> None: ...

    def kill(self) -> None: ...


class Decisions(logging.Handler):
    """Hears the scheduler say that an occurrence is due, and notes when."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._late: list[float] = []
        self._wanted = 0
        self._over = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        now = time.time()
        if isinstance(record.msg, str) and DUE in record.msg and isinstance(record.args, tuple):
            due = datetime.fromisoformat(str(record.args[1]))
            self._late.append((now - due.timestamp()) * 1000)
            if len(self._late) >= self._wanted:
                self._over.set()

    def expect(self, count: int) -> None:
        """So many, from now on."""
        self._late, self._wanted = [], count
        self._over.clear()

    def wait(self) -> list[float]:
        """How late they were, in milliseconds, the first one first."""
        assert self._over.wait(WITHIN), f"{len(self._late)} of {self._wanted} were decided"
        return self._late


class Ours:
    """A scheduler that keeps time over a home of so many idle jobs."""

    def __init__(self, root: Path, idle: int) -> None:
        home, self.idle = Home.of(root), idle
        # Due in half a year: nothing is while we measure.
        crowd.add_jobs(home, idle, datetime.now(UTC), month=(datetime.now(UTC).month + 5) % 12 + 1)
        gc.collect()
        before = resident()
        self.decisions = Decisions()
        logger = logging.getLogger(f"bench.{idle}")
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.addHandler(self.decisions)
        self._runners, config = Runners(), Config(max_memory_pressure=0)
        self.scheduler = CronScheduler(CronStore(home), self._runners, logger, config=config)
        self.scheduler.start()
        gc.collect()
        self.bytes_each = (resident() - before) / max(idle, 1)
        self._job, self._herd = "", list[str]()
        self.noticed = 0.0
        """How late the turn began that found the last one due."""
        self.seen = 0.0
        """How late the last of a herd was seen to be due."""

    def one(self) -> float:
        """How late the decision about one job is."""
        for seconds in (0.1, 0.2, 0.4, 0.8, 1.6):  # a busy disk may take long to store the change
            at = datetime.now(UTC) + timedelta(seconds=seconds)
            self.decisions.expect(1)
            if self._dated(at) and datetime.now(UTC) < at - timedelta(seconds=0.03):
                late = self.decisions.wait()[0]
                self._until_idle()
                [run] = self.scheduler.find_runs(self._job, 1, None)
                self.noticed = (run.queued_at - run.scheduled_at).total_seconds() * 1000
                return late
            time.sleep(seconds)
        raise AssertionError("the disk is too slow to tell")

    def _dated(self, at: datetime) -> bool:
        try:
            if self._job:
                self.scheduler.edit_job(self._job, {"at": at.isoformat()})
            else:
                self._job = self.scheduler.add_job(_draft(at)).id
        except InvalidError:  # past by now
            return False
        return True

    def herd(self, count: int) -> list[float]:
        """How late those are about so many jobs, due at one instant; those that start do not end meanwhile."""
        due = datetime.now(UTC) + timedelta(seconds=max(3, 1 + count / 400))
        self.decisions.expect(count)
        wanted = [{"draft": _draft(due), "replaces": job_id} for job_id in self._herd or [""] * count]
        made = self.scheduler.change_jobs({"jobs": wanted})
        assert made.stored, made.refused
        assert datetime.now(UTC) < due, "the jobs were not added in time"
        self._herd = self._herd or [job.id for job in made.added]
        self._runners.hold()
        with self._watched(count, due):
            late = self.decisions.wait()
        self._runners.end_all()
        self._until_idle()
        return late

    @contextmanager
    def _watched(self, count: int, due: datetime) -> Iterator[None]:
        """Have `seen` be when so many had been taken off the agenda."""
        agenda = self.scheduler._core.agenda
        notice = agenda.notice

        def seen(now: Moment) -> None:
            notice(now)
            if len(agenda._due) >= count and not self.seen:
                self.seen = (time.time() - due.timestamp()) * 1000

        self.seen = 0.0
        agenda.notice = seen  # type: ignore[method-assign]
        try:
            yield
        finally:
            agenda.notice = notice  # type: ignore[method-assign]

    def _until_idle(self) -> None:
        until = time.monotonic() + WITHIN
        while time.monotonic() < until:
            status = self.scheduler.status()
            if not status["running"] and not status["queue"]:
                return
            time.sleep(0.02)
        raise AssertionError("the runs are not over")

    def wakes(self, seconds: float) -> int:
        """How often its threads run in that time, with nothing due. Reading them wakes none of them."""
        own = threading.get_native_id()
        others = [task for task in Path("/proc/self/task").iterdir() if int(task.name) != own]
        before = sum(map(switches, others))
        time.sleep(seconds)
        return sum(map(switches, others)) - before


def _draft(at: datetime) -> dict[str, object]:
    return {"prompt": "none", "command": "/usr/bin/true", "at": at.isoformat(), "retries": 0}


def switches(task: Path) -> int:
    """How often this thread has gone to sleep."""
    lines = (task / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


def resident() -> int:
    """Bytes of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def soon() -> float:
    """Seconds; no whole milliseconds, to which timeouts are rounded."""
    return RNG.uniform(0.03, 0.05)


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def slept() -> float:
    """How late clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME) is, in milliseconds."""
    due = time.time_ns() + int(soon() * 1e9)
    wanted = _Timespec(due // 10**9, due % 10**9)
    failed = _libc.clock_nanosleep(time.CLOCK_REALTIME, 1, ctypes.byref(wanted), None)
    now = time.time_ns()
    assert not failed, os.strerror(failed)
    return (now - due) / 1e6


_libc = ctypes.CDLL(None)


def called() -> float:
    """How late asyncio's `call_at` is, in milliseconds."""

    async def wait() -> float:
        loop = asyncio.get_running_loop()
        told: asyncio.Future[float] = loop.create_future()
        due = loop.time() + soon()
        loop.call_at(due, lambda: told.set_result((loop.time() - due) * 1000))
        return await told

    return asyncio.run(wait())


def peers() -> Environment | None:
    """The environment with the peer; None where it cannot be had."""
    try:
        return environment(cache())
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"The peer is left out: {error}", file=sys.stderr)
        return None


def peers_herd(peers: Environment, count: int, times: int) -> list[float]:
    """As `Ours.herd`; the median of each place, of so many herds."""
    with peers.popen(peers.program("herd"), str(count), str(times)) as process:
        assert process.stdout is not None
        herds = [json.loads(line) for line in process.stdout]
    assert process.returncode == 0
    return [statistics.median(each) for each in zip(*herds, strict=True)]


@contextmanager
def keeping(folder: Path, idle: int) -> Iterator[Ours]:
    ours = Ours(folder / str(idle), idle)
    try:
        yield ours
    finally:
        ours.scheduler.stop(now=True)


def singly(alone: Ours, crowded: Ours, rounds: int) -> None:
    """Print how late one job is."""
    questions = {"floor": slept, "asyncio": called, "alone": alone.one, "noticed": lambda: alone.noticed}
    asked = interleaved(questions | {"crowded": crowded.one}, rounds, 12.0)
    found = asked.median
    rows = [
        ratio("its turn begins; floor: clock_nanosleep", found["noticed"], found["floor"], 1.5),
        ratio("its turn begins; floor: asyncio's call_at", found["noticed"], found["asyncio"], 0.25),
        Row("decided; floor: clock_nanosleep", found["alone"], found["floor"]),
        ratio(f"among {crowded.idle} idle jobs; floor: alone", found["crowded"], found["alone"], 1.2),
    ]
    show("One due job", rows, asked.rounds)


def together(ours: Ours, count: int, times: int, found: Environment | None) -> None:
    """Print how late many are that are due at one instant."""
    ours.herd(count)  # so that each has a history, as jobs have
    herds, seen = [], []
    for _ in range(times):
        herds.append(ours.herd(count))
        seen.append(ours.seen)
    late = [statistics.median(each) for each in zip(*herds, strict=True)]
    rows = []
    if found is not None:
        theirs = peers_herd(found, count, times)
        half = count // 2
        rows = [
            ratio("all are seen to be due; floor: the median", statistics.median(seen), theirs[half], 0.1),
            Row("settled and on disk, the first", late[0], theirs[0]),
            Row("settled and on disk, the median", late[half], theirs[half]),
            Row("settled and on disk, the last", late[-1], theirs[-1]),
        ]
    show(f"{count} jobs due at one instant; floor: APScheduler's", rows, times)


def idle(ours: Ours, seconds: float) -> None:
    """Print what it costs to wait."""
    woken = ours.wakes(seconds)
    print(f"{ours.idle} idle jobs: nothing due for {seconds:g} s, {woken} wake-ups (goal: none)")
    print(f"{ours.idle} idle jobs: {ours.bytes_each:.0f} bytes of memory each (goal: 2048)\n")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--smoke", action="store_true")
    smoke = parser.parse_args().smoke
    with crowd.folder(smoke=smoke) as folder, keeping(folder, 200 if smoke else 100_000) as crowded:
        idle(crowded, 0.3 if smoke else 6.0)
        with keeping(folder, 0) as alone:
            singly(alone, crowded, 1 if smoke else 100)
            together(alone, 3 if smoke else 1000, 1 if smoke else 2, None if smoke else peers())


if __name__ == "__main__":
    main()
