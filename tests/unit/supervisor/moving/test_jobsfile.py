"""A jobs file: what it says becomes jobs, and jobs become what says the same."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config import Config
from supervisor.definitions.declared import declared
from supervisor.definitions.definition import define, setting_of
from supervisor.errors import InvalidError
from supervisor.moving.jobsfile import read_jobs_file, written
from supervisor.moving.tomltext import toml_value
from supervisor.stores.home import Home
from tests.fakes import NOON, make_job

SETTING = setting_of(Home(Path("/nowhere/cronward")), Config())
HEAD = '[[job]]\nname = "n"\nprompt = "x"\n'


def no_file(path: str) -> str:
    raise AssertionError(path)


def read(text: str, read_prompt: Callable[[str], str] = no_file) -> list[dict[str, Any]]:
    return read_jobs_file(text.encode(), read_prompt)


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
PROMPTS = st.text(st.sampled_from('a"\\\n\té\u202e\u2028{}#%'), max_size=30).map(lambda text: f"x{text}")
DRAFTS = st.fixed_dictionaries(
    {"prompt": PROMPTS, "cron_expr": st.sampled_from(["0 7 * * *", "@every 90m", "TZ=Asia/Tokyo 30 0 9 * * 1-5"])},
    optional={
        "agent": st.sampled_from(["local", "command"]),
        "network": st.sampled_from(["none", "public"]),
        "limits": st.dictionaries(st.sampled_from(["memory", "processes"]), st.integers(1 << 20, 1 << 20), max_size=2),
        "per_day": st.fixed_dictionaries({}, optional={"runs": st.integers(0, 9)}),
        "retry_delay": st.integers(0, 10**12),
        "timeout_secs": st.integers(1, 999),
        "grace_secs": st.integers(0, 999),
        "overlap": st.sampled_from(["skip", "queue", "replace", "allow"]),
        "dst": st.sampled_from(["once", "exact"]),
        "start": st.sampled_from([None, "2026-12-01T00:00:00+01:00"]),
        "until": st.sampled_from([None, "2036-12-01T00:00:00.5Z"]),
        "enabled": st.booleans(),
        "notify_on": st.lists(st.sampled_from(["completed", "failed"]), unique=True),
        "retries": st.integers(0, 20),
        "private": st.booleans(),
        "max_runs": st.integers(1, 9),
    },
)


@given(st.lists(DRAFTS, max_size=3))
def test_what_jobs_are_written_as_makes_the_same_jobs(drafts: list[dict[str, Any]]) -> None:
    for at, draft in enumerate(drafts):
        draft |= {"name": f"job {at}"} | ({"command": "cat -n"} if draft.get("agent") == "command" else {})
        draft["limits"] = {**draft.get("limits", {}), "processes": 64} if "limits" in draft else {}
    jobs = [define(draft, SETTING, NOON) for draft in drafts]
    again = read(written(jobs))
    assert [define({**draft, "id": job.id}, SETTING, NOON) for draft, job in zip(again, jobs, strict=True)] == jobs
    # And applied to what is there it changes nothing.
    assert [declared(job, draft, SETTING, NOON) for draft, job in zip(again, jobs, strict=True)] == jobs


@given(TEXTS)
def test_any_text_is_read_as_it_was_written(text: str) -> None:
    for given_text in (text, f"{text}\n", f'\n{text}"""\n"'):
        assert tomllib.loads(f"x = {toml_value(given_text)}")["x"] == given_text
        assert "\u202e" not in toml_value(given_text)


def test_short_forms_mean_what_a_command_line_would() -> None:
    text = (
        '[defaults]\nagent = "local"\nretries = 1\n'
        + HEAD
        + (
            'every = "90m"\ntimeout = "10m"\nidle_timeout = "0s"\ngrace = "1h"\njitter = "5s"\nretry_delay = "1500ms"\n'
            'retries = 2\nlimits = { memory = "2GiB", processes = 64 }\nuntil = 2036-01-01T00:00:00Z\n'
        )
    )
    assert read(text) == [
        {
            "name": "n",
            "prompt": "x",
            "agent": "local",
            "retries": 2,
            "cron_expr": "@every 90m",
            "timeout_secs": 600,
            "idle_timeout_secs": 0,
            "grace_secs": 3600,
            "jitter_secs": 5,
            "retry_delay": 1_500_000_000,
            "limits": {"memory": 2 << 30, "processes": 64},
            "until": "2036-01-01T00:00:00+00:00",
        }
    ]
    assert read('[[job]]\nname = "n"\nprompt_file = "a.md"\n', lambda path: f"of {path}") == [
        {"name": "n", "prompt": "of a.md"}
    ]


