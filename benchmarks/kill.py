"""From a run's deadline until its whole tree is gone, against killpg and wait for a plain tree of the same size.

    python -m benchmarks.kill          12 rounds
    python -m benchmarks.kill --smoke  one

Ours is a tree that killpg does not reach: each of its processes has a session of its own and has lost its parent.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.measuring import interleaved, ratio, request, show
from runner import host
from shared.reasons import Reason
from supervisor.spawning.launcher import Executor
from supervisor.spawning.preparation import make_executor

MOST = 3.0
SIZES = (1, 20)
# An interpreter each, because an agent is not a small process, and most of a death is giving back its memory.
SLEEPER = "import time; time.sleep(98765)"
ESCAPED = 'i=0; while [ $i -lt "$1" ]; do (setsid "$2" -ISc "$3" &); i=$((i+1)); done; exec "$2" -ISc "$3"'
PLAIN = 'i=0; while [ $i -lt "$1" ]; do "$2" -ISc "$3" & i=$((i+1)); done; echo ready; exec "$2" -ISc "$3"'


def killpg(processes: int, settle: float) -> float:
    """Until every process of the group has ended, by its pidfd."""
    argv = ["/bin/sh", "-c", PLAIN, "sh", str(processes), host.interpreter().executable, SLEEPER]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as leader:
        assert leader.stdout is not None
        assert leader.stdout.readline() == b"ready\n"
        pids = [int(pid) for pid in Path(f"/proc/{leader.pid}/task/{leader.pid}/children").read_text().split()]
        assert len(pids) == processes
        pidfds = [os.pidfd_open(pid) for pid in (leader.pid, *pids)]
        time.sleep(settle)
        began = time.perf_counter()
        os.killpg(leader.pid, signal.SIGKILL)
        leader.wait()
        for pidfd in pidfds:
            select.select([pidfd], [], [])
        taken = time.perf_counter() - began
    for pidfd in pidfds:
        os.close(pidfd)
    return taken * 1000


def deadline(executor: Executor, processes: int, wall: float) -> float:
    """As the runner has it on its record: its wall time ends when nothing of the tree is left, init and bubblewrap
    neither."""
    with tempfile.TemporaryDirectory(prefix="cronward-bench-") as folder:
        argv = ("/bin/sh", "-c", ESCAPED, "sh", str(processes), host.interpreter().executable, SLEEPER)
        result = executor.execute(request(Path(folder), *argv, wall_seconds=wall, grace_seconds=5.0))
    assert result.reason is Reason.TIMEOUT_WALL, result.error
    if result.usage is not None and result.usage.processes_peak > processes:
        return (result.usage.wall_seconds - wall) * 1000
    # A machine so busy that the tree did not stand by then.
    return deadline(executor, processes, wall * 2)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--wall", type=float, default=1.2, help="seconds; the tree must stand by then")
    parser.add_argument("--smoke", action="store_true")
    parsed = parser.parse_args()
    rounds, wall = (1, 0.5) if parsed.smoke else (parsed.rounds, parsed.wall)
    questions = {}
    with tempfile.TemporaryDirectory(prefix="cronward-bench-home-") as home:
        executor = make_executor(Path(home))
        for processes in SIZES:
            questions[f"ours {processes}"] = partial(deadline, executor, processes, wall)
            questions[f"floor {processes}"] = partial(killpg, processes, wall)
        asked = interleaved(questions, rounds)
    rows = [
        ratio(f"a tree of {n + 1} processes", asked.median[f"ours {n}"], asked.median[f"floor {n}"], MOST)
        for n in (1, 20)
    ]
    show("From the deadline until nothing is left; floor: killpg and wait", rows, asked.rounds)


if __name__ == "__main__":
    main()
