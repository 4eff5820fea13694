"""What a cell costs above bubblewrap alone: both with the same arguments and files, around /usr/bin/true.

    python -m benchmarks.cell          40 rounds
    python -m benchmarks.cell --smoke  one

Ours has init in it, which says what holds, is told what to start, and puts the filter of system calls on the agent.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.measuring import Row, interleaved, request, show
from runner import cell, drop, host, seccomp
from runner.denied import Policy
from runner.host import Host
from runner.spawn import Spawned, spawn
from shared.messages import ExecuteRequest

ABOVE_MS = 25.0
PROGRAM = "/usr/bin/true"


def bare(wanted: ExecuteRequest, found: Host) -> float:
    """bubblewrap, until it has ended."""
    argv = cell.arguments(wanted, found)
    argv[argv.index("--") + 1 :] = [PROGRAM]
    began = time.perf_counter()
    spawned = spawn(argv, cell.files(wanted, found.init))
    end(spawned)
    return (time.perf_counter() - began) * 1000


def ours(wanted: ExecuteRequest, found: Host, program: bytes, until: str) -> float:
    """A cell, until the agent's program runs ("started") or until all has ended ("usage")."""
    began = time.perf_counter()
    spawned = spawn(cell.arguments(wanted, found), cell.files(wanted, found.init))
    hear(spawned, "hello")
    os.write(spawned.pipes.life, cell.config(wanted, found, program))
    hear(spawned, until)
    taken = time.perf_counter() - began
    end(spawned)
    return (taken if until == "started" else time.perf_counter() - began) * 1000


def hear(spawned: Spawned, word: str) -> None:
    """Wait until init has said it."""
    os.set_blocking(spawned.pipes.report, True)
    said = b""
    while word.encode() not in said or not said.endswith(b"\n"):
        part = os.read(spawned.pipes.report, 4096)
        assert part, f"init ended before it said {word}, after {said!r}: {os.read(spawned.pipes.stderr, 4096)!r}"
        said += part


def end(spawned: Spawned) -> None:
    _, status = os.waitpid(spawned.pid, 0)
    for descriptor in (spawned.pidfd, *spawned.pipes):
        os.close(descriptor)
    assert status == 0, f"bubblewrap ended with wait status {status}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--smoke", action="store_true")
    parsed = parser.parse_args()
    rounds = 1 if parsed.smoke else parsed.rounds
    with tempfile.TemporaryDirectory(prefix="cronward-bench-") as folder:
        wanted = request(Path(folder), PROGRAM)
    filtering = seccomp.build(Policy(memory_counted=False), os.uname().machine)
    assert filtering is not None
    drop.take_ordinary_ids(wanted)
    found = host.look(wanted)
    cell.check(wanted, found, "/nonexistent")
    asked = interleaved(
        {
            "bare": partial(bare, wanted, found),
            "started": partial(ours, wanted, found, filtering.program, "started"),
            "gone": partial(ours, wanted, found, filtering.program, "usage"),
        },
        rounds,
    )
    floor = asked.median["bare"]
    goal = f"<= {ABOVE_MS:g} ms more"
    rows = [
        Row("cell, until the agent's program runs", asked.median["started"], floor),
        Row("cell, until all of it is gone", asked.median["gone"], floor, goal, floor + ABOVE_MS),
    ]
    show(f"A cell around {PROGRAM}; floor: bubblewrap", rows, asked.rounds)


if __name__ == "__main__":
    main()
