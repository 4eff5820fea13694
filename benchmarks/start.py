"""What it costs to start an attempt, beside the floor: medians of interleaved rounds, as ratios.

    scripts/bench            all rounds (under a minute)
    scripts/bench --rounds 3  a smoke

The floor of a runner is an interpreter that does nothing; the floor of a cell is bubblewrap around /usr/bin/true.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from shared.messages import ExecuteResult
from shared.reasons import Reason
from supervisor.config import Config
from supervisor.cronscheduler import make_executor
from supervisor.doctor import trial
from supervisor.launcher import RUNNER, Executor

BWRAP = ["/usr/bin/bwrap", "--unshare-all", "--die-with-parent", "--new-session"]
BWRAP += ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
# Root's bubblewrap would be another thing: an agent never runs as root.
DROP = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []


def interpreter() -> None:
    """An interpreter as the runner's, that ends at once."""
    subprocess.run([sys.executable, "-I", "-S", "-c", "pass"], check=True, cwd="/")


def runner_ready() -> None:
    """Until a runner has read its request: it is given a wrong one, says so and ends."""
    done = subprocess.run([sys.executable, "-I", "-S", str(RUNNER)], input=b"[]\n", capture_output=True, check=False)
    assert done.returncode == 3, done.stderr


def bubblewrap() -> None:
    """The sandbox alone."""
    subprocess.run([*DROP, *BWRAP, "/usr/bin/true"], check=True, cwd="/")


def attempt(executor: Executor) -> None:
    """A whole attempt at /usr/bin/true: runner, cell, init, filter, result on disk."""
    with tempfile.TemporaryDirectory(prefix="cronward-bench-") as folder:
        result: ExecuteResult = executor.execute(trial(Path(folder), Config()))
    assert result.reason is Reason.OK, result.error


def measure(questions: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Milliseconds, median, each round asking every question once: what else the machine does hits all alike."""
    taken: dict[str, list[float]] = {name: [] for name in questions}
    for _ in range(rounds):
        for name, ask in questions.items():
            began = time.perf_counter()
            ask()
            taken[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(times) for name, times in taken.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cronward-bench-home-")))
        executor = make_executor(home)
        attempt(executor)
        found = measure(
            {
                "python -I -S -c pass": interpreter,
                "runner has its request": runner_ready,
                "bubblewrap, /usr/bin/true": bubblewrap,
                "attempt, /usr/bin/true": lambda: attempt(executor),
            },
            rounds,
        )
    floor = found["python -I -S -c pass"]
    print(f"{platform.python_version()}, {platform.release()}, {os.cpu_count()} cores, median of {rounds} rounds")
    for name, milliseconds in found.items():
        print(f"{name:28} {milliseconds:8.1f} ms  {milliseconds / floor:6.2f}x")


if __name__ == "__main__":
    main()
