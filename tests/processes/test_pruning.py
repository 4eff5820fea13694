"""Old logs are cleared by the command and by a scheduler that keeps time, and nothing that lives or is kept is."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.reasons import Reason
from supervisor.config import Config
from supervisor.cronscheduler import CronScheduler
from supervisor.definitions.sizes import LARGEST
from supervisor.scheduler import Scheduler
from supervisor.status import Status
from supervisor.stores.home import Home
from supervisor.stores.host import Host
from supervisor.stores.jobs import CronStore
from supervisor.stores.pruning import Pruning
from supervisor.stores.retention import ENDS_AT_LEAST
from supervisor.stores.runs import RunsStore
from supervisor.timing.clock import SystemClock
from tests.fakes import make_job, make_run
from tests.house import eventually

ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC)


def filled(root: Path) -> Home:
    """Runs that ended so many days ago, one that lives, and a directory that belongs to nobody."""
    home = Home.of(root)
    home.create()
    runs = RunsStore(home)
    CronStore(home).add(make_job(enabled=False))
    for days in (1, 50, 120):
        ended = NOW - timedelta(days=days)
        facts = {"queued_at": ended, "started_at": ended, "finished_at": ended, "scheduled_at": ended}
        run = make_run(id=f"{days:08}-run", status=Status.COMPLETED, reason=Reason.OK, **facts)
        runs.record(run)
        litter(home, run.id)
    litter(home, "orphaned-run")
    os.mkfifo(home.logs / "00000050-run" / "1" / "fifo")
    return home


def litter(home: Home, run_id: str) -> None:
    (home.logs / run_id / "1").mkdir(parents=True)
    (home.logs / run_id / "1" / "stdout").write_bytes(b"x" * 100_000)


def cronward(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "supervisor", "--home", str(home.root), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def left(home: Home) -> set[str]:
    return {path.name for path in home.logs.iterdir()}


def test_a_dry_run_says_what_would_go_and_changes_nothing(tmp_path: Path) -> None:
    home = filled(tmp_path / "home")
    before = left(home)
    done = cronward(home, "prune", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {gone["run_id"] for gone in found["logs"]} == {"00000120-run", "orphaned-run"}
    assert found["bytes"] >= 200_000
    assert "older than 90 days" in cronward(home, "prune", "--dry-run").stdout
    assert left(home) == before


def test_without_a_supervisor_the_command_does_it_itself(tmp_path: Path) -> None:
    home = filled(tmp_path / "home")
    config = tmp_path / "config.toml"
    config.write_text("log_bytes = 150000\nhistory_days = 60\n")
    done = cronward(home, "--config", str(config), "prune")
    assert (done.returncode, done.stderr) == (0, "")
    assert left(home) == {"00000001-run"}
    assert {run.id for run in RunsStore(home).all_runs()} == {"00000001-run", "00000050-run"}
    assert RunsStore(home).summary(make_job().id).run_count == 3
    assert "nothing" in cronward(home, "--config", str(config), "prune").stdout


def test_a_scheduler_that_keeps_time_does_it_at_its_start_and_when_it_is_asked(tmp_path: Path) -> None:
    home = filled(tmp_path / "home")
    scheduler = CronScheduler(CronStore(home), config=Config())
    scheduler.start()
    try:
        eventually(lambda: left(home) == {"00000001-run", "00000050-run"})
        litter(home, "again-orphaned")
        assert scheduler.prune() == {"pruning": True}
        eventually(lambda: left(home) == {"00000001-run", "00000050-run"})
    finally:
        scheduler.stop(now=True)


def test_after_many_runs_it_is_done_again_before_the_hour_is_over(tmp_path: Path) -> None:
    home = filled(tmp_path / "home")
    core = Scheduler(CronStore(home), RunsStore(home), Config(), Host.here(), new_id=str, prepare=None)  # type: ignore[arg-type]
    pruning = Pruning(core, threading.RLock(), SystemClock(), logging.getLogger("cronward"))
    pruning.start()
    try:
        eventually(lambda: left(home) == {"00000001-run", "00000050-run"})
        for number in range(ENDS_AT_LEAST - 1):
            litter(home, f"orphaned-{number}")
            pruning.ended()
        time.sleep(0.2)
        assert len(left(home)) == ENDS_AT_LEAST + 1
        pruning.ended()
        eventually(lambda: left(home) == {"00000001-run", "00000050-run"})
    finally:
        pruning.close()


def test_every_end_counts_as_one(tmp_path: Path) -> None:
    home = filled(tmp_path / "home")
    job = make_job(overlap="allow", command="true", agent="command", created_at=NOW, changed_at=NOW)
    CronStore(home).change([job], [])
    scheduler = CronScheduler(CronStore(home), config=Config(min_available_memory=LARGEST))
    scheduler.start()
    try:
        eventually(lambda: left(home) == {"00000001-run", "00000050-run"})
        litter(home, "again-orphaned")
        for _ in range(ENDS_AT_LEAST):
            scheduler.cancel_run(scheduler.run_job(job.id).id)
        eventually(lambda: "again-orphaned" not in left(home))
    finally:
        scheduler.stop(now=True)


def test_while_a_history_cannot_be_read_nothing_goes(tmp_path: Path) -> None:
    home = filled(tmp_path / "home")
    (home.runs / "22222222-other.jsonl").write_bytes(b"not json\n")
    before = left(home)
    assert "Nothing is pruned" in cronward(home, "prune").stderr
    assert left(home) == before
