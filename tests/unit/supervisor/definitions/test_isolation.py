"""How much of a cell a job may do without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from supervisor.config import Config
from supervisor.definitions.definition import Setting, define
from supervisor.errors import InvalidError
from supervisor.models import CronJob
from supervisor.spawning.requests import request_for
from tests.fakes import NOON, make_run


def defined(*, permit: bool = False, **fields: Any) -> CronJob:
    setting = Setting(Path("/nowhere/home"), "UTC", "local", lambda: "j1", permit_no_isolation=permit)
    return define({"cron_expr": "@daily", "prompt": "x", "command": "cat", **fields}, setting, NOON)


def test_a_job_needs_the_whole_cell_unless_it_says_otherwise() -> None:
    assert defined().isolation == "required"
    for network in ("none", "public"):
        assert defined(isolation="best-effort", network=network).isolation == "best-effort"


def test_without_isolation_the_network_is_the_hosts_by_the_one_permission() -> None:
    assert defined(isolation="none", permit=True).network == "host"
    assert defined(isolation="none", network="host", permit=True).network == "host"


def test_what_cannot_be_held_is_refused_with_the_reason() -> None:
    rows: tuple[tuple[dict[str, Any], str], ...] = (
        ({"isolation": "none"}, "permit_no_isolation = true"),
        ({"isolation": "none", "network": "host"}, "permit_no_isolation = true"),
        ({"isolation": "none", "network": "none", "permit": True}, "network host"),
        ({"isolation": "none", "network": "public", "permit": True}, "network host"),
        ({"isolation": "best-effort", "allow_hosts": ["a.example"]}, "needs the whole cell"),
        ({"isolation": "best-effort", "network": "host", "permit": True}, "needs the whole cell"),
        ({"isolation": "some"}, "'required', 'best-effort' or 'none'"),
    )
    for fields, word in rows:
        with pytest.raises(InvalidError) as refused:
            defined(**fields)
        assert word in str(refused.value), fields


def test_an_attempt_is_told_and_a_permission_taken_back_holds(tmp_path: Path) -> None:
    job = defined(isolation="none", permit=True)
    permitting = Config(permit_no_isolation=True)
    assert request_for(job, make_run(), permitting, tmp_path, 60.0, None).cell.isolation == "none"
    with pytest.raises(InvalidError, match="permit_no_isolation"):
        request_for(job, make_run(), Config(), tmp_path, 60.0, None)
