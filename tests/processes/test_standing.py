"""What is said of a home as a whole: damage, since when nothing keeps time, the configuration, metrics."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.reasons import Reason
from supervisor.models import SECOND, CronRun
from supervisor.status import Status
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.lock import HomeLock
from supervisor.stores.runs import RunsStore
from tests.command import Command
from tests.fakes import make_run


def ended(**fields: object) -> CronRun:
    begun = datetime.now(UTC) - timedelta(minutes=5)
    known = {"started_at": begun, "finished_at": begun + timedelta(seconds=12), "duration": 12 * SECOND, "attempt": 1}
    return make_run(**{"status": Status.COMPLETED, "reason": Reason.OK, **known, **fields})


def test_what_was_set_aside_is_still_told_when_all_else_is_well(cronward: Command) -> None:
    def stores() -> dict[str, object]:
        said = cronward("doctor", "--json")
        return next(finding for finding in json.loads(said.out) if finding["name"] == "stores")

    job = cronward.json("add", "--every", "1h", "--prompt", "x")
    assert stores()["ok"]
    (cronward.home / "jobs" / f"{job['id']}.json").write_text("torn")
    home = Home(cronward.home)
    with HomeLock(home):
        CronStore(home).quarantine()
    found = stores()
    assert (found["ok"], found["required"]) == (False, False)
    assert f"{job['id']}.json" in str(found["detail"])


def test_status_says_since_when_nothing_keeps_time_and_what_was_due(cronward: Command) -> None:
    cronward.json("add", "--every", "1h", "--prompt", "x", "--name", "often")
    cronward.json("add", "--cron", "0 0 1 1 *", "--prompt", "x", "--name", "rarely")
    nothing = cronward("status", "--json")
    assert nothing.code == 4
    known = {"keeping_time": False, "home": str(cronward.home), "jobs": 2, "enabled": 2}
    assert json.loads(nothing.out) == known | {"since": None, "orderly": None, "due_since": 0, "held": False}
    home = Home(cronward.home)
    for path in (home.jobs).iterdir():  # as if they had been added a day ago
        path.write_text(
            re.sub(r'"(changed|created)_at":\s*"[^"]+"', r'"\1_at": "2020-01-01T00:00:00Z"', path.read_text())
        )
    before = datetime.now(UTC) - timedelta(hours=5)
    for path, orderly in ((home.last_info, True), (home.info, False)):
        path.touch()
        os.utime(path, (before.timestamp(), before.timestamp()))
        asleep = json.loads(cronward("status", "--json").out)
        assert (asleep["orderly"], asleep["due_since"]) == (orderly, 1)
        assert abs(datetime.fromisoformat(asleep["since"]) - before) < timedelta(seconds=1)
        path.unlink()
    home.info.touch()
    os.utime(home.info, (before.timestamp(), before.timestamp()))
    said = cronward("status").out
    assert "5 h ago; it was killed, at most a minute later" in said
    assert "due since   1 job\n" in said
    with HomeLock(home):
        assert "none answers, though a process holds this home" in cronward("status").out


def test_config_shows_where_each_value_came_from_and_checks(
    cronward: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("CRONWARD_")]:  # what tests themselves are told by
        monkeypatch.delenv(name)
    file = tmp_path / "c.toml"
    file.write_text('history = 5\n[limits.light]\nmemory = "2GiB"\n')
    monkeypatch.setenv("CRONWARD_LOG_DAYS", "7")
    found = {each["key"]: each for each in cronward.json("--config", str(file), "config", "show", "--changed")}
    assert found == {
        "history": {"key": "history", "value": "5", "origin": "file", "at": str(file)},
        "log_days": {"key": "log_days", "value": "7", "origin": "environment", "at": "CRONWARD_LOG_DAYS"},
        "limits.light.memory": {"key": "limits.light.memory", "value": '"2GiB"', "origin": "file", "at": str(file)},
    }
    said = cronward("--config", str(file), "config", "show")
    assert re.search(r"^grace_seconds +5\.0 +default$", said.out, re.MULTILINE)
    assert cronward("--config", str(file), "config", "check").code == 0
    monkeypatch.setenv("CRONWARD_LOG_DAY", "7")
    assert cronward("--config", str(file), "config", "check").code == 1
    file.write_text("histroy = 3")
    for command in ("show", "check"):
        wrong = cronward("--config", str(file), "config", command)
        assert (wrong.code, "Did you mean `history`" in wrong.err) == (2, True)
    assert not cronward.home.exists()


def test_metrics_are_read_from_the_stores_where_nothing_runs(cronward: Command) -> None:
    job = cronward.json("add", "--every", "1h", "--prompt", "x", "--name", "n")
    runs = RunsStore(Home(cronward.home))
    for number, (status, reason) in enumerate(((Status.COMPLETED, Reason.OK), (Status.FAILED, Reason.TIMEOUT_WALL))):
        runs.record(ended(id=f"run-{number}", job_id=job["id"], status=status, reason=reason))
    said = cronward("metrics")
    assert (said.code, said.err) == (0, "")
    labels = f'job_id="{job["id"]}",job="n"'
    rows = said.out.splitlines()
    assert "cronward_up 0" in rows
    assert f'cronward_runs_ended_total{{{labels},status="failed",reason="timeout_wall"}} 1' in rows
    assert f"cronward_run_duration_seconds_sum{{{labels}}} 24.0" in rows
    assert f"cronward_runs_started_total{{{labels}}} 2" in rows
    families = {family["name"]: family for family in cronward.json("metrics")}
    assert families["cronward_runs_due_total"]["samples"][0]["value"] == 2
    assert "cronward_queued" not in families
