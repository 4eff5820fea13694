"""However a run's processes hide, and however it ends: nothing of it is left two seconds later, four at once or one.

Real supervisors. What is left is looked for in two ways: a mark in argv that no other process of this machine has, and
the PID namespaces that were the cells'. The quick run tries every way of hiding with every end, four runs at a time;
the full one each alone as well, and kills in the first milliseconds much more often.
"""

from __future__ import annotations

import os
import random
import shlex
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from supervisor.errors import RefusedError
from tests.driver import children, eventually, marker, survivors
from tests.hostile.stage import python
from tests.house import House, house
from tests.lacks import need

pytestmark = [need("cell"), pytest.mark.timeout(600)]
FULL = os.environ.get("CRONWARD_TESTS") == "full"

IGNORE = "trap '' TERM HUP INT;"
TRACER = (
    "import ctypes, os, sys, time; c = os.fork(); c or os.execv('/usr/bin/sleep', ['sleep', sys.argv[1]]);"
    "ctypes.CDLL(None).ptrace(16, c, 0, 0); time.sleep(99)"
)
WAYS = {
    "setsid": "setsid sleep $1 & wait",
    "double fork": "(setsid sh -c 'sleep $1 & exit' sh $1 &); sleep $1",
    "ignored TERM": f"{IGNORE} sh -c '{IGNORE} sleep $1' sh $1 & while :; do sleep $1; done",
    "own process group": "set -m; sleep $1 & sleep $1 & wait",
    "stopped": "sleep $1 & kill -STOP $!; kill -STOP $$; sleep $1",
    "fork bomb": "i=0; while [ $i -lt 300 ]; do sleep $1 & i=$((i+1)); done; wait",
    "held pipes": f"{IGNORE} setsid sh -c '{IGNORE} while :; do sleep $1; done' sh $1 & exec sleep $1",
    "ptrace": f'exec {python()} -I -S -c "{TRACER}" $1',
}
ENDS = ("timeout", "cancel", "limit", "stop", "kill -9 supervisor", "kill -9 runner")
CONFIG = """
max_concurrent = 8
grace_seconds = 0.3
min_available_memory = 0
max_memory_pressure = 0
[limits.light]
processes = 400
output = "64KiB"
"""
# Two seconds after the end, and as much again for a machine that has other things to do.
WITHIN = 4.0


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG)
    with house(tmp_path, CRONWARD_CONFIG=str(config), CRONWARD_GRACE_SECONDS="0.3") as made:
        made.start()
        yield made
    # What a broken kill has left: runners, and with them their cells.
    for pid in left(made):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def begin(home: House, way: str, end: str, mark: str) -> dict[str, Any]:
    script = WAYS[way]
    if end == "limit":
        # What floods is one of the tree's, once the others are there.
        script = f"(sleep 2; exec yes flood) & {script}"
    timeout = 2 if end == "timeout" else 60
    command = shlex.join(["sh", "-c", script, "sh", mark])
    return home.run_now(command=command, retries=0, timeout_secs=timeout)


def namespaces(mark: str) -> set[str]:
    """The PID namespaces in which something with that mark lives."""
    found = set()
    for pid in survivors(mark):
        with suppress(OSError):
            found.add(os.readlink(f"/proc/{pid}/ns/pid"))
    return found - {os.readlink("/proc/self/ns/pid")}


def inhabitants(cells: set[str]) -> set[psutil.Process]:
    """Whoever lives in these namespaces now, init included. The numbers of namespaces are used again, processes with
    their time of start are not."""
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with suppress(OSError, psutil.Error):
                if os.readlink(f"/proc/{entry}/ns/pid") in cells:
                    found.add(psutil.Process(int(entry)))
    return found


