"""A writer that is killed at any instant: what it was told is stored is stored, and no more than one thing beyond."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pytest

from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.lock import HomeLock
from supervisor.stores.runs import RunsStore
from tests.fakes import make_job

CHILD = Path(__file__).parents[1] / "children" / "writers.py"
KEEP = 5
KILLS = 20


@dataclass
class Expected:
    """What the writers said."""

    jobs: dict[str, str] = field(default_factory=lambda: {"j0": "", "j1": "", "j2": ""})
    runs: dict[str, str] = field(default_factory=dict)

    def after(self, words: list[str]) -> Expected:
        if not words:
            return self
        kind, key, value = words
        done = Expected(dict(self.jobs), dict(self.runs))
        {"job": done.jobs, "run": done.runs}[kind][key] = value
        return done

    def kept(self) -> dict[str, str]:
        ended = [run_id for run_id, status in self.runs.items() if status == "completed"][-KEEP:]
        return {run_id: status for run_id, status in self.runs.items() if status != "completed" or run_id in ended}

    def count(self) -> int:
        return sum(status != "queued" for status in self.runs.values())


def stored(home: Home) -> tuple[dict[str, str], dict[str, str], int]:
    jobs, runs = CronStore(home), RunsStore(home, KEEP)
    prompts = {job.id: job.prompt.rstrip("x") for job in jobs.list()}
    statuses = {run.id: run.status.value for run in runs.get_runs("j0")}
    assert (jobs.damaged, runs.damaged) == ([], [])
    return prompts, statuses, runs.summary("j0").run_count


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "h")
    for name in ("j0", "j1", "j2"):
        CronStore(home).add(make_job(id=name, prompt=""))
    return home


@pytest.fixture
def nursery(home: Home) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, str(CHILD), str(home.root), str(KEEP)]
    env = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as nursery:
        try:
            assert nursery.stdout is not None
            assert nursery.stdout.readline() == "ready\n"
            yield nursery
        finally:
            nursery.kill()


def heard(lines: Iterable[str], state: Expected, trying: list[str]) -> tuple[Expected, list[str]]:
    """What is done according to the writer, and what it is at."""
    for line in lines:
        what, *words = line.split()
        if what == "dead":
            return state, trying
        if what in ("did", "try"):
            state, trying = (state.after(words), []) if what == "did" else (state, words)
    return state, trying


def test_kill_9_at_any_instant_costs_at_most_what_was_not_yet_acknowledged(
    home: Home, nursery: subprocess.Popen[str]
) -> None:
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    draw, state, interrupted = random.Random(5), Expected(), 0
    for round_ in range(KILLS):
        nursery.stdin.write(f"loop {round_}\n")
        nursery.stdin.flush()
        pid = int(nursery.stdout.readline().split()[1])
        # After so many lines, not after a time: a busy machine must not mean that nothing is tested.
        state, trying = heard(islice(nursery.stdout, draw.randrange(1, 50)), state, [])
        time.sleep(draw.uniform(0, 0.002))
        os.kill(pid, signal.SIGKILL)
        state, trying = heard(nursery.stdout, state, trying)
        found = stored(home)
        told = [each for each in (state, state.after(trying)) if found == (each.jobs, each.kept(), each.count())]
        assert told, (trying, found[1], state.kept())
        state = told[0]
        interrupted += bool(trying)
        assert CronStore(home).quarantine() == RunsStore(home, KEEP).quarantine() == []
        assert not list(home.root.rglob("*.tmp"))
    assert interrupted > KILLS / 2
    assert state.count() > KILLS
    with HomeLock(home, wait_seconds=0) as lock:
        assert lock.held
