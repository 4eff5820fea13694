"""What it costs to start an attempt, beside the floors, and what of it the supervisor pays.

    python -m benchmarks.start          30 rounds
    python -m benchmarks.start --smoke  one

The floor of a runner is an interpreter that does nothing. The floor of a start is its parts run by hand: a runner until
it has its request, and a cell around /usr/bin/true until that runs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from benchmarks import cell
from benchmarks.measuring import Row, interleaved, ratio, request, show
from runner import drop, host, seccomp
from runner.denied import Policy
from shared.messages import Ready, Started
from shared.reasons import Reason
from supervisor.spawning.launcher import Executor, Gone, News
from supervisor.spawning.preparation import make_executor

HEAP_BYTES = 512 << 20
PROGRAM = "/usr/bin/true"
KINDS = {Ready: "ready", Started: "started"}


def interpreter() -> float:
    """An interpreter as the runner's, that ends at once."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True, cwd="/")
    return (time.perf_counter() - began) * 1000


class Attempts:
    """`ask` makes a whole attempt; `told` tells of the latest one, in milliseconds since its start."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._latest: dict[str, float] = {}

    def ask(self) -> float:
        with tempfile.TemporaryDirectory(prefix="cronward-bench-") as folder, asyncio.Runner() as on:
            self._latest = on.run(self._attempt(Path(folder)))
        return self._latest["gone"]

    def told(self, what: str) -> float:
        return self._latest[what]

    async def _attempt(self, folder: Path) -> dict[str, float]:
        loop, at = asyncio.get_running_loop(), {}
        over: asyncio.Future[Gone] = loop.create_future()
        wanted = request(folder, PROGRAM)

        def hear(news: News) -> None:
            at["gone" if isinstance(news, Gone) else KINDS.get(type(news.message), "")] = time.perf_counter()
            if isinstance(news, Gone):
                over.set_result(news)

        before, began = usage(), time.perf_counter()
        self._executor.spawn(wanted, hear, loop)
        at["spawn"] = time.perf_counter()
        gone = await over
        assert gone.result is not None, gone.fault
        assert gone.result.reason is Reason.OK, gone.result.error
        ours, children = (now - then for now, then in zip(usage(), before, strict=True))
        return {name: (when - began) * 1000 for name, when in at.items()} | {"our CPU": ours, "its CPU": children}


def usage() -> tuple[float, float]:
    """CPU milliseconds: this process's, and those of the children that it has waited for."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return tuple((used.ru_utime + used.ru_stime) * 1000 for used in both)  # type: ignore[return-value]


def with_heap(attempts: Attempts) -> float:
    """The spawn once more, by a supervisor that has half a gigabyte of memory of its own."""
    heap = bytearray(HEAP_BYTES)
    heap[::4096] = b"x" * len(heap[::4096])
    attempts.ask()
    return attempts.told("spawn")


@contextmanager
def by_hand() -> Iterator[Callable[[], float]]:
    """Asks for a cell, until its program runs. In a process of its own, which gives up root's ids as a runner does."""
    asks, answers = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(asks[1])
        serve(asks[0], answers[1])
    os.close(asks[0])
    os.close(answers[1])

    def ask() -> float:
        os.write(asks[1], b".")
        return float(os.read(answers[0], 100))

    try:
        yield ask
    finally:
        os.close(asks[1])
        os.close(answers[0])
        os.waitpid(pid, 0)


def serve(asks: int, answers: int) -> None:
    try:
        wanted = request(Path("/nonexistent"), PROGRAM)
        filtering = seccomp.build(Policy(memory_counted=False), os.uname().machine)
        assert filtering is not None
        drop.take_ordinary_ids(wanted)
        found = host.look(wanted)
        while os.read(asks, 1):
            os.write(answers, str(cell.ours(wanted, found, filtering.program, "started")).encode())
    finally:
        os._exit(0)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--smoke", action="store_true")
    parsed = parser.parse_args()
    rounds = 1 if parsed.smoke else parsed.rounds
    with tempfile.TemporaryDirectory(prefix="cronward-bench-home-") as home, by_hand() as cell_by_hand:
        attempts = Attempts(make_executor(Path(home)))
        attempts.ask()
        questions = {"python": interpreter, "cell": cell_by_hand, "gone": attempts.ask}
        later = ("spawn", "ready", "started", "our CPU", "its CPU")
        questions |= {name: partial(attempts.told, name) for name in later}
        questions["heap"] = partial(with_heap, attempts)
        asked = interleaved(questions, rounds)
    found = asked.median
    parts = found["ready"] + found["cell"]
    rows = [
        ratio("runner, until it has its request", found["ready"], found["python"], 2.0),
        ratio("attempt, until the agent's program runs", found["started"], parts, 1.3),
        Row("attempt, until all of it is gone", found["gone"], found["python"]),
        ratio("CPU of the supervisor, of the runner's", found["our CPU"], found["its CPU"], 0.05),
        ratio("spawn with a heap of 0.5 GB, without", found["heap"], found["spawn"], 2.0),
    ]
    show("Start; floors: python -I -S -c pass, the parts by hand", rows, asked.rounds)


if __name__ == "__main__":
    main()
