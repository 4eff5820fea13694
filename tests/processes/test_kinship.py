"""A tree of processes is stopped whole before any of it is killed, and what was forked meanwhile is found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from runner.meter import TreeMeter
from shared import kinship
from tests.driver import eventually


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except (FileNotFoundError, ProcessLookupError):  # dead, and reaped by its parent
        return "Z"


def test_nothing_is_killed_before_all_that_is_found_is_stopped() -> None:
    one, late = (subprocess.Popen(["sleep", "60"]) for _ in range(2))
    given: list[list[int]] = []

    def look() -> list[int]:
        """The second is forked, as it were, while the first is being stopped."""
        for pid in given[-1] if given else []:
            eventually(lambda pid=pid: state(pid) == "T")
        given.append([one.pid] if not given else [one.pid, late.pid])
        return given[-1]

    try:
        kinship.kill(look)
        assert [process.wait(10) for process in (one, late)] == [-9, -9]
    finally:
        for process in (one, late):
            process.kill()
            process.wait()
    assert len(given) == 4  # one, one more, nothing new, all of them to be killed


# More children of one process than one read of the kernel's list of them gives, the last of them the one that matters.
CROWD = """
import os, sys, time
for _ in range(1000):
    if os.fork() == 0:
        os._exit(0)
if os.fork() == 0:
    hold = bytearray(b"x") * (30 << 20)
    print(os.getpid(), flush=True)
    time.sleep(60)
time.sleep(60)
"""


def test_none_of_a_thousand_children_is_overlooked() -> None:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", CROWD], stdout=subprocess.PIPE) as top:
        assert top.stdout is not None
        last = int(top.stdout.readline())
        try:
            found = kinship.below(top.pid)
            assert (len(found), last in found) == (1001, True)
            used = TreeMeter(top.pid).sample(1 << 60)
            assert (used.processes, used.memory > 30 << 20) == (1002, True)
        finally:
            os.kill(last, 9)
            top.kill()


def test_more_children_are_swept_than_descriptors_may_be_open() -> None:
    script = """
import os, resource, time
from runner import kill
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
for _ in range(200):
    if os.fork() == 0:
        time.sleep(60)
assert kill.sweep() == []
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0


def test_descendants_are_found_however_deep_and_by_whichever_thread() -> None:
    script = """
import os, subprocess, threading, time
def start():
    subprocess.Popen(["sh", "-c", "sh -c 'sleep 60; :' ; :"])
    time.sleep(60)
threading.Thread(target=start).start()
"""
    top = subprocess.Popen([sys.executable, "-c", script])
    try:
        found = eventually(lambda: len(kinship.below(top.pid)) == 3 and kinship.below(top.pid), within=20)
        by_parent = kinship.by_parent()
        assert set(found) <= {pid for children in by_parent.values() for pid in children}
        assert top.pid in kinship.below(os.getpid())
        kinship.kill_below(top.pid)
        eventually(lambda: all(state(pid) == "Z" for pid in kinship.below(top.pid)), within=10)
    finally:
        top.kill()
        top.wait()
