"""The whole agenda made anew where the clock was set back, over definitions that somebody changed by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from supervisor.errors import RefusedError
from supervisor.models import CronJob
from tests.timeline import EACH_MINUTE, Timeline, timeline


@pytest.fixture
def line() -> Iterator[Timeline]:
    with timeline() as made:
        yield made
        made.check_rules()


def set_back(line: Timeline) -> None:
    line.clock.wall -= timedelta(days=2)
    line.turn()


def test_a_definition_of_a_later_version_puts_off_what_is_planned_anew_and_ends_nothing(
    line: Timeline, caplog: pytest.LogCaptureFixture
) -> None:
    job = line.add(**EACH_MINUTE)
    later = line.runs.home.jobs / "later.json"
    text = (line.runs.home.jobs / f"{job.id}.json").read_text()
    later.write_text(text.replace(job.id, "later").replace('"version": 1', '"version": 99'))
    line.core.jobs._stamp = None  # as after a write that failed: the disk is asked
    set_back(line)
    line.pass_by(10)
    assert "The plan of all jobs cannot be made and is tried again" in caplog.text
    assert "version 99" in caplog.text
    later.unlink()
    line.pass_by(61)
    assert line.ends() == ["running"]


def test_a_change_from_the_future_that_cannot_be_taken_back_keeps_the_others_from_nothing(
    line: Timeline, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    line.add("a", **EACH_MINUTE)
    line.add("b", **EACH_MINUTE)
    update = line.core.jobs.update

    def refused(job: CronJob) -> CronJob:
        if job.id == line.job_ids["a"]:
            raise RefusedError("There is a job called 'a' already.")
        return update(job)

    monkeypatch.setattr(line.core.jobs, "update", refused)
    set_back(line)
    line.pass_by(61)
    assert (line.ends("a"), line.ends("b")) == ([], ["running"])
    assert caplog.text.count("Job 00000001-job is not scheduled: There is a job called 'a' already.") == 1
