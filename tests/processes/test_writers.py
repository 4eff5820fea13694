"""Many processes that write to one home at once: nobody's change is lost, and a name stays one job's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.runs import RunsStore

CHILD = Path(__file__).parents[1] / "children" / "writers.py"
CROWD = 20


def test_twenty_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path / "h")
    argv = [sys.executable, str(CHILD), str(home.root), "1000"]
    env = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    done = subprocess.run(
        argv, input=f"crowd {CROWD}\n", capture_output=True, text=True, timeout=50, check=True, env=env
    )
    said = done.stdout.splitlines()
    assert said.count("dead 0") == CROWD, done.stderr
    assert sum(line.startswith("did name") for line in said) == 1
    assert sum(line.startswith("refused name") for line in said) == CROWD - 1
    expected = {f"job-{number:02}-{count}": f"{number} again" for number in range(CROWD) for count in range(3)}
    jobs = CronStore(home)
    assert {job.id: job.prompt for job in jobs.list() if not job.name} == expected
    runs = RunsStore(home, 1000)
    assert {run.id for run in runs.get_runs("shared")} == {key.replace("job", "run") for key in expected}
    assert (jobs.damaged, runs.damaged, jobs.quarantine(), runs.quarantine()) == ([], [], [], [])
