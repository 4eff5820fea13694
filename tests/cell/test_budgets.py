"""Budgets under a real supervisor: what is killed stays counted, and what does not fit says so at every door."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.driver import marker, survivors
from tests.house import House, eventually, house
from tests.lacks import need

pytestmark = need("cell")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    config = tmp_path / "config.toml"
    config.write_text("[budget.day]\nruns = 3\n")
    with house(tmp_path, CRONWARD_CONFIG=str(config)) as made:
        yield made


def test_a_run_that_was_killed_with_its_supervisor_stays_counted(home: House) -> None:
    mark = marker()
    home.start()
    job = home.run_now(command="cat", name="n", per_day={"runs": 2})
    home.ended(job["id"])
    home.client.edit_job("n", {"command": f"sleep {mark}"})
    home.client.run_job("n")
    eventually(lambda: survivors(mark))
    home.stop(signal.SIGKILL)
    home.start()
    assert [run["status"] for run in home.ended(job["id"], 2)] == ["completed", "unknown"]
    refused = home.cronward("run", "n")
    assert (refused.returncode, refused.stdout) == (5, "")
    assert "Job n is not run now. The job has used 2 of 2 runs today; it resumes at " in refused.stderr
    left = {row["job_id"]: (row["spent"], row["left"]) for row in home.json("usage")["budgets"]}
    assert left == {job["id"]: (2, 0), None: (2, 1)}
    assert any("budget_exceeded" in reason for reason in home.json("why", "n")["reasons"])
    other = home.run_now(command="cat")
    home.ended(other["id"])
    assert "All jobs together have used 3 of 3 runs today" in home.cronward("run", other["id"]).stderr
