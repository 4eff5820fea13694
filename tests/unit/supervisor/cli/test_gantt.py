"""Bars over a time axis: nothing is hidden by another run, and every line has the width it was given."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli.gantt import FREE, Piece, Span, axis, lanes, ticks
from tests.fakes import NOON

MINUTE = timedelta(minutes=1)
HOUR = Span(NOON, NOON + 60 * MINUTE, 60)


def bar(*pieces: tuple[float, float, str]) -> list[Piece]:
    return [Piece(NOON + start * MINUTE, NOON + end * MINUTE, mark) for start, end, mark in pieces]


def test_a_run_is_as_long_as_it_took_and_its_attempts_lie_on_the_wait_between_them() -> None:
    assert lanes([bar((2, 4, "#"))], HOUR) == ["  ###"]
    assert lanes([bar((1, 9, "."), (1, 2, "x"), (5, 5, "x"), (8, 9, "#"))], HOUR) == [" xx..x..##"]


def test_runs_that_overlap_stand_below_each_other_and_others_in_one_line() -> None:
    runs = [bar((0, 5, "#")), bar((3, 8, "x")), bar((6, 7, "#")), bar((9, 9, "o"))]
    assert lanes(runs, HOUR) == ["######## o"[:6] + "## o", "   xxxxxx"]


def test_what_looks_alike_in_one_column_takes_no_more_lines_and_what_does_not_is_not_hidden() -> None:
    skips = [bar((7.1, 7.1, "o")), bar((7.5, 7.5, "o")), bar((7.9, 7.9, "x"))]
    assert lanes(skips, HOUR) == ["       o", "       x"]


def test_what_lies_outside_is_drawn_at_the_edge() -> None:
    assert lanes([bar((-500, 2, "#"))], HOUR) == ["###"]
    assert lanes([bar((59, 500, ">"))], HOUR) == [" " * 59 + ">"]


@given(
    st.lists(st.tuples(st.floats(-90, 90), st.floats(0, 200), st.sampled_from("#xo>")), max_size=15),
    st.integers(1, 200),
)
def test_no_run_hides_another(runs: list[tuple[float, float, str]], columns: int) -> None:
    span = Span(NOON, NOON + 60 * MINUTE, columns)
    bars = [bar((start, start + length, mark)) for start, length, mark in runs]
    found = lanes(bars, span)
    assert all(len(lane) <= columns for lane in found)
    for start, length, mark in runs:
        first, last = span.column(NOON + start * MINUTE), span.column(NOON + (start + length) * MINUTE)
        assert any(lane[first : last + 1] == mark * (last + 1 - first) for lane in found)
    drawn = sum(len(lane) - lane.count(FREE) for lane in found)
    assert drawn <= sum(span.column(one[-1].end) - span.column(one[0].start) + 1 for one in bars)


def test_the_axis_has_round_times_and_dates_where_they_change() -> None:
    assert axis(Span(NOON, NOON + 120 * MINUTE, 48)) == (
        "12:00       12:30       13:00       13:30",
        "+-----------+-----------+-----------+-----------",
    )
    times, _ = axis(Span(NOON, NOON + 48 * 60 * MINUTE, 80))
    assert times.split() == ["12:00", "18:00", "25", "Nov", "06:00", "12:00", "18:00", "26", "Nov", "06:00"]


@given(
    st.integers(1, 40 * 365 * 24 * 60), st.integers(1, 300), st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1))
)
def test_the_axis_fits_and_its_ticks_are_bounded(minutes: int, columns: int, start: datetime) -> None:
    since = start.replace(tzinfo=NOON.tzinfo)
    span = Span(since, since + minutes * MINUTE, columns)
    times, line = axis(span)
    assert (len(times) <= columns, len(line)) == (True, columns)
    found = list(ticks(span))
    assert len(found) <= columns + 60
    assert all(span.since <= tick < span.until for tick in found)
