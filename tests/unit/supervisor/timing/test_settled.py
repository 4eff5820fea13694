"""A clock that was in the future, and what counts as settled once it is set back."""

from __future__ import annotations

from datetime import timedelta

from supervisor.models import NEVER, Trigger
from supervisor.timing.clock import Moment
from supervisor.timing.settled import StepBack, settled_until
from tests.fakes import NOON, make_run
from tests.timeline import timeline

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def test_up_to_the_latest_record_nothing_is_owed_though_the_clock_was_ahead_by_hours() -> None:
    assert settled_until(NOON + 5 * HOUR, lambda: [], NOON) == NOON + 5 * HOUR


def test_a_record_from_another_year_settles_only_what_has_a_record_near_the_present() -> None:
    years = [make_run(trigger=Trigger.SCHEDULE, scheduled_at=NOON + ahead) for ahead in (-HOUR, HOUR, 400 * DAY)]
    assert settled_until(NOON + 400 * DAY, lambda: years, NOON) == NOON + HOUR
    assert settled_until(NOON + 400 * DAY, lambda: [make_run(scheduled_at=NOON)], NOON) == NEVER


def test_a_step_back_is_noticed_once_it_adds_up_to_more_than_a_day() -> None:
    back = StepBack()
    seen = [back.happened(Moment(NOON + hours * HOUR, 10.0)) for hours in (0, 30, 10, 7, 5)]
    assert seen == [False, False, False, False, True]
    back.pending = False
    assert not back.happened(Moment(NOON + 5 * HOUR, 10.0))


def test_a_clock_that_was_ahead_by_a_year_silences_no_job() -> None:
    with timeline() as line:
        line.clock.wall += 365 * DAY
        line.add("old", cron_expr="0 * * * *")
        line.pass_by(2 * 3600)
        line.clock.wall -= 365 * DAY
        line.turn()
        line.pass_by(3600)
        assert [run.scheduled_at for run in line.stored("old")][-1] == NOON + 3 * HOUR
        line.check_rules()
