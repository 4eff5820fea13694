"""What a run costs from end to end, many at once, and the memory that it takes: beside xargs and the peers.

    python -m benchmarks.flow                 as many rounds as fit 40 s
    python -m benchmarks.flow --smoke         one, with few runs and without the peers

Ours: a supervisor as people run it, and jobs that are all due at one instant; each of their runs is claimed and ended
on disk, in a fresh process. Once with a runner that does nothing but speak the protocol and sync its result
(`benchmarks/noop.py`), and once with the real one, a cell and an agent (/usr/bin/true). xargs starts the same runners
with the same requests, one `sh` in front of each; APScheduler starts them with `subprocess` and syncs each end. celery
and rq run a function that does nothing, each time in a fresh child of a worker, and redis keeps it, synced. celery is
asked as it is set up by itself, with a child for each CPU, and with as many as the others run at once.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

import psutil

from benchmarks import noop
from benchmarks.measuring import Row, interleaved, ratio, show
from benchmarks.peers.environment import Environment, cache, ended, environment
from benchmarks.supervised import Supervised, eventually, supervised
from supervisor.spawning.launcher import RUNNER

PROGRAM = "/usr/bin/true"
CPUS = len(os.sched_getaffinity(0))
AT_ONCE = 2 * CPUS
CONFIG = f"max_concurrent = {AT_ONCE}\nmax_memory_pressure = 0\n"
SOON = 1.0
WITHIN = 120.0
FEW, MANY = 6, 100
MOST = 1024
# What takes several times as long is done as many times less often.
OF_CELLS, OF_CELERYS = 4, 4


class Ours:
    """A supervisor that is asked for as many runs at once as there are jobs."""

    def __init__(self, kept: Supervised, runs: int) -> None:
        self._kept, self._runs = kept, runs
        self._jobs: tuple[str, ...] = ()
        self._process = psutil.Process(kept.process.pid)
        self.cpu = self.pss = 0.0

    def ask(self) -> float:
        """Milliseconds a run, from the instant at which all are due until all are over."""
        due = datetime.now(UTC) + timedelta(seconds=SOON + max(1.0, self._runs / 40))
        self._be_due(due)
        assert datetime.now(UTC) < due, "the jobs were not added in time"
        before, at = self._used(), self._kept.log.stat().st_size
        self._until_over(at)
        seconds = (datetime.now(UTC) - due).total_seconds()
        self.cpu = (self._used() - before) * 1000 / self._runs
        self.pss = self._process.memory_full_info().pss / 1024**2
        return seconds * 1000 / self._runs

    def _be_due(self, due: datetime) -> None:
        draft = {"command": PROGRAM, "prompt": "none", "retries": 0, "at": due.isoformat()}
        wanted = [{"draft": draft, "replaces": job_id} for job_id in self._jobs or [""] * self._runs]
        done = self._kept.client.change_jobs({"jobs": wanted})
        assert done.stored, done.refused
        self._jobs = self._jobs or tuple(job.id for job in done.added)

    def _until_over(self, at: int) -> None:
        with open(self._kept.log, "rb") as log:
            log.seek(at)
            over = 0

            def all_over() -> bool:
                nonlocal over
                over += log.read().count(b": completed (ok)")
                return over >= self._runs

            eventually(all_over, WITHIN)

    def _used(self) -> float:
        used = self._process.cpu_times()
        return used.user + used.system

    def requests(self) -> list[Path]:
        """What the supervisor asked its runners for."""
        return sorted((self._kept.home / "logs").glob("*/1/request.json"))[: self._runs]


class Prepared:
    """The same requests for others, each with a fresh directory."""

    def __init__(self, requests: list[Path], kept: Supervised, runner: Path) -> None:
        self._requests = [json.loads(path.read_bytes()) for path in requests]
        self._folder, self._numbers = kept.folder, count(1)
        self.argv = [sys.executable, "-I", "-S", "-X", f"pycache_prefix={kept.home / 'pycache'}", str(runner)]

    def folders(self) -> list[str]:
        return [self._prepared(request) for request in self._requests]

    def _prepared(self, request: dict[str, object]) -> str:
        path = self._folder / str(next(self._numbers))
        path.mkdir(mode=0o700)
        line = json.dumps({**request, "log_dir": str(path)}, separators=(",", ":"))
        (path / "request.json").write_text(line + "\n")
        return str(path)

    def by_xargs(self) -> float:
        """A pipe that the shell fills and the runner holds open itself, for its end would mean that nobody listens."""
        folders = self.folders()
        for folder in folders:
            subprocess.run(["mkfifo", f"{folder}/pipe"], check=True)
        fill = 'exec 3<>"$0/pipe"; read -r line <"$0/request.json"; printf "%s\\n" "$line" >&3; '
        script = f'{fill}exec {shlex.join(self.argv)} <&3 >"$0/said"'
        began = time.perf_counter()
        subprocess.run(
            ["xargs", "-P", str(AT_ONCE), "-n", "1", "sh", "-c", script],
            input="\n".join(folders),
            text=True,
            check=True,
        )
        seconds = time.perf_counter() - began
        assert all(b'"reason":"ok"' in Path(folder, "result.json").read_bytes() for folder in folders)
        return seconds * 1000 / len(folders)

    def by_apscheduler(self, peers: Environment) -> float:
        folders = self.folders()
        told = (str(AT_ONCE), str(self._folder / "ends"), json.dumps(self.argv))
        return peers.ask(peers.program("apscheduled"), *told, *folders) * 1000 / len(folders)


class Celery:
    """A worker whose children each run one task."""

    def __init__(self, peers: Environment, socket: Path, runs: int, children: int) -> None:
        self._peers, self._socket, self._runs, self._children = peers, socket, runs, children

    @contextmanager
    def working(self) -> Iterator[None]:
        name = f"-A celeried worker -P prefork -c {self._children} -l ERROR --without-gossip --without-mingle"
        with ended(self._peers.popen("-m", "celery", *name.split(), broker=self._socket)):
            yield

    def ask(self) -> float:
        return self._peers.ask(self._peers.program("celeried"), str(self._socket), str(self._runs)) * 1000 / self._runs


class Rq:
    """As many workers as runs at once, each of which forks for every job."""

    def __init__(self, peers: Environment, socket: Path, runs: int) -> None:
        self._peers, self._socket, self._runs = peers, socket, runs
        self._pids: list[int] = []

    @contextmanager
    def working(self) -> Iterator[None]:
        with ExitStack() as stack:
            for _ in range(AT_ONCE):
                argv = ("-m", "rq.cli", "worker", "--quiet", "--url", f"unix://{self._socket}")
                self._pids.append(stack.enter_context(ended(self._peers.popen(*argv))))
            yield

    def ask(self) -> float:
        return self._peers.ask(self._peers.program("rqed"), str(self._socket), str(self._runs)) * 1000 / self._runs

    def pss(self, broker: int) -> float:
        """MiB of the workers and of what keeps their work, at rest."""
        return sum(psutil.Process(pid).memory_full_info().pss for pid in (*self._pids, broker)) / 1024**2


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--runs", type=int, default=MANY)
    parser.add_argument("--peers", type=Path, default=cache(), help="where their environment lies, or is made")
    parser.add_argument("--smoke", action="store_true")
    parsed = parser.parse_args()
    runs, rounds = (FEW, 1) if parsed.smoke else (parsed.runs, parsed.rounds)
    peers = None if parsed.smoke else environment(parsed.peers)
    with ExitStack() as stack:
        prepared, questions = of_ours(stack, runs)
        if peers is not None:
            cells = of_cells(stack, runs // OF_CELLS, peers)
            questions |= dict((*cells, *of_gates(stack, runs), *of_peers(stack, peers, prepared, runs)))
        found = interleaved(questions, rounds)
    show(f"End to end, {AT_ONCE} at once", list(rows(found.median)), found.rounds)


Question = tuple[str, Callable[[], float]]


def of_ours(stack: ExitStack, runs: int) -> tuple[Prepared, dict[str, Callable[[], float]]]:
    """With the runner that does nothing, and xargs beside it."""
    kept = stack.enter_context(supervised(CONFIG, "benchmarks.noop"))
    ours = Ours(kept, runs)
    ours.ask()
    prepared = Prepared(ours.requests(), kept, Path(noop.__file__))
    return prepared, {"ours": ours.ask, "xargs": prepared.by_xargs, "CPU": lambda: ours.cpu, "MiB": lambda: ours.pss}


def of_gates(stack: ExitStack, runs: int) -> Iterator[Question]:
    """All at once, with the gate of starts and without."""
    for name, most in (("gate", 0), ("no gate", MOST)):
        config = f"max_concurrent = {MOST}\nmax_starting = {most}\nmax_memory_pressure = 0\n"
        ours = Ours(stack.enter_context(supervised(config, "benchmarks.noop")), runs)
        ours.ask()
        yield name, ours.ask


def of_cells(stack: ExitStack, runs: int, peers: Environment) -> Iterator[Question]:
    """With the real one, and beside it xargs and APScheduler."""
    kept = stack.enter_context(supervised(CONFIG))
    ours = Ours(kept, runs)
    ours.ask()
    prepared = Prepared(ours.requests(), kept, RUNNER)
    yield "ours in cells", ours.ask
    yield "xargs in cells", prepared.by_xargs
    yield "APScheduler in cells", partial(prepared.by_apscheduler, peers)


def of_peers(stack: ExitStack, peers: Environment, prepared: Prepared, runs: int) -> Iterator[Question]:
    yield "APScheduler", partial(prepared.by_apscheduler, peers)
    if peers.redis is None:
        print("There is no redis here, and none could be had: celery and rq are left out.")
        return
    broker, socket = stack.enter_context(peers.broker())
    for name, children in (("celery", CPUS), ("celery, twice as many children", AT_ONCE)):
        # Each has a broker of its own: two workers would share one's work.
        celery = Celery(peers, stack.enter_context(peers.broker())[1], max(1, runs // OF_CELERYS), children)
        stack.enter_context(celery.working())
        yield name, celery.ask
    rq = Rq(peers, socket, runs)
    stack.enter_context(rq.working())
    yield "rq", rq.ask
    yield "rq MiB", partial(rq.pss, broker)


def rows(median: Mapping[str, float]) -> Iterator[Row]:
    """Fewer milliseconds a run are more runs a second: 0.9 times as many are 1.11 times as long."""
    most: dict[str, float | None] = {"xargs": 1.11, "APScheduler": 1.0, "celery": 0.125}
    most |= {"celery, twice as many children": None, "rq": None}
    for peer, goal in most.items():
        if peer not in median:
            continue
        what, ours = f"a run that does nothing; {peer}", median["ours"]
        yield Row(what, ours, median[peer]) if goal is None else ratio(what, ours, median[peer], goal)
    for peer in ("xargs", "APScheduler"):
        if f"{peer} in cells" in median:
            ours, theirs = median["ours in cells"], median[f"{peer} in cells"]
            yield ratio(f"a run in a cell; {peer}", ours, theirs, most[peer] or 1.0)
    if "gate" in median:
        yield ratio("a run of a burst, with a gate; without", median["gate"], median["no gate"], 1.3)
    yield Row("CPU of the supervisor; beside it a run by xargs", median["CPU"], median["xargs"])
    if "rq MiB" in median:
        yield ratio("its memory, MiB; beside it rq and redis", median["MiB"], median["rq MiB"], 0.5)


if __name__ == "__main__":
    main()
