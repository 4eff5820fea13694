"""Which secrets a job may be granted, and which changes take them away."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor.definitions.grants import (
    DROPS,
    KEEPS,
    after_edit,
    again,
    changed,
    check_grants,
    dropped,
    grants_of,
    options,
)
from supervisor.errors import InvalidError
from supervisor.models import CronJob
from tests.fakes import NOON, make_job

CHANGES: dict[str, Any] = {
    "notify": ("phone",),
    **dict.fromkeys(
        (
            "gate",
            "check",
            "agent",
            "command",
            "search_path",
            "model",
            "prompt",
            "session_key",
            "output_schema",
            "work_dir",
        ),
        "other",
    ),
    **dict.fromkeys(("on_complete", "on_fail"), "http://other.example/"),
    "network": "public",
    "isolation": "best-effort",
    "run_as": "nobody",
    "work_mode": "read",
    "git_write": True,
    "untrusted_input": True,
    "secrets_when_tainted": True,
    "read_paths": ("/srv",),
    "write_paths": ("/srv",),
    "allow_hosts": ("a.example",),
}


def test_every_field_of_a_job_either_drops_the_grants_or_keeps_them() -> None:
    fields = set(CronJob.model_fields)
    assert fields - DROPS - KEEPS == set(), "say in supervisor/definitions/grants.py what a change of these does"
    assert set() == DROPS & KEEPS
    assert fields >= KEEPS
    assert fields >= DROPS


def test_a_change_of_what_a_job_does_drops_its_grants_unless_it_is_confirmed() -> None:
    before = make_job(secrets=("KEY", "TOKEN=TOKEN"))
    for field in sorted(DROPS & set(CronJob.model_fields)):
        after = before.model_copy(update={field: CHANGES[field]})
        assert after_edit(before, after, keep=False).secrets == (), field
        assert after_edit(before, after, keep=True) == after, field
        assert changed(before, after) == [field]
        assert dropped(before, after_edit(before, after, keep=False)) == ["KEY", "TOKEN=TOKEN"]


def test_a_change_of_when_it_does_it_keeps_them() -> None:
    before = make_job(secrets=("KEY",))
    for field, value in {"cron_expr": "0 8 * * *", "name": "x", "retries": 1, "until": NOON, "enabled": False}.items():
        after = before.model_copy(update={field: value})
        assert after_edit(before, after, keep=False) == after, field
    same = before.model_copy(update={"prompt": before.prompt})
    assert after_edit(before, same, keep=False).secrets == ("KEY",)


def test_a_grant_is_a_name_and_perhaps_a_variable() -> None:
    job = make_job(secrets=("KEY", "TOKEN=ANTHROPIC_API_KEY"))
    check_grants(job)
    assert grants_of(job) == [("KEY", ""), ("TOKEN", "ANTHROPIC_API_KEY")]


def test_a_wrong_grant_is_refused_and_what_may_be_a_value_is_not_repeated() -> None:
    wrong = {
        ("key",): "cannot be a secret's",
        ("../../etc/passwd",): "cannot be a secret's",
        ("",): "cannot be a secret's",
        ("1KEY",): "cannot be a secret's",
        ("K" * 65,): "cannot be a secret's",
        ("KEY=sk-live-5f4d",): "no variable",
        ("KEY=",): "no variable",
        ("KEY=A=B",): "no variable",
        ("KEY=PATH",): "the cell's own",
        ("KEY=LD_PRELOAD",): "the cell's own",
        ("KEY=CRONWARD_RUN_ID",): "the cell's own",
        ("KEY", "KEY=TOKEN"): "twice",
        ("KEY=TOKEN", "OTHER=TOKEN"): "twice",
        tuple(f"KEY_{number}" for number in range(9)): "at most 8",
    }
    for secrets, words in wrong.items():
        with pytest.raises(InvalidError) as error:
            check_grants(make_job(secrets=secrets))
        assert words in str(error.value), secrets
        assert "sk-live" not in str(error.value)


def test_a_login_and_what_is_for_git_are_granted_dropped_and_given_back_as_secrets_are() -> None:
    before = make_job(
        agent="claude",
        login=True,
        secrets=("KEY",),
        git_credentials=("github.com=TOKEN", "a.example=KEY"),
        network="public",
    )
    assert [grant.name for grant in grants_of(before)] == ["KEY", "TOKEN"]
    check_grants(before)
    after = before.model_copy(update={"prompt": "other"})
    bare = after_edit(before, after, keep=False)
    assert (bare.login, bare.secrets, bare.git_credentials) == (False, (), ())
    assert dropped(before, bare) == ["KEY", "github.com=TOKEN", "a.example=KEY", "its login"]
    words = "--login --secret KEY --git-credential github.com=TOKEN --git-credential a.example=KEY"
    assert options(again(before, bare)) == words
    assert after_edit(before, after, keep=True) == after
    assert after_edit(before, after, keep=False, said={"login"}) == bare.model_copy(update={"login": True})
    for none in ({"login": True}, {"git_credentials": ("github.com=TOKEN",)}):
        with pytest.raises(InvalidError, match="without isolation"):
            check_grants(make_job(isolation="none", network="public", **none))
