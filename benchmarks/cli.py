"""What the command line costs whoever types, beside an interpreter that does nothing, and one that imports typer.

    python -m benchmarks.cli             10 rounds, a thousand jobs with 50 runs each
    python -m benchmarks.cli --smoke     one round, a few jobs

The home is as a supervisor leaves it: a history of two lines a run for each job, and the notes that it makes of them.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from benchmarks.measuring import Row, interleaved, ratio, show
from shared.findings import Usage
from shared.messages import Layer
from shared.reasons import Reason
from supervisor.models import SECOND, CronJob, CronRun
from supervisor.status import Status
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore, new_id
from supervisor.stores.lock import HomeLock
from supervisor.stores.runs import RunsStore

ROOT = Path(__file__).parents[1]
PROGRAM = "import sys; from supervisor.__main__ import main; sys.exit(main())"
"""What a console script does."""
LINES, COLUMNS = 50, 140
TEMPLATES = 20
"""So many histories are recorded; the others are like one of these."""
SCHEDULES = ("{minute} {hour} * * *", "*/{few} 9-17 * * mon-fri", "@every {many}m", "{minute} {hour} 1 * *")
ZONES = ("Europe/Berlin", "UTC", "America/New_York")


def furnish(home: Home, jobs: int, runs: int) -> None:
    """Jobs with all kinds of schedules, and histories such as runs leave."""
    now = datetime.now(UTC)
    made = [job(number, now) for number in range(jobs)]
    CronStore(home).change(made)
    for each in range(min(TEMPLATES, jobs)):
        history, ended = recorded(home, made[each], runs, now - each * timedelta(minutes=10))
        for other in made[each::TEMPLATES]:
            path = home.runs / f"{other.id}.jsonl"
            path.write_bytes(history.replace(made[each].id.encode(), other.id.encode()))
            os.utime(path, (ended.timestamp(), ended.timestamp()))
    with HomeLock(home):
        RunsStore(home).quarantine()  # as a supervisor looks at them when it starts


def job(number: int, now: datetime) -> CronJob:
    words = {"minute": number % 60, "hour": number % 24, "few": 5 + number % 25, "many": 30 + number % 90}
    return CronJob(
        id=new_id(),
        name=f"job-{number}",
        cron_expr=SCHEDULES[number % 4].format(**words),
        timezone=None if number % 4 == 2 else ZONES[number % 3],
        prompt=f"Look at the logs of service {number} and say what is unusual about them. " * 4,
        enabled=number % 10 != 9,
        created_at=now - timedelta(days=60, seconds=number),
    )


def recorded(home: Home, of: CronJob, runs: int, now: datetime) -> tuple[bytes, datetime]:
    """The file of this job, once so many runs were claimed and have ended, and when the last of them did."""
    store = RunsStore(home)
    layers = tuple(Layer(name=f"layer {number}", held=True, detail="what it says about itself") for number in range(8))
    usage = Usage(wall_seconds=90.0, cpu_seconds=10.0, peak_rss_bytes=1 << 28, output_bytes=1000)
    with HomeLock(home):
        for number in range(runs):
            at = now - timedelta(hours=(runs - number) * 5)
            claim = CronRun(id=new_id(), job_id=of.id, status=Status.RUNNING, scheduled_at=at, started_at=at, attempt=1)
            store.record(claim)
            told = {"response": "All is well with this service. " * 15, "layers": layers, "usage": usage}
            over = {"finished_at": at + timedelta(seconds=90), "duration": 90 * SECOND}
            store.record(claim.moved(Status.COMPLETED, reason=Reason.OK, **over, **told))
    return (home.runs / f"{of.id}.jsonl").read_bytes(), now - timedelta(hours=5) + timedelta(seconds=90)


def piped(argv: list[str], environ: dict[str, str], codes: tuple[int, ...] = (0,)) -> float:
    """Milliseconds until it has ended, its output in a pipe."""
    began = time.perf_counter()
    done = subprocess.run(argv, env=environ, cwd=ROOT, capture_output=True, check=False)
    taken = (time.perf_counter() - began) * 1000
    assert done.returncode in codes, done.stderr
    return taken


def on_terminal(argv: list[str], environ: dict[str, str]) -> float:
    """The same on a terminal, until the last character of it is there."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    began = time.perf_counter()
    process = subprocess.Popen(argv, env=environ, cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = sum(map(len, read(ours)))
    code = process.wait()
    taken = (time.perf_counter() - began) * 1000
    os.close(ours)
    assert (code, shown > 0) == (0, True)
    return taken


def read(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # the other side was closed
            return
        if not piece:
            return
        yield piece


def asked(home: Path, environ: dict[str, str]) -> tuple[dict[str, Callable[[], float]], dict[str, Callable[[], float]]]:
    """The questions that have goals, with their floors; and those that have none."""
    python = [sys.executable, "-c"]
    cronward = [*python, PROGRAM, "--home", str(home)]
    completing = {"_CRONWARD_COMPLETE": "complete_bash", "COMP_WORDS": "cronward show jo", "COMP_CWORD": "2"}
    goals: dict[str, Callable[[], float]] = {
        "python": partial(piped, [*python, "pass"], environ),
        "typer": partial(piped, [*python, "import typer"], environ),
        "--version": partial(piped, [*python, PROGRAM, "--version"], environ),
        "list": partial(piped, [*cronward, "list"], environ),
        "list on a terminal": partial(on_terminal, [*cronward, "list"], environ),
    }
    others: dict[str, Callable[[], float]] = {
        "list --json": partial(piped, [*cronward, "list", "--json"], environ),
        "runs": partial(piped, [*cronward, "runs"], environ),
        "status": partial(piped, [*cronward, "status"], environ, (4,)),
        "metrics": partial(piped, [*cronward, "metrics"], environ),
        "recap": partial(piped, [*cronward, "recap"], environ),
        "completion of a job": partial(
            piped, [*python, PROGRAM], {**environ, **completing, "CRONWARD_HOME": str(home)}
        ),
    }
    return goals, others


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--smoke", action="store_true")
    given = parser.parse_args()
    jobs, runs, rounds = (5, 3, 1) if given.smoke else (1000, 50, given.rounds)
    with tempfile.TemporaryDirectory(prefix="cronward-bench-cli-") as folder:
        home = Home.of(Path(folder) / "home")
        furnish(home, jobs, runs)
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        # Compiled once, as an installation is, and not into the folders of this one.
        environ |= {"PYTHONPYCACHEPREFIX": f"{folder}/bytecode", "TERM": "xterm-256color"}
        goals, others = asked(home.root, environ)
        for ask in (*goals.values(), *others.values()):
            ask()
        measured = interleaved(goals, rounds, seconds=25)
        besides = interleaved({"typer": goals["typer"], **others}, min(3, rounds), seconds=15)
    found = measured.median
    rows = [
        ratio("--version; floor: python -c pass", found["--version"], found["python"], 1.2),
        ratio("list in a pipe; floor: import typer", found["list"], found["typer"], 4.0),
        ratio("list on a terminal; floor: import typer", found["list on a terminal"], found["typer"], 10.0),
    ]
    floor = besides.median.pop("typer")
    rows += [Row(name, taken, floor) for name, taken in besides.median.items()]
    show(f"Command line, {jobs} jobs with {runs} runs each", rows, measured.rounds)


if __name__ == "__main__":
    main()
