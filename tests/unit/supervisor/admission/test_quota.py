"""An agent whose provider says that its quota is used up: who waits for it, who does not, and who is told at once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from shared.reasons import Reason
from supervisor.admission.quota import Quotas, back_at
from supervisor.models import Trigger
from tests.fakes import NOON, FakeClock, make_result
from tests.timeline import EACH_MINUTE, Timeline, timeline

QUOTA = Reason.QUOTA_WAIT
HOUR = 3600.0
HERD = 80
"""More than are settled in two turns."""
EACH_HOUR = {"cron_expr": "1 * * * *", "grace_secs": 4 * 3600, "agent": "claude", "timeout_secs": 600}


@pytest.fixture
def line() -> Iterator[Timeline]:
    with timeline() as made:
        yield made


def test_only_a_time_that_can_be_meant_is_a_rest() -> None:
    said = {None: None, 0.0: None, -1.0: None, float("nan"): None, float("inf"): None, 60.0: 60.0, 9 * 86400.0: None}
    for seconds, expected in said.items():
        found = back_at(make_result(QUOTA, retry_after_seconds=seconds), NOON)
        assert found == (None if expected is None else NOON + timedelta(seconds=expected)), seconds
    assert back_at(make_result(Reason.RATE_LIMITED, retry_after_seconds=60.0), NOON) is None


def test_an_agent_rests_until_the_later_of_two_instants_however_the_clock_is_set() -> None:
    clock, quotas = FakeClock(), Quotas()
    began = clock.mono
    for agent, hours in (("claude", 2), ("claude", 1), ("codex", 1)):
        quotas.spent(agent, NOON + timedelta(hours=hours), clock.now())
    assert quotas.rest("claude", clock.now()) == NOON + timedelta(hours=2)
    assert quotas.rest("gemini", clock.now()) is None
    assert quotas.next_end(began) == began + HOUR
    clock.pass_by(HOUR)
    assert quotas.rest("codex", clock.now()) is None
    assert quotas.next_end(clock.mono) == began + 2 * HOUR
    clock.wall -= timedelta(days=3)
    clock.pass_by(HOUR)
    assert quotas.rest("claude", clock.now()) is None
    assert quotas.next_end(clock.mono) is None
    quotas.spent("claude", NOON + timedelta(hours=2), clock.now(), timedelta(hours=1))
    clock.pass_by(HOUR)
    assert quotas.rest("claude", clock.now()) is None


def test_the_run_that_met_it_waits_beyond_its_timeout_runs_once_more_and_does_not_wait_twice(line: Timeline) -> None:
    line.add(**EACH_HOUR, retries=0)
    line.until(NOON + timedelta(minutes=2))
    line.end(QUOTA, retry_after_seconds=2 * HOUR)
    assert (line.ends()[0], len(line.attempts())) == ("running", 1)
    line.pass_by(2 * HOUR - 1)
    assert len(line.attempts()) == 1
    line.pass_by(1)
    assert [attempt for _, attempt in line.attempts()] == [1, 2]
    assert line.live().request.limits.wall_seconds == pytest.approx(540, abs=2)
    line.end(QUOTA, retry_after_seconds=60.0)
    first = line.stored()[0]
    assert (first.reason, first.error.split(" ", 2)[2]) == (QUOTA, "It has waited for a quota once already.")


def test_others_of_the_agent_wait_for_it_and_those_of_another_do_not(line: Timeline) -> None:
    line.add(**EACH_HOUR)
    line.add("beside", **{**EACH_HOUR, "cron_expr": "5 12 * * *"})
    line.add("other", **{**EACH_HOUR, "cron_expr": "5 12 * * *", "agent": "codex"})
    line.until(NOON + timedelta(minutes=2))
    line.end(QUOTA, retry_after_seconds=HOUR)
    line.until(NOON + timedelta(minutes=6))
    assert (line.ends("beside"), line.ends("other")) == (["queued"], ["running"])
    assert [waiting.why for waiting in line.core.waiting] == [
        "the quota of claude is used up until 2026-11-24T13:02:00+00:00"
    ]
    line.until(NOON + timedelta(minutes=62))
    assert line.ends("beside") == ["running"]


def test_what_cannot_wait_so_long_is_skipped_at_once_by_its_reason(line: Timeline) -> None:
    line.add(**{**EACH_HOUR, "grace_secs": 600})
    line.add("beside", **{**EACH_HOUR, "cron_expr": "5 12 * * *", "grace_secs": 600})
    line.until(NOON + timedelta(minutes=2))
    line.end(QUOTA, retry_after_seconds=HOUR)
    assert line.ends() == ["failed quota_wait"]
    assert "when its grace is over" in line.stored()[0].error
    line.until(NOON + timedelta(minutes=6))
    assert line.ends("beside") == ["skipped quota_wait"]
    by_hand = line.run("beside")
    assert line.core.waiting.get(by_hand.id)
    line.until(NOON + timedelta(minutes=62))
    assert line.ends("beside")[1:] == ["running"]


def test_a_run_that_called_a_tool_waits_only_where_it_may_be_repeated(line: Timeline) -> None:
    for name, repeatable, expected in (("once", False, "failed quota_wait"), ("again", True, "running")):
        line.add(name, **{**EACH_HOUR, "cron_expr": "0 0 1 1 *", "agent": name}, repeatable=repeatable)
        line.run(name)
        line.end(QUOTA, retry_after_seconds=HOUR, tool_called=True)
        assert line.ends(name) == [expected]


@pytest.mark.parametrize("grace", [600, 4 * 3600])
def test_a_restart_knows_it_of_the_run_that_waits_and_of_one_that_ended(line: Timeline, grace: int) -> None:
    line.add(**{**EACH_HOUR, "grace_secs": grace})
    line.until(NOON + timedelta(minutes=2))
    line.end(QUOTA, retry_after_seconds=2 * HOUR)
    line.sleep(60)
    line.open()
    line.add("beside", **{**EACH_HOUR, "cron_expr": "5 12 * * *"})
    line.until(NOON + timedelta(minutes=6))
    assert line.ends("beside") == ["queued"]
    line.until(NOON + timedelta(minutes=121))
    assert len(line.attempts()) == 1
    line.until(NOON + timedelta(minutes=123))
    assert line.ends("beside") == ["running"]
    assert line.ends()[0] == ("running" if grace > 600 else "failed quota_wait")


def test_a_retry_of_another_run_waits_for_the_agents_quota_too(line: Timeline) -> None:
    line.add("one", **{**EACH_HOUR, "cron_expr": "0 0 1 1 *"})
    line.add("two", **{**EACH_HOUR, "cron_expr": "0 0 1 1 *"})
    line.run("one")
    line.run("two")
    line.end(Reason.PROVIDER_ERROR, 0)
    line.end(QUOTA, 1, retry_after_seconds=60.0)
    line.pass_by(59)
    assert len(line.attempts()) == 2
    line.pass_by(2)
    assert len(line.attempts()) == 4


def test_late_ones_of_a_job_run_one_after_the_other_whatever_its_overlap(line: Timeline) -> None:
    for overlap in ("skip", "queue", "replace"):
        line.add(overlap, **EACH_MINUTE, catch_up="all", overlap=overlap, grace_secs=3600)
    line.until(NOON + timedelta(seconds=30))
    line.sleep(300)
    line.open()
    for overlap in ("skip", "queue", "replace"):
        assert line.ends(overlap)[:4] == ["running", "queued", "queued", "queued"], overlap
    for _ in range(12):
        line.end(number=len(line.dead))
    for overlap in ("skip", "queue", "replace"):
        late = [run for run in line.stored(overlap) if run.trigger is Trigger.CATCH_UP]
        assert [run.status.value for run in late] == ["completed"] * 4, overlap
        assert [run.scheduled_at for run in late] == sorted(run.scheduled_at for run in late)


def test_a_herd_of_late_jobs_never_has_more_than_the_cap_running(line: Timeline) -> None:
    for number in range(HERD):
        line.add(f"job-{number}", **{**EACH_HOUR, "cron_expr": "1 12 * * *", "agent": "command"})
    line.sleep(1800)
    line.open()
    most = 0
    for number in range(HERD):
        line.pass_by(0.1)
        alive = len(line.attempts()) - len(line.dead)
        most = max(most, alive)
        line.end(number=number)
    assert most == line.config.max_concurrent == 4
    assert {tuple(line.ends(f"job-{number}")) for number in range(HERD)} == {("completed",)}


def test_a_restart_knows_it_of_one_that_met_it_when_it_was_to_put_its_answer_right(line: Timeline) -> None:
    line.add(**{**EACH_HOUR, "grace_secs": 600, "output_format": "json"})
    line.until(NOON + timedelta(minutes=2))
    line.end(Reason.INVALID_OUTPUT, answer_bytes=5)
    line.until(NOON + timedelta(minutes=3))
    line.end(QUOTA, retry_after_seconds=2 * HOUR)
    assert line.ends() == ["failed invalid_output"]
    assert "that failed (quota_wait)" in line.stored()[0].error
    line.sleep(60)
    line.open()
    line.add("beside", **{**EACH_HOUR, "cron_expr": "5 12 * * *"})
    line.until(NOON + timedelta(minutes=6))
    assert line.ends("beside") == ["queued"]
