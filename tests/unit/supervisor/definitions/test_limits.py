"""What a job may ask for instead of what its type has, and as whom it may run."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from shared.messages import RunAs
from supervisor.config import Config
from supervisor.definitions.definition import Setting, define
from supervisor.definitions.limits import JobLimits, Maxima, OwnLimits
from supervisor.definitions.permitted import check_limits, named_ids
from supervisor.definitions.revision import revise
from supervisor.errors import InvalidError
from supervisor.models import CronJob, JobType
from supervisor.spawning.requests import request_for
from tests.fakes import NOON, make_job, make_run
from tests.lacks import need

SETTING = Setting(Path("/nowhere/home"), "Europe/Berlin", "local", lambda: "a-new-id")
GIB = 1 << 30
# What is asked, the maxima, and a word of the refusal; None: it is permitted.
ASKED: list[tuple[dict[str, Any], dict[str, Any], str | None]] = [
    ({}, {}, None),
    ({"limits": {"memory": "16GiB"}}, {}, None),
    ({"limits": {"memory": "17GiB"}}, {}, "17GiB of memory, and 16GiB is the most"),
    ({"limits": {"memory": "3GiB"}}, {"memory": 2 * GIB}, "([maxima] memory)"),
    ({"limits": {"processes": 64}}, {"processes": 64}, None),
    ({"limits": {"processes": 65}}, {"processes": 64}, "65 of processes, and 64 is"),
    ({"limits": {"disk": 0}}, {"disk": GIB}, "no limit of disk"),
    ({"limits": {"disk": 0}}, {"disk": 0}, None),
    ({"limits": {"disk": "1PB"}}, {"disk": 0}, "should be a size"),
    ({"limits": {"cpu_seconds": 0}}, {}, None),
    ({"limits": {"cpu_seconds": 0}}, {"cpu_seconds": 60}, "no limit of cpu_seconds"),
    ({"limits": {"cpu_seconds": 60}}, {"cpu_seconds": 60}, None),
    ({"limits": {"cpu_percent": 200}}, {"cpu_percent": 100}, "200 of cpu_percent"),
    ({"limits": {"setup_seconds": 700}}, {}, "700 of setup_seconds, and 600 is"),
    ({"timeout_secs": 3601}, {"timeout_seconds": 3600}, "3601 of timeout_seconds"),
    ({"timeout_mins": 61}, {"timeout_seconds": 3600}, "3660 of timeout_seconds"),
    ({"idle_timeout_secs": 0}, {"idle_seconds": 60}, "no limit of idle_seconds"),
    ({"idle_timeout_secs": 0}, {}, None),
    ({"limits": {"memory": 0}}, {}, "`limits.memory`"),
    ({"limits": {"memory": -1}}, {}, "`limits.memory`"),
    ({"limits": {"processes": 7}}, {}, "`limits.processes`"),
    ({"limits": {"mem": 1}}, {}, "Did you mean `memory`?"),
    ({"limits": 7}, {}, "should be a group of keys"),
]


def defined(maxima: Maxima, **draft: Any) -> CronJob:
    setting = Setting(SETTING.home, SETTING.host_zone, "command", SETTING.new_id, maxima=maxima)
    return define({"prompt": "x", "cron_expr": "0 7 * * *", "command": "true", **draft}, setting, NOON)


def test_a_job_may_ask_for_what_the_maxima_permit() -> None:
    for draft, most, refusal in ASKED:
        maxima = Maxima(**most)
        if refusal is None:
            assert defined(maxima, **draft).type is JobType.LIGHT, draft
            continue
        with pytest.raises(InvalidError) as found:
            defined(maxima, **draft)
        assert refusal in str(found.value), draft


def test_maxima_that_have_shrunk_since_count_at_the_next_attempt() -> None:
    job = make_job(agent="command", command="true", limits={"tmp": "1GiB"})
    assert request_for(job, make_run(), Config(), Path("/logs"), 1.0, None).limits.tmp_bytes == GIB
    with pytest.raises(InvalidError, match="1GiB of tmp, and 512MiB is the most"):
        request_for(job, make_run(), Config(maxima=Maxima(tmp=GIB // 2)), Path("/logs"), 1.0, None)


def test_what_its_type_has_needs_no_permission() -> None:
    check_limits(make_job(type="resource-intensive"), Maxima(memory=GIB))


def test_each_limit_that_is_asked_for_reaches_the_runner_and_the_others_stay() -> None:
    asked = OwnLimits(
        memory=1, processes=9, open_files=99, file_size=2, tmp=3, disk=4, output=5, cpu_seconds=6, cpu_percent=7
    )
    config, usual = Config(), Config().limits_for(JobType.MEDIUM, 60.0)
    found = config.limits_for(JobType.MEDIUM, 60.0, own=OwnLimits(**asked.given(), setup_seconds=8))
    named = (found.memory_bytes, found.processes, found.open_files, found.file_bytes, found.tmp_bytes)
    assert named == (1, 9, 99, 2, 3)
    counted = (found.disk_bytes, found.output_bytes, found.cpu_seconds, found.cpu_percent, found.setup_seconds)
    assert counted == (4, 5, 6, 7, 8)
    assert config.limits_for(JobType.MEDIUM, 60.0, own=OwnLimits()) == usual
    assert config.limits_for(JobType.MEDIUM, 60.0, own=OwnLimits(disk=0)).disk_bytes is None
    assert set(OwnLimits.model_fields) - set(JobLimits.model_fields) == {"setup_seconds"}
    assert set(OwnLimits.model_fields) <= set(Maxima.model_fields)


def test_an_edit_changes_one_limit_and_takes_back_another() -> None:
    job = defined(Maxima(), limits={"memory": "2GiB", "processes": 64})
    edited = revise(job, {"limits": {"processes": None, "disk": "1GiB"}}, SETTING, NOON)
    assert edited.limits == OwnLimits(memory=2 * GIB, disk=GIB)
    assert revise(edited, {"prompt": "y"}, SETTING, NOON).limits == edited.limits
    for wrong in (None, 7, {"processes": 1}, {"memroy": 1}):
        with pytest.raises(InvalidError, match="limits"):
            revise(job, {"limits": wrong}, SETTING, NOON)


def test_a_job_from_before_there_were_own_limits_can_be_read() -> None:
    stored = make_job().definition()
    del stored["limits"], stored["run_as"]
    assert CronJob.model_validate(stored) == make_job()


# ---- run_as


def test_what_is_no_ordinary_user_of_the_host_is_refused() -> None:
    for text, refusal in (
        ("root", "runs as root"),
        ("0", "runs as root"),
        ("nobody:root", "runs as root"),
        ("nobody:0", "runs as root"),
        ("no-such-user", "There is no user"),
        ("4294967294", "There is no user"),
        ("99999999999999999999", "There is no user"),
        ("nobody:no-such-group", "There is no group"),
        ("nobody:", "USER or USER:GROUP"),
        (":nogroup", "USER or USER:GROUP"),
        ("-1", "There is no user"),
    ):
        with pytest.raises(InvalidError) as found:
            named_ids(text)
        assert refusal in str(found.value), text


@need("root")
def test_root_may_name_a_user_and_a_group_by_name_or_number() -> None:
    nobody = pwd.getpwnam("nobody")
    ids = RunAs(uid=nobody.pw_uid, gid=nobody.pw_gid)
    assert named_ids("nobody") == named_ids(str(nobody.pw_uid)) == ids
    assert named_ids("nobody:daemon") == RunAs(uid=nobody.pw_uid, gid=grp.getgrnam("daemon").gr_gid)
    assert defined(Maxima(), run_as="nobody").run_as == "nobody"


@need("user")
def test_an_ordinary_users_supervisor_runs_jobs_as_itself_only() -> None:
    me = pwd.getpwuid(os.geteuid())
    assert named_ids(me.pw_name) == RunAs(uid=os.geteuid(), gid=os.getegid())
    with pytest.raises(InvalidError, match="Only root's supervisor"):
        defined(Maxima(), run_as="nobody")
