"""How a live run stands, in a line."""

from __future__ import annotations

from datetime import timedelta

import pytest

from supervisor.cli.progress import Progress, words
from supervisor.cli.times import clock, roughly
from supervisor.status import Status
from tests.fakes import NOON, make_run

MINUTE = timedelta(minutes=1)


def test_it_says_what_a_run_does_or_waits_for() -> None:
    now = NOON + 5 * MINUTE
    running = make_run(status=Status.RUNNING, started_at=NOON, attempt=2)
    assert words(running, now) == "running for 5 min, attempt 2"
    assert words(make_run(queued_at=NOON), now) == "queued for 5 min"
    waits = running.noted(retry_at=now + MINUTE, error="It broke.")
    at = clock(now + MINUTE, now)
    assert words(waits, now) == f"running for 5 min; attempt 2 failed, the next is at {at}: It broke."


def test_where_no_terminal_is_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    line = Progress()
    line.show(make_run(status=Status.RUNNING, started_at=NOON, attempt=1), NOON)
    line.hide()
    assert capsys.readouterr() == ("", "")


def test_the_past_is_told_in_one_unit_and_a_clock_time_with_the_day_it_needs() -> None:
    ago = [roughly(NOON - minutes * MINUTE, NOON) for minutes in (0, 5, 65, 119, 60 * 26)]
    assert ago == ["now", "5 min ago", "1 h ago", "1 h ago", "26 h ago"]
    here = NOON.astimezone()
    assert clock(NOON, NOON + MINUTE) == here.strftime("%H:%M")
    assert clock(NOON, NOON + 3 * 1440 * MINUTE) == here.strftime("%a %H:%M")
    assert clock(NOON, NOON + 30 * 1440 * MINUTE) == here.strftime("%Y-%m-%d %H:%M")