def test_a_bad_file_is_a_sentence() -> None:
    table = {
        "[[job]": "no TOML",
        "x = 1": "no place for 'x'",
        "jobs = []": "Did you mean `job`",
        "version = 2": "version 2",
        "job = 1": "holds tables",
        "[[job]]\nprompt = 'x'": "Job 1 of the jobs file has no name",
        HEAD + HEAD: "two jobs called 'n'",
        HEAD + "id = 'x'": "no key 'id'",
        HEAD + "created_at = 2026-01-01T00:00:00Z": "no key 'created_at'",
        HEAD + "retrys = 1": "Did you mean `retries`",
        HEAD + "every = '1h'\ncron_expr = '@daily'": "both every and cron_expr",
        HEAD + "timeout = 5": "timeout is a text",
        HEAD + "timeout = '1.5s'": "no whole number",
        HEAD + "limits = { memory = 'lots' }": "the size 'lots'",
        HEAD + "x = " + "[" * 100_000: "no TOML|nested",
        HEAD + "limits = " + "{ a = " * 40 + "1" + " }" * 40: "nested too deeply",
    }
    for text, words in table.items():
        with pytest.raises(InvalidError, match=words):
            read(text)
    for data, words in {b"\xff": "UTF-8", b"\0" * 50: "no TOML", b"x" * (17 << 20): "MiB"}.items():
        with pytest.raises(InvalidError, match=words):
            read_jobs_file(data, no_file)


def test_a_job_is_declared_whole_and_what_it_said_before_is_gone() -> None:
    before = make_job(name="n", overlap="queue", retries=1, timezone="Asia/Tokyo", created_by="ada", created_at=NOON)
    draft = {"name": "n", "prompt": "Say hello.", "cron_expr": "0 7 * * *", "retries": 1}
    after = declared(before, draft, SETTING, NOON)
    assert (after.overlap, after.retries, after.timezone, after.created_by) == ("skip", 1, "Asia/Tokyo", "ada")
    assert (after.id, after.created_at, after.changed_at) == (before.id, NOON, before.changed_at)
    moved = declared(before, {**draft, "cron_expr": "0 8 * * *"}, SETTING, NOON)
    assert (moved.timezone, moved.changed_at) == (SETTING.host_zone, NOON)


def test_a_paused_job_stays_paused_unless_the_file_says_otherwise() -> None:
    draft = {"name": "n", "prompt": "Say hello.", "cron_expr": "0 7 * * *"}
    paused = make_job(name="n", enabled=False, pause_reason="holiday")
    assert declared(paused, draft, SETTING, NOON).pause_reason == "holiday"
    on = declared(paused, {**draft, "enabled": True}, SETTING, NOON)
    assert (on.enabled, on.pause_reason, on.changed_at) == (True, "", NOON)


def test_a_one_shot_that_is_past_stays_as_it_is() -> None:
    draft = {"name": "n", "prompt": "x", "at": "2026-11-20T00:00:00Z", "agent": "local"}
    before = make_job(**draft, cron_expr="")
    assert declared(before, draft, SETTING, NOON) == before
    with pytest.raises(InvalidError, match="past"):
        declared(before, {**draft, "at": "2026-11-21T00:00:00Z"}, SETTING, NOON)


def test_another_path_of_whoever_applies_changes_nothing() -> None:
    draft = {"name": "n", "prompt": "x", "cron_expr": "@daily", "command": "cat"}
    before = define(draft, replace(SETTING, search_path="/usr/bin:/bin"), NOON)
    assert declared(before, draft, replace(SETTING, search_path="/bin:/usr/bin:/usr/local/bin"), NOON) == before
    other = declared(before, {**draft, "command": "tail"}, replace(SETTING, search_path="/bin"), NOON)
    assert other.search_path == "/bin"
