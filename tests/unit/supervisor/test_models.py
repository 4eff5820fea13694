"""Jobs and runs: the table of states, the reasons' ends, and that a record is read as it was written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.findings import Usage
from shared.messages import Layer
from shared.reasons import Reason
from supervisor.models import NEVER, CronJob, CronRun
from supervisor.status import ALLOWED, Status, TransitionError, final_status
from tests.fakes import NOON, make_job, make_run

# Written out again, from the page that defines it: a slip in the table must not be a slip in its test.
STEPS = {
    "queued": "running skipped canceled failed",
    "running": "stopping completed failed skipped unknown",
    "stopping": "failed canceled unknown",
    "completed": "",
    "failed": "",
    "canceled": "",
    "skipped": "",
    "unknown": "",
}
ORIGINAL_JOB_KEYS = {
    *("id", "cron_expr", "prompt", "session_key", "work_dir", "type", "timeout_mins", "retries", "retry_delay"),
    *("output_format", "output_schema", "enabled", "silent", "notify_on", "created_by", "created_at", "last_run"),
    *("last_error", "next_run", "run_count", "on_complete", "on_fail"),
}
ORIGINAL_RUN_KEYS = {
    *("id", "job_id", "started_at", "finished_at", "duration", "status", "error", "retry_count", "response"),
}
MOMENTS = st.datetimes(
    datetime(2000, 1, 1),
    datetime(2100, 1, 1),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3, minutes=-30))]),
)


@pytest.mark.parametrize(("before", "after"), list(product(Status, Status)))
def test_a_run_moves_as_the_table_says_and_no_other_way(before: Status, after: Status) -> None:
    run = make_run(status=before)
    if after.value in STEPS[before.value].split():
        assert run.moved(after).status is after
    else:
        with pytest.raises(TransitionError, match=f"{before.value} and cannot become {after.value}"):
            run.moved(after)


def test_what_is_final_is_what_nothing_follows() -> None:
    assert {status for status in Status if status.final} == {status for status in Status if not STEPS[status.value]}


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_ends_a_run_in_a_final_status(reason: Reason) -> None:
    assert final_status(reason).final
    assert (final_status(reason) is Status.COMPLETED) == (reason is Reason.OK)


@pytest.mark.parametrize("reason", list(Reason))
def test_no_reason_turns_a_stop_into_a_success(reason: Reason) -> None:
    if reason in (Reason.CANCELED_BY_USER, Reason.TIMEOUT_WALL, Reason.SUPERVISOR_DIED):
        assert final_status(reason) in ALLOWED[Status.STOPPING]


def test_a_job_has_every_key_of_the_original() -> None:
    assert set(make_job().model_dump()) >= ORIGINAL_JOB_KEYS
    assert set(make_run().model_dump()) >= ORIGINAL_RUN_KEYS


def test_what_is_derived_is_not_stored_with_a_job() -> None:
    definition = make_job(run_count=5, last_error="x", last_run=NOON, next_run=NOON).definition()
    assert not {"run_count", "last_error", "last_run", "next_run"} & set(definition)


@given(
    st.builds(
        dict,
        prompt=st.text(),
        retry_delay=st.integers(0, 10**12),
        created_at=MOMENTS,
        at=st.none() | MOMENTS,
        type=st.sampled_from(["light", "medium", "resource-intensive"]),
        notify_on=st.lists(st.sampled_from(["completed", "failed", "canceled"]), max_size=3),
    )
)
def test_a_definition_is_read_as_it_was_written(fields: dict[str, Any]) -> None:
    job = make_job(**fields)
    assert CronJob.model_validate(json.loads(json.dumps(job.definition()))) == job


@given(st.text(), st.text(), MOMENTS, st.integers(0, 2**62), st.none() | st.sampled_from(Reason))
def test_a_run_is_read_as_it_was_written(
    response: str, error: str, at: datetime, duration: int, reason: Reason | None
) -> None:
    usage = Usage(wall_seconds=1.5, cpu_seconds=0.1, peak_rss_bytes=1, output_bytes=2)
    facts: dict[str, Any] = {"response": response, "error": error, "started_at": at, "duration": duration}
    run = make_run(reason=reason, usage=usage, layers=(Layer(name="bwrap"),), **facts)
    assert CronRun.model_validate_json(json.dumps(run.record())) == run


@pytest.mark.parametrize(
    "fields",
    [
        {"id": ""},
        {"id": "../x"},
        {"id": ".x"},
        {"id": "a/b"},
        {"id": "x\n"},
        {"id": "x" * 65},
        {"retries": -1},
        {"retries": 10**30},
        {"timeout_mins": -5},
        {"type": "heavy"},
        {"created_at": "2026-11-24T12:00:00"},
        {"color": "red"},
        {"max_runs": 0},
        {"notify_on": ["always"]},
    ],
)
def test_a_wrong_field_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        make_job(**fields)


def test_noting_a_fact_checks_the_whole_run() -> None:
    run = make_run()
    assert run.noted(error="x").error == "x"
    with pytest.raises(ValidationError):
        run.noted(attempt="many")
    with pytest.raises(ValidationError):
        run.noted(colour="red")


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [({}, 1800), ({"timeout_mins": 0}, 1800), ({"timeout_mins": 2}, 120), ({"timeout_mins": 2, "timeout_secs": 7}, 7)],
)
def test_the_time_a_run_may_take(fields: dict[str, Any], seconds: int) -> None:
    assert make_job(**fields).timeout_seconds == seconds


def test_never_is_the_originals_zero_time() -> None:
    assert make_job().model_dump(mode="json")["created_at"] == "0001-01-01T00:00:00Z"
    assert CronJob.model_validate_json(make_job().model_dump_json()).last_run == NEVER