def alive(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def runners(home: House) -> list[psutil.Process]:
    assert home.process is not None
    found = []
    for pid in children(home.process.pid):
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            if "cronward-run" in process.cmdline():
                found.append(process)
    return found


def bring_about(home: House, end: str, jobs: list[dict[str, Any]]) -> None:
    assert home.process is not None
    if end == "cancel":
        for job in jobs:
            home.client.cancel_run(home.runs(job["id"])[-1]["id"])
    elif end == "stop":
        home.process.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        with suppress(ProcessLookupError):
            home.process.send_signal(signal.SIGTERM)  # the second one cancels what still runs
    elif end == "kill -9 supervisor":
        home.process.kill()
    elif end == "kill -9 runner":
        for runner in runners(home):
            runner.kill()


REASONS = {
    "timeout": ("timeout_wall",),
    "cancel": ("canceled_by_user",),
    "limit": ("output_limit",),
    "stop": ("supervisor_stopped",),
    "kill -9 runner": ("runner_broke",),
}


def try_it(home: House, ways: list[str], end: str) -> None:
    marks = {way: marker() for way in ways}
    jobs = [begin(home, way, end, mark) for way, mark in marks.items()]
    cells: set[str] = set()
    for way, mark in marks.items():
        # A fork bomb is there when it has forked enough, not with its first child.
        many = 250 if way == "fork bomb" else 1
        eventually(lambda mark=mark, many=many: len(survivors(mark)) >= many or over(home, jobs), within=30)
        cells |= namespaces(mark)
    known = inhabitants(cells)
    bring_about(home, end, jobs)
    if end in ("timeout", "limit", "cancel", "kill -9 runner"):
        for job in jobs:
            (run,) = home.ended(job["id"], within=30)
            assert run["reason"] in REASONS[end], (end, run["reason"], run["error"])
            # The slot is free from here on, so nothing may be left from here on.
    else:
        assert home.process is not None
        home.process.wait(30)
    within = WITHIN if end.startswith("kill -9 supervisor") else 0.2
    gone(lambda: [pid for mark in marks.values() for pid in survivors(mark)], within)
    gone(lambda: [process.pid for process in known if alive(process)], within)
    assert known or end in ("timeout", "limit")  # which may come before anybody has looked


def gone(find: Callable[[], list[int]], within: float) -> None:
    """Until nothing is found; else say what is left."""
    until = time.monotonic() + within
    while left := find():
        assert time.monotonic() < until, [described(pid) for pid in left]
        time.sleep(0.01)


def described(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        return f"{pid} {process.status()} {process.cmdline()}, child of {process.ppid()}"
    except psutil.Error as error:
        return str(error)


def over(home: House, jobs: list[dict[str, Any]]) -> bool:
    return all(
        run["status"] in ("failed", "canceled") for job in jobs for run in home.runs(job["id"]) or [{"status": ""}]
    )


FIRST, SECOND = list(WAYS)[:4], list(WAYS)[4:]


@pytest.mark.parametrize("ways", [FIRST, SECOND], ids=["first four", "last four"])
@pytest.mark.parametrize("end", ENDS)
def test_nothing_survives_four_at_once(home: House, ways: list[str], end: str) -> None:
    try_it(home, ways, end)


SINGLE = [(way, end) for way in WAYS for end in ENDS]


@pytest.mark.parametrize(("way", "end"), SINGLE if FULL else random.Random(20).sample(SINGLE, 4))
def test_nothing_survives_alone(home: House, way: str, end: str) -> None:
    try_it(home, [way], end)


def _kill_runner(home: House) -> None:
    for runner in runners(home):
        runner.kill()


def _kill_supervisor(home: House) -> None:
    assert home.process is not None
    home.process.kill()
    home.process.wait()


KILLS: dict[str, Callable[[House], None]] = {"runner": _kill_runner, "supervisor": _kill_supervisor}


@pytest.mark.parametrize("who", KILLS)
def test_nothing_survives_a_kill_within_the_first_milliseconds(home: House, who: str) -> None:
    """From the runner's first sight on, when the cell may not be there, or half, or just."""
    seed = random.Random(12)
    for _ in range(100 if FULL else 6 if who == "runner" else 3):
        mark = marker()
        jobs = [begin(home, "setsid", "cancel", mark) for _ in range(4)]
        eventually(lambda: runners(home), within=20)
        time.sleep(seed.uniform(0, 0.012))  # the moment itself is what is tried
        KILLS[who](home)
        if who == "supervisor":
            eventually(lambda mark=mark: not survivors(mark) and not left(home), within=WITHIN)
            home.start()
        # Those that nobody had claimed when the supervisor was killed are begun by its successor.
        for run in [run for job in jobs for run in home.runs(job["id"])]:
            with suppress(RefusedError):  # over already
                home.client.cancel_run(run["id"])
        for job in jobs:
            home.ended(job["id"], within=40)
        assert survivors(mark) == []
        assert left(home) == []


def left(home: House) -> list[int]:
    """Whatever still carries an argv of ours for a run of this home: runners, bubblewraps, inits."""
    ids = [path.name for path in (home.root / "logs").iterdir()] if (home.root / "logs").exists() else []
    return survivors(*ids)
