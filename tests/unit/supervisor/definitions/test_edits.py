"""What becomes of occurrences, of the queue and of live runs when people change a job."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from shared.reasons import Reason
from supervisor.config import Config
from supervisor.definitions import edits
from supervisor.errors import RefusedError, StoreError
from supervisor.models import SECOND, CronJob, Overlap
from tests.fakes import NOON
from tests.timeline import Timeline, timeline

EACH_MINUTE: dict[str, Any] = {"cron_expr": "* * * * *", "timezone": "UTC", "retries": 0, "retry_delay": SECOND}


@pytest.fixture
def line() -> Iterator[Timeline]:
    with timeline(Config(disable_after_failures=3)) as made:
        yield made
        made.check_rules()


def edit(line: Timeline, **changes: object) -> CronJob:
    """As `revise` would make it."""
    edited = edits.edit(line.core, line.job().model_copy(update=changes), line.clock.now())
    line.turn()
    return edited


# ---- edits


def test_an_edit_counts_for_the_next_occurrence_at_once(line: Timeline) -> None:
    line.add(**EACH_MINUTE)
    edit(line, cron_expr="*/5 * * * *", changed_at=line.clock.wall)
    line.pass_by(299)
    assert line.ends() == []
    line.pass_by(2)
    assert line.ends() == ["running"]


def test_nothing_from_before_an_edit_of_the_time_is_owed(line: Timeline) -> None:
    line.add(cron_expr="0 0 1 1 *", timezone="UTC")
    line.sleep(600)
    edit(line, cron_expr="* * * * *", changed_at=line.clock.wall)
    line.pass_by(30)
    assert line.ends() == []
    line.pass_by(31)
    assert line.ends() == ["running"]


def test_what_was_due_before_an_edit_of_the_prompt_is_still_owed(line: Timeline) -> None:
    line.add(**EACH_MINUTE)
    line.sleep(61)
    edit(line, prompt="Say bye.")
    assert line.ends() == ["running"]


def test_a_live_run_keeps_what_it_started_with_and_the_next_has_what_was_edited(line: Timeline) -> None:
    line.add(**{**EACH_MINUTE, "retries": 1, "retry_delay": 5 * SECOND})
    line.pass_by(61)
    edit(line, retries=0, name="other")
    line.job_ids["other"] = line.job_ids["job"]
    line.end(Reason.AGENT_ERROR)
    line.pass_by(6)
    assert len(line.attempts()) == 2, "the retry that it started with"
    line.end(Reason.AGENT_ERROR)
    line.pass_by(60)
    line.end(Reason.AGENT_ERROR)
    line.pass_by(6)
    assert len(line.attempts()) == 3, "no retry any more"


def test_what_waits_in_the_queue_follows_an_edit(line: Timeline) -> None:
    line.add(**{**EACH_MINUTE, "overlap": Overlap.QUEUE})
    line.pass_by(121)
    assert line.ends() == ["running", "queued"]
    edit(line, agent="command", command="true")
    line.end()
    assert [run.agent for run in line.stored()] == ["local", "command"]


def test_an_edit_that_ends_a_life_takes_the_job_off_the_agenda(line: Timeline) -> None:
    line.add(**EACH_MINUTE)
    edit(line, until=line.clock.wall, changed_at=line.clock.wall)
    line.pass_by(600)
    assert line.ends() == []


def test_a_paused_job_that_is_edited_stays_paused(line: Timeline) -> None:
    line.add(**EACH_MINUTE)
    line.pause()
    edit(line, cron_expr="*/2 * * * *", changed_at=line.clock.wall)
    line.pass_by(600)
    assert line.ends() == []


# ---- pauses


def test_a_pause_has_a_reason_until_the_job_is_resumed(line: Timeline) -> None:
    line.add(**EACH_MINUTE)
    edits.pause(line.core, line.job(), line.clock.now(), "the quota is over")
    assert (line.job().enabled, line.job().pause_reason) == (False, "the quota is over")
    line.pause()
    assert line.job().pause_reason == "the quota is over"
    edits.pause(line.core, line.job(), line.clock.now(), "for good")
    assert line.job().pause_reason == "for good"
    line.resume()
    assert (line.job().enabled, line.job().pause_reason) == (True, "")


@pytest.mark.parametrize(("cancel", "told"), [(False, []), (True, [Reason.JOB_DISABLED])])
def test_a_pause_ends_a_live_run_only_where_that_is_asked_for(line: Timeline, cancel: bool, told: list[Reason]) -> None:
    line.add(**EACH_MINUTE)
    line.pass_by(61)
    edits.pause(line.core, line.job(), line.clock.now(), cancel=cancel)
    assert line.live().told == told
    line.end(Reason.JOB_DISABLED if cancel else Reason.OK)
    assert line.ends() == ["canceled job_disabled" if cancel else "completed"]


def test_a_job_that_is_paused_already_can_still_have_its_live_run_ended(line: Timeline) -> None:
    line.add(**EACH_MINUTE)
    line.pass_by(61)
    line.pause()
    edits.pause(line.core, line.job(), line.clock.now(), cancel=True)
    assert line.live().told == [Reason.JOB_DISABLED]
    line.end(Reason.JOB_DISABLED)


def test_a_paused_job_can_be_run_by_hand(line: Timeline) -> None:
    line.add(**EACH_MINUTE)
    line.pause()
    line.run()
    line.end()
    assert line.ends() == ["completed"]
    assert not line.job().enabled


# ---- failures in a row


def fail(line: Timeline, times: int) -> None:
    for _ in range(times):
        line.pass_by(60)
        line.end(Reason.AGENT_ERROR)


def test_so_many_failures_in_a_row_pause_a_job_and_say_so(line: Timeline) -> None:
    line.add(**EACH_MINUTE)
    fail(line, 2)
    assert line.job().enabled
    fail(line, 1)
    assert (line.job().enabled, line.job().pause_reason) == (False, "3 runs in a row failed.")
    line.pass_by(600)
    assert len(line.ends()) == 3


def test_a_completed_run_between_them_begins_the_count_anew(line: Timeline) -> None:
    line.add(**EACH_MINUTE)
    fail(line, 2)
    line.pass_by(60)
    line.end()
    fail(line, 2)
    assert line.job().enabled


def test_failures_from_before_a_resume_do_not_count(line: Timeline) -> None:
    line.add(**EACH_MINUTE)
    fail(line, 3)
    line.resume()
    fail(line, 2)
    assert line.job().enabled
    fail(line, 1)
    assert not line.job().enabled


@pytest.mark.parametrize(("disable_after", "enabled"), [(1, False), (0, True), (5, True)])
def test_a_job_may_have_its_own_number_of_failures(line: Timeline, disable_after: int, enabled: bool) -> None:
    line.add(**EACH_MINUTE, disable_after=disable_after)
    fail(line, 1 if not enabled else 4)
    assert line.job().enabled is enabled


def test_a_pause_that_cannot_be_stored_is_tried_again(line: Timeline, monkeypatch: pytest.MonkeyPatch) -> None:
    line.add(**EACH_MINUTE, disable_after=1)

    def full(_job: CronJob) -> CronJob:
        raise StoreError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(line.core.jobs, "update", full)
        fail(line, 1)
        assert line.job().enabled
    line.pass_by(5)
    assert not line.job().enabled


def test_a_failing_job_whose_file_was_copied_by_hand_is_paused_like_any_other(line: Timeline) -> None:
    job = line.add(**EACH_MINUTE)
    copied = line.runs.home.jobs / "00000000-copy.json"
    text = (line.runs.home.jobs / f"{job.id}.json").read_text()
    copied.write_text(text.replace(job.id, "00000000-copy").replace("* * * * *", "0 0 1 1 *"))
    line.open()
    fail(line, 3)
    paused = line.core.jobs.get(job.id)
    assert paused is not None
    assert (paused.enabled, paused.pause_reason) == (False, "3 runs in a row failed.")


def test_a_pause_that_is_refused_is_said_once_and_ends_nothing(
    line: Timeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    line.add(**EACH_MINUTE, disable_after=1)

    def refused(_job: CronJob) -> CronJob:
        raise RefusedError("There is a job called 'job' already.")

    monkeypatch.setattr(line.core.jobs, "update", refused)
    fail(line, 1)
    line.pass_by(30)
    assert (line.job().enabled, line.core.failed) == (True, set())
    assert caplog.text.count("Job 00000001-job cannot be paused: There is a job called 'job' already.") == 1


def test_canceled_runs_are_no_failures(line: Timeline) -> None:
    line.add(**EACH_MINUTE, disable_after=1)
    line.pass_by(61)
    line.cancel(line.stored()[-1].id)
    line.end(Reason.CANCELED_BY_USER)
    assert line.job().enabled


def test_a_one_shot_that_fails_is_paused_like_any_other(line: Timeline) -> None:
    line.add(cron_expr="", at=NOON + timedelta(minutes=1), retries=0, disable_after=1)
    fail(line, 1)
    assert line.job().pause_reason == "1 run in a row failed."


# ---- a configuration that is taken anew


def test_another_configuration_counts_for_what_starts_next() -> None:
    with timeline(Config(max_concurrent=1)) as line:
        line.add("one", **EACH_MINUTE)
        line.add("two", **EACH_MINUTE)
        line.pass_by(61)
        assert [*line.ends("one"), *line.ends("two")] == ["running", "queued"]
        line.core.configure(Config(max_concurrent=2))
        line.turn()
        assert [*line.ends("one"), *line.ends("two")] == ["running", "running"]


def test_another_history_keeps_fewer_runs() -> None:
    with timeline() as line:
        line.add(**EACH_MINUTE)
        for _ in range(5):
            line.pass_by(60)
            line.end()
        line.core.configure(Config(history=2))
        assert len(line.runs.get_runs(line.job_ids["job"])) == 2
        assert line.runs.summary(line.job_ids["job"]).run_count == 5
