"""Work with files in a cell's work directory, against the same program outside.

python -m benchmarks.files          9 rounds of 10,000 files
python -m benchmarks.files --smoke  one of twenty
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.measuring import Asked, Row, interleaved, ratio, request, show
from runner import host
from shared.messages import ExecuteRequest
from shared.reasons import Reason
from shared.record import replace
from supervisor.spawning.launcher import Executor
from supervisor.spawning.preparation import make_executor

MOST = 1.05
PROGRAM = """
import os, sys, time
count, size = int(sys.argv[1]), 4096
data = b"x" * size
began = time.perf_counter()
for number in range(count):
    fd = os.open(f"bench-{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    os.write(fd, data)
    os.close(fd)
made = time.perf_counter()
for number in range(count):
    os.stat(f"bench-{number}")
    fd = os.open(f"bench-{number}", os.O_RDONLY)
    os.read(fd, size)
    os.close(fd)
read = time.perf_counter()
for number in range(count):
    os.unlink(f"bench-{number}")
print([made - began, read - made, time.perf_counter() - read])
"""
PARTS = ("create, write, close", "stat, open, read, close", "unlink")


def outside(folder: Path, files: int) -> list[float]:
    argv = [host.interpreter().executable, "-I", "-S", "-c", PROGRAM, str(files)]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def inside(executor: Executor, wanted: ExecuteRequest) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="cronward-bench-") as logs:
        result = executor.execute(replace(wanted, log_dir=logs))
    assert result.reason is Reason.OK, result.error
    return json.loads(result.response)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--smoke", action="store_true")
    parsed = parser.parse_args()
    rounds, files = (1, 20) if parsed.smoke else (parsed.rounds, parsed.files)
    with tempfile.TemporaryDirectory(prefix="cronward-bench-home-") as home:
        work = Path(home, "work")
        work.mkdir()
        argv = (host.interpreter().executable, "-I", "-S", "-c", PROGRAM, str(files))
        wanted = request(Path(home), *argv, work_dir=work, wall_seconds=600.0)
        if wanted.cell.run_as is not None:
            Path(home).chmod(0o711)
            os.chown(work, wanted.cell.run_as.uid, wanted.cell.run_as.gid)
        asked = measured(make_executor(Path(home)), wanted, work, rounds, files)
    parts = enumerate(PARTS)
    rows = [Row(what, asked.median[f"inside {at}"], asked.median[f"outside {at}"]) for at, what in parts]
    rows.append(ratio("all of it", asked.median["inside"], asked.median["outside"], MOST))
    show(f"{files} files in the work directory; floor: outside", rows, asked.rounds)


def measured(executor: Executor, wanted: ExecuteRequest, work: Path, rounds: int, files: int) -> Asked:
    taken: dict[str, list[float]] = {}

    def ask(name: str) -> float:
        taken[name] = inside(executor, wanted) if name == "inside" else outside(work, files)
        return sum(taken[name]) * 1000

    def part(name: str, at: int) -> float:
        return taken[name][at] * 1000

    questions = {}
    for name in ("inside", "outside"):
        questions[name] = partial(ask, name)
        questions |= {f"{name} {at}": partial(part, name, at) for at in range(len(PARTS))}
    return interleaved(questions, rounds)


if __name__ == "__main__":
    main()
