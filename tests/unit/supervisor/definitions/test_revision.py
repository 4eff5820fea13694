"""What an edit makes of a job. Nothing here touches a store."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions.definition import Setting, define
from supervisor.definitions.revision import revise
from supervisor.errors import InvalidError
from supervisor.models import NEVER, CronJob
from supervisor.programs.programs import CELL_PATH
from supervisor.timing.occurrences import next_occurrence
from tests.fakes import NOON
from tests.madeup import ADAPTER, NAME, adapters, programs

SETTING = Setting(Path("/nowhere/home"), "Europe/Berlin", "local", lambda: "a-new-id")
LATER = NOON + timedelta(hours=5, minutes=7)


def defined(**draft: Any) -> CronJob:
    timing = {} if {"cron_expr", "at"} & draft.keys() else {"cron_expr": "0 7 * * *"}
    return define({"prompt": "Say hello.", **timing, **draft}, SETTING, NOON)


def revised(job: CronJob, ran: int = 0, **changes: Any) -> CronJob:
    return revise(job, changes, SETTING, LATER, ran)


SCHEMA = '{"type": "object"}'
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "a prompt": ({}, {"prompt": "Say bye."}, {"prompt": "Say bye.", "changed_at": NOON, "created_at": NOON}),
    "a schedule": ({}, {"cron_expr": "0 8 * * *"}, {"changed_at": LATER, "created_at": NOON, "anchor": NEVER}),
    "the same schedule again": ({}, {"cron_expr": "0 7 * * *"}, {"changed_at": NOON}),
    "a schedule keeps its zone": (
        {"timezone": "Asia/Tokyo"}, {"cron_expr": "0 8 * * *"}, {"timezone": "Asia/Tokyo"},
    ),
    "a schedule with a zone of its own": (
        {}, {"cron_expr": "TZ=UTC 0 8 * * *"}, {"timezone": None, "cron_expr": "TZ=UTC 0 8 * * *"},
    ),
    "a schedule instead of an instant": (
        {"at": "2027-01-01T00:00:00Z"}, {"cron_expr": "0 8 * * *"}, {"at": None, "timezone": "Europe/Berlin"},
    ),
    "an instant instead of a schedule": ({}, {"at": "2027-01-01T00:00:00Z"}, {"cron_expr": ""}),
    "an interval instead of a schedule": ({}, {"cron_expr": "@every 5m"}, {"anchor": LATER, "timezone": None}),
    "another interval": ({"cron_expr": "@every 7m"}, {"cron_expr": "@every 5m"}, {"anchor": LATER}),
    "the same interval otherwise written": (
        {"cron_expr": "@every 60m"}, {"cron_expr": "@every 1h"}, {"anchor": NEVER, "changed_at": LATER},
    ),
    "the end of an interval's life": (
        {"cron_expr": "@every 7m"}, {"until": "2027-01-01T00:00:00Z"}, {"anchor": NEVER, "changed_at": LATER},
    ),
    "no end any more": ({"until": "2027-01-01T00:00:00Z"}, {"until": None}, {"until": None}),
    "more runs": ({"max_runs": 3}, {"max_runs": 5}, {"max_runs": 5, "changed_at": LATER}),
    "a command instead of an agent": ({}, {"command": "true"}, {"agent": "command", "search_path": CELL_PATH}),
    "an agent instead of a command": (
        {"command": "true"}, {"agent": "local"}, {"command": "", "program": None, "search_path": ""},
    ),
    "a schema": ({}, {"output_schema": SCHEMA}, {"output_format": "structured"}),
    "plain text again": ({"output_format": "structured", "output_schema": SCHEMA}, {"output_format": "text"},
                         {"output_schema": ""}),
    "a host that it may reach": ({}, {"allow_hosts": ["example.org"]}, {"network": "allow"}),
    "no network any more": ({"allow_hosts": ["example.org"]}, {"network": "none"}, {"allow_hosts": ()}),
    "minutes instead of seconds": ({"timeout_secs": 90}, {"timeout_mins": 5}, {"timeout_secs": None}),
    "a paused job stays paused": ({"enabled": False}, {"prompt": "y"}, {"enabled": False}),
    "a policy": ({}, {"overlap": "queue", "catch_up": "all"}, {"overlap": "queue", "changed_at": NOON}),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_what_an_edit_changes(name: str) -> None:
    before, changes, wanted = CHANGES[name]
    job = defined(**before)
    found = revised(job, **changes)
    assert {key: getattr(found, key) for key in wanted} == wanted
    assert (found.id, found.created_at) == (job.id, job.created_at)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"id": "other"}, "stays the same"),
    ({"created_at": "2026-01-01T00:00:00Z"}, "kept by cronward"),
    ({"anchor": "2026-01-01T00:00:00Z"}, "kept by cronward"),
    ({"enabled": False}, "cronward pause"),
    ({"pause_reason": "x"}, "cronward pause"),
    ({"cron_expr": "61 * * * *"}, "61"),
    ({"cron_expr": "", "at": None}, "exactly one"),
    ({"cron_expr": ""}, "exactly one"),
    ({"cron_expr": "0 8 * * *", "at": "2027-01-01T00:00:00Z"}, "exactly one"),
    ({"cron_expr": 7}, "cron_expr"),
    ({"at": "2026-11-24T12:30:00Z"}, "is past"),
    ({"until": "2026-11-24T13:00:00Z"}, "would never run"),
    ({"max_runs": 2}, "has run 2 times"),
    ({"max_runs": 0}, "max_runs"),
    ({"prompt": ""}, "prompt is empty"),
    ({"prompt": None}, "prompt"),
    ({"overlapp": "queue"}, "overlap"),
    ({"agent": "gpt"}, "unknown"),
    ({"network": "host"}, "not permitted"),
    ({"network": "allow"}, "no host is named"),
    ({"on_fail": "ftp://x"}, "on_fail"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED)
def test_what_an_edit_may_not_make_of_a_job(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidError, match=words):
        revised(defined(), ran=2, **changes)


def test_an_edit_that_leaves_the_time_alone_is_taken_when_the_instant_is_past() -> None:
    job = define({"at": "2026-11-24T13:00:00Z", "prompt": "x"}, SETTING, NOON)
    assert revised(job, prompt="y").prompt == "y"


def test_an_interval_that_is_edited_begins_its_grid_at_the_edit() -> None:
    job = defined(cron_expr="@every 7m")
    assert next_occurrence(revised(job, cron_expr="@every 5m"), LATER) == LATER + timedelta(minutes=5)
    kept = revised(job, until="2027-01-01T00:00:00Z")
    assert next_occurrence(kept, LATER) == next_occurrence(job, LATER)


@given(
    changes=st.dictionaries(
        st.sampled_from([*CronJob.model_fields, "nonsense"]),
        st.one_of(
            st.none(), st.booleans(), st.integers(), st.text(max_size=9), st.sampled_from(["@every 5m", "0 8 * * *"])
        ),
        max_size=4,
    )
)
def test_any_edit_is_a_job_or_a_sentence(changes: dict[str, Any]) -> None:
    job = defined()
    with suppress(InvalidError):
        found = revised(job, **changes)
        assert (found.id, found.created_at, found.enabled) == (job.id, job.created_at, True)
        assert found.changed_at in (NOON, LATER)


def test_an_instant_that_a_clock_in_the_future_has_settled_is_refused() -> None:
    ahead = LATER + timedelta(hours=3)
    with pytest.raises(InvalidError, match="is taken: the clock was ahead once"):
        revise(defined(), {"at": LATER + timedelta(hours=1)}, SETTING, LATER, settled=ahead)
    assert revise(defined(), {"at": ahead + timedelta(seconds=1)}, SETTING, LATER, settled=ahead).at is not None


def test_a_grid_begins_at_the_edit_also_where_the_job_was_made_in_the_future() -> None:
    job = defined(cron_expr="@every 1h").model_copy(update={"created_at": LATER + timedelta(days=3, minutes=1)})
    edited = revised(job, cron_expr="@every 20m")
    assert next_occurrence(edited, LATER) == LATER + timedelta(minutes=20)


def test_another_agent_has_another_model_and_another_network(tmp_path: Path) -> None:
    found = programs(tmp_path / "bin")
    setting = replace(SETTING, search_path=str(found), agents_dir=str(adapters(tmp_path / "agents")))
    adapters(tmp_path / "agents", ADAPTER.replace('network = "none"', 'hosts = ["seeds.example"]'), "owl")

    def changed(job: CronJob, **changes: Any) -> CronJob:
        return revise(job, changes, setting, LATER)

    owl = define({"prompt": "x", "cron_expr": "@daily", "agent": "owl", "model": "big"}, setting, NOON)
    assert (owl.network, owl.allow_hosts, owl.model) == ("allow", ("seeds.example",), "big")
    assert owl.program is not None
    parrot = changed(owl, agent=NAME)
    assert (parrot.network, parrot.allow_hosts, parrot.model) == ("none", (), "")
    assert changed(parrot, agent="owl", model="new").allow_hosts == ("seeds.example",)
    more = changed(owl, allow_hosts=["git.example"])
    assert (more.allow_hosts, more.model) == (("git.example", "seeds.example"), "big")
    command = changed(owl, command="/bin/true")
    assert (command.agent, command.network, command.model) == ("command", "none", "")
    # The agent that it had may be one that nobody knows any more.
    (tmp_path / "agents" / "owl.toml").unlink()
    assert changed(owl, agent=NAME).agent == NAME
    with pytest.raises(InvalidError, match="is unknown"):
        changed(owl, prompt="y")
