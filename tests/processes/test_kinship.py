"""A tree of processes is stopped whole before any of it is killed, and what was forked meanwhile is found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from shared import kinship
from tests.driver import eventually


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


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
