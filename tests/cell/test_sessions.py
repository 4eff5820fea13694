"""Conversations under a real supervisor: what goes on from run to run, and what does not."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.stores.home import Home
from tests.house import House, eventually, house
from tests.lacks import need
from tests.talker import install

pytestmark = need("cell")
USUAL = {"command": "", "agent": "talker", "retries": 0, "session_key": "daily", "name": "one", "login": True}


@pytest.fixture
def talking(tmp_path: Path) -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="installed-", dir="/tmp") as programs:
        Path(programs).chmod(0o755)
        with house(tmp_path, **install(Path(programs))) as made:
            made.cronward("login", "talker", "--token", stdin="a-long-lived-token-4711\n")
            made.start()
            yield made


def again(talking: House, prompt: str, **changes: Any) -> dict[str, Any]:
    """One more run of the job, with another prompt."""
    job = talking.client.find_job("one")
    talking.client.edit_job("one", {"prompt": prompt, "keep_secrets": True, **changes})
    before = len(talking.runs(job.id))
    talking.client.run_job("one")
    return talking.ended(job.id, before + 1)[-1]


def said(run: dict[str, Any]) -> list[str]:
    assert run["status"] == "completed", run
    found: list[str] = json.loads(run["response"])["said"]
    return found


def test_runs_go_on_with_one_conversation_until_it_is_reset(talking: House) -> None:
    job = talking.run_now(prompt="one", **USUAL)
    (first,) = talking.ended(job["id"])
    assert (said(first), first["session"]["resumed"], first["session"]["kept"]) == (["one"], False, True)
    second = again(talking, "two")
    assert (said(second), second["session"]["resumed"]) == (["one", "two"], True)
    assert json.loads(second["response"])["settings"] == '{"mode": "quiet"}', "placed anew, not kept"
    failed = again(talking, "three\nfail")
    assert (failed["status"], failed["session"]["kept"]) == ("failed", False)
    third = again(talking, "four")
    assert said(third) == ["one", "two", "four"], "as it was before the one that failed"
    (listed,) = talking.json("sessions", "list", "one")
    assert (listed["key"], listed["runs"], listed["anew"]) == ("daily", 3, "")
    assert talking.cronward("sessions", "reset", "one").returncode == 0
    assert said(again(talking, "five")) == ["five"]


def test_other_grants_another_key_and_a_conversation_too_large_begin_anew(talking: House, open_dir: Path) -> None:
    job = talking.run_now(prompt="one", **USUAL)
    talking.ended(job["id"])
    moved = again(talking, "two", work_dir=str(open_dir))
    assert (said(moved), moved["session"]["anew"]) == (["two"], "its work directory changed")
    assert said(again(talking, "three")) == ["two", "three"]
    assert said(again(talking, "four", session_key="weekly")) == ["four"]
    assert said(again(talking, "five", session_key="daily")) == ["two", "three", "five"]
    huge = again(talking, "six\nhuge")
    assert huge["session"]["ended"]
    assert "begins a new one" in huge["session"]["problem"]
    assert said(again(talking, "seven")) == ["seven"]


def test_a_run_without_a_key_keeps_nothing_and_one_that_goes_on_cannot_be_reset(talking: House, open_dir: Path) -> None:
    job = talking.run_now(prompt="one", **{**USUAL, "session_key": ""})
    (ended,) = talking.ended(job["id"])
    assert (ended["session"], list(Home(talking.root).sessions.iterdir())) == (None, [])
    talking.client.edit_job("one", {"work_dir": str(open_dir), "work_mode": "read", "session_key": "k"})
    talking.client.edit_job("one", {"prompt": "wait", "login": True})
    talking.client.run_job("one")
    eventually(lambda: [run for run in talking.runs(job["id"]) if run["status"] == "running"])
    done = talking.cronward("sessions", "reset", "one")
    assert (done.returncode, "goes on" in done.stderr) == (5, True)
    assert talking.cronward("run", "one").returncode == 5, "one run of a key at a time"
    (open_dir / "go").touch()
    talking.ended(job["id"], 2)


def test_what_a_conversation_cost_before_is_taken_off(talking: House) -> None:
    job = talking.run_now(prompt="one two three", **USUAL)
    talking.ended(job["id"])
    ended = again(talking, "four five")
    result = json.loads((Path(ended["log_dir"]) / "result.json").read_text())
    assert (result["spending"]["input_tokens"], result["spent_in_all"]["input_tokens"]) == (2, 5)


def test_conversations_go_with_their_job(talking: House) -> None:
    job = talking.run_now(prompt="one", **USUAL)
    talking.ended(job["id"])
    assert (Home(talking.root).sessions / job["id"]).exists()
    assert talking.cronward("remove", "one").returncode == 0
    eventually(lambda: not (Home(talking.root).sessions / job["id"]).exists())


def test_a_session_key_that_means_nothing_is_refused(talking: House) -> None:
    add = ("add", "--every", "1h", "--prompt", "x", "--session-key", "k")
    for more in (("--command", "true"), ("--agent", "talker", "--overlap", "allow")):
        done = talking.cronward(*add, *more)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False), done.stderr
