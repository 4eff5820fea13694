"""A job's life on the command line: its policies, edits, pauses, and what becomes of a live run."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Command, snapshot
from tests.driver import marker, survivors
from tests.house import House, eventually, house
from tests.lacks import need

FAR = ("--cron", "0 0 1 1 *", "--tz", "UTC")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


def facts(page: str) -> dict[str, str]:
    """What a page of names and values says; of a value of several lines the first."""
    lines = [line.partition("  ") for line in page.splitlines() if not line.startswith(" ")]
    return {name: value.strip() for name, _, value in lines}


def test_every_policy_that_add_is_given_is_stored_and_shown(cronward: Command) -> None:
    given = ["--overlap", "queue", "--catch-up", "all", "--grace", "90s", "--jitter", "5m", "--dst", "exact"]
    given += ["--start", "2090-01-01 07:00", "--until", "2091-01-01T00:00:00Z", "--max-runs", "3"]
    given += ["--disable-after", "0", "--private", "--silent", "--on-complete", "https://hooks.example/a"]
    given += ["--on-fail", "https://hooks.example/b", "--notify-on", "failed", "--notify-on", "canceled"]
    job = cronward.json("add", "--cron", "0 7 * * *", "--tz", "Asia/Tokyo", "--prompt", "x", "--name", "n", *given)
    wanted = {
        "overlap": "queue",
        "catch_up": "all",
        "grace_secs": 90,
        "jitter_secs": 300,
        "dst": "exact",
        "start": "2090-01-01T07:00:00+09:00",
        "until": "2091-01-01T00:00:00Z",
        "max_runs": 3,
        "disable_after": 0,
        "private": True,
        "silent": True,
        "on_complete": "https://hooks.example/a",
        "on_fail": "https://hooks.example/b",
        "notify_on": ["failed", "canceled"],
    }
    assert {key: job[key] for key in wanted} == wanted
    shown = facts(cronward("show", "n").out)
    said = {"overlap": "queue", "catch-up": "all", "grace": "1m30s", "jitter": "up to 5m", "clock changes": "exact"}
    said |= {"ends after": "3 runs", "paused after": "no failures", "private": "ps shows other users no name of it"}
    said |= {"webhooks": "completed: https://hooks.example/a", "tells": "nobody"}
    assert {key: shown[key] for key in said} == said
    assert {"starts", "ends"} <= shown.keys()


def test_show_says_nothing_of_policies_that_are_the_default(cronward: Command) -> None:
    cronward("add", *FAR, "--prompt", "x", "--name", "n")
    shown = facts(cronward("show", "n").out)
    assert shown.keys() == {
        "job",
        "id",
        "state",
        "schedule",
        "next",
        "agent",
        "network",
        "limits",
        "answer",
        "added",
        "prompt",
    }


def test_an_edit_changes_what_it_names_and_nothing_else(cronward: Command) -> None:
    before = cronward.json("add", "--every", "7m", "--prompt", "x", "--name", "n", "--until", "2091-01-01T00:00:00Z")
    after = cronward.json("edit", "n", "--every", "5m", "--name", "m", "--until", "none", "--overlap", "queue")
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {"cron_expr", "name", "until", "overlap", "changed_at", "anchor", "next_run"}
    assert (after["cron_expr"], after["until"], after["anchor"]) == ("@every 5m", None, after["changed_at"])
    assert json.loads((cronward.home / "jobs" / f"{before['id']}.json").read_text())["name"] == "m"


def test_what_was_set_can_be_unset(cronward: Command) -> None:
    usual = cronward.json("add", *FAR, "--prompt", "x", "--name", "n")
    given = ["--start", "2090-01-01", "--until", "2091-01-01", "--max-runs", "3", "--grace", "1m", "--jitter", "1m"]
    given += ["--disable-after", "3", "--private", "--silent", "--on-fail", "https://hooks.example/b"]
    cronward.json("edit", "n", *given, "--notify-on", "failed", "--overlap", "allow")
    unset = ["--start", "none", "--until", "none", "--max-runs", "0", "--grace", "auto", "--jitter", "0s"]
    unset += ["--disable-after", "auto", "--no-private", "--no-silent", "--on-fail", "", "--notify-on", "all"]
    after = cronward.json("edit", "n", *unset, "--overlap", "skip")
    assert {**after, "changed_at": usual["changed_at"]} == usual


def test_a_name_that_is_taken_is_refused_and_nothing_changes(cronward: Command) -> None:
    cronward("add", *FAR, "--prompt", "x", "--name", "n")
    cronward("add", *FAR, "--prompt", "x", "--name", "m")
    before = snapshot(cronward.home / "jobs")
    said = cronward("edit", "m", "--name", "n", "--prompt", "y")
    assert (said.code, snapshot(cronward.home / "jobs")) == (5, before)
    assert "There is a job called 'n' already" in said.err


def test_a_pause_says_why_wherever_the_job_is_shown(cronward: Command) -> None:
    cronward("add", *FAR, "--prompt", "x", "--name", "n")
    assert cronward("pause", "n", "--reason", "no quota").out.endswith("). Reason: no quota\n")
    assert "paused: no quota" in cronward("list").out
    assert "state     paused: no quota" in cronward("show", "n").out
    assert cronward.json("resume", "n")["pause_reason"] == ""


def test_a_running_supervisor_takes_an_edit_at_once(home: House) -> None:
    home.start()
    home.json("add", *FAR, "--prompt", "x", "--name", "n")
    edited = home.json("edit", "n", "--every", "1h", "--max-runs", "2")
    assert home.json("status")["next_due"] == edited["next_run"].replace("Z", "+00:00")
    refused = home.cronward("edit", "n", "--cron", "61 * * * *", "--name", "m")
    assert (refused.returncode, home.json("show", "n")["cron_expr"]) == (2, "@every 1h")
    home.json("pause", "n", "--reason", "no quota")
    assert home.json("status")["next_due"] is None


@need("cell")
def test_pausing_and_removing_say_what_becomes_of_a_live_run(home: House) -> None:
    mark = marker()
    home.start()
    job = home.json("add", *FAR, "--command", f"sleep {mark}", "--prompt", "x", "--name", "n")
    run = home.json("run", "n")["id"]
    eventually(lambda: survivors(mark))
    assert f"Its live run {run} goes on." in home.cronward("pause", "n").stdout
    assert survivors(mark)
    done = home.cronward("pause", "n", "--cancel", "--wait")
    assert "canceled (job_disabled)" in done.stderr
    assert survivors(mark) == []
    run = home.json("run", "n")["id"]
    eventually(lambda: survivors(mark))
    assert f"Its live run {run} is told to end." in home.cronward("remove", "n").stdout
    assert eventually(lambda: survivors(mark) == [])
    assert {end["reason"] for end in home.ended(job["id"], 2)} == {"job_disabled", "job_removed"}


@need("cell")
def test_a_removal_can_wait_until_a_live_run_has_ended_by_itself(home: House) -> None:
    home.start()
    job = home.json("add", *FAR, "--command", "sleep 8", "--prompt", "x", "--name", "n")
    home.json("run", "n")
    done = home.cronward("remove", "n", "--wait")
    assert "completed" in done.stderr
    assert home.json("list") == []
    assert [end["status"] for end in home.ended(job["id"])] == ["completed"]


def test_why_says_what_stands_between_a_job_and_its_run(home: House) -> None:
    job = home.json("add", *FAR, "--prompt", "x", "--name", "n")
    found = home.json("why", "n")
    assert (found["job_id"], len(found["next"]), found["runs"]) == (job["id"], 3, [])
    assert found["reasons"][0].startswith("Nothing keeps time in this home")
    home.start()
    home.json("pause", "n", "--reason", "no quota")
    page = home.cronward("why", "n").stdout
    assert page.startswith("The job is paused: no quota. Let it be due again with: cronward resume n\n")
    home.json("resume", "n")
    assert home.cronward("why", "n").stdout.splitlines()[0].startswith("It is due next at ")


def test_a_config_is_taken_anew_whole_or_not_at_all(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text("max_concurrent = 2\n")
    with house(tmp_path, CRONWARD_CONFIG=str(config)) as home:
        home.start()
        config.write_text("max_concurrent = 7\nhistory = 3\n")
        assert home.json("reload") == {"changed": ["max_concurrent", "history"]}
        assert home.json("status")["max_concurrent"] == 7
        config.write_text("max_concurrent = 9\nhistory = 'many'\n")
        refused = home.cronward("reload")
        assert (refused.returncode, "`history`" in refused.stderr) == (2, True)
        assert home.process is not None
        home.process.send_signal(signal.SIGHUP)
        eventually(lambda: home.log().count("The configuration stays as it is") == 2)
        assert "history" in home.log()
        config.write_text("max_concurrent = 5\n")
        assert home.json("status")["max_concurrent"] == 7
        home.process.send_signal(signal.SIGHUP)
        eventually(lambda: home.json("status")["max_concurrent"] == 5)
        config.write_text("min_available_memory = '900GiB'\n")
        assert "min_available_memory" in home.json("reload")["changed"]
        home.json("add", *FAR, "--command", "true", "--prompt", "x", "--name", "n")
        home.json("run", "n")
        assert "the host is busy" in eventually(lambda: home.json("status")["queue"])[0]["why"]
        assert any("number 1 in the queue" in reason for reason in home.json("why", "n")["reasons"])
