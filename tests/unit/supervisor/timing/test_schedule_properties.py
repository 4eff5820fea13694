"""Schedules against definitions that share nothing with them: walks over every minute, every day, every second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal, cast
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from supervisor.timing.describe import describe
from supervisor.timing.schedule import ScheduleError, parse

Dst = Literal["once", "exact"]

MINUTE = timedelta(minutes=1)

# Zone, an hour (UTC) near one of its clock changes, and what is special about it.
CHANGES = [
    ("UTC", "2026-03-29T01", "no change"),
    ("America/New_York", "2026-03-08T07", "gap"),
    ("America/New_York", "2026-11-01T06", "repeated hour"),
    ("Europe/Berlin", "2026-03-29T01", "gap"),
    ("Europe/Berlin", "2026-10-25T01", "repeated hour"),
    ("Europe/Dublin", "2026-03-29T01", "gap: standard time is the summer's, winter's is negative"),
    ("Europe/Dublin", "2026-10-25T01", "repeated hour, negative"),
    ("Australia/Lord_Howe", "2026-10-03T15", "gap of 30 minutes"),
    ("Australia/Lord_Howe", "2026-04-04T15", "repeated half hour"),
    ("Pacific/Apia", "2011-12-30T10", "30 December 2011 left out: gap of 24 hours"),
    ("Pacific/Apia", "2012-03-31T14", "repeated hour"),
    ("Pacific/Kwajalein", "1993-08-21T12", "21 August 1993 left out"),
    ("America/St_Johns", "2006-04-02T03", "gap at 00:01"),
    ("America/St_Johns", "2006-10-29T02", "back from 00:01: yesterday comes again"),
    ("America/St_Johns", "1988-04-03T03", "gap of two hours at 00:01"),
    ("Africa/Casablanca", "2026-02-15T02", "back for Ramadan"),
    ("Africa/Casablanca", "2026-03-22T02", "gap after Ramadan"),
    ("Antarctica/Troll", "2026-03-29T01", "gap of two hours"),
    ("Antarctica/Troll", "2026-10-25T01", "two repeated hours"),
    ("America/Havana", "2026-03-08T05", "gap at midnight"),
    ("America/Havana", "2026-11-01T05", "repeated hour after midnight"),
    ("Asia/Beirut", "2026-03-28T22", "gap at midnight"),
    ("Asia/Beirut", "2026-10-24T21", "back to the day before"),
    ("America/Sao_Paulo", "2018-11-04T03", "gap at midnight"),
    ("America/Sao_Paulo", "2018-02-18T02", "back to the day before"),
    ("Asia/Tehran", "2021-03-21T20", "gap at midnight, half-hour offset"),
    ("Asia/Tehran", "2021-09-21T19", "back to the day before"),
    ("Pacific/Chatham", "2026-09-26T14", "gap at 02:45"),
    ("Pacific/Chatham", "2026-04-04T14", "repeated from 02:45"),
    ("Asia/Pyongyang", "2018-05-04T15", "gap of 30 minutes before midnight"),
    ("Europe/Volgograd", "2020-12-26T23", "moved west for good"),
]


@dataclass(frozen=True)
class Walk:
    """What the clock of a zone shows, minute by minute, around a change."""

    zone: str
    minutes: list[tuple[datetime, datetime]]  # the instant in UTC, the wall time


def walk(zone: str, near: str) -> Walk:
    around = datetime.fromisoformat(near).replace(tzinfo=UTC)
    instants = [around + k * MINUTE for k in range(-4 * 60, 4 * 60)]
    return Walk(zone, [(u, u.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for u in instants])


WALKS = {(zone, near): walk(zone, near) for zone, near, _ in CHANGES}


@dataclass(frozen=True)
class Written:
    """A field's text, and the numbers it means, worked out by the test."""

    text: str
    values: frozenset[int]

    @property
    def wild(self) -> bool:
        return self.text[0] in "*?"


def field(low: int, high: int, most: int | None = None) -> st.SearchStrategy[Written]:
    numbers = range(low, high + 1)
    number = st.integers(low, high if most is None else most)
    every = st.integers(1, high + 5)
    return st.one_of(
        st.sampled_from("*?").map(lambda sign: Written(sign, frozenset(numbers))),
        every.map(lambda n: Written(f"*/{n}", frozenset(numbers[::n]))),
        st.lists(number, min_size=1, max_size=4).map(lambda ns: Written(",".join(map(str, ns)), frozenset(ns))),
        st.tuples(number, number)
        .map(sorted)
        .map(lambda p: Written(f"{p[0]}-{p[1]}", frozenset(range(p[0], p[1] + 1)))),
        st.tuples(number, every).map(lambda p: Written(f"{p[0]}/{p[1]}", frozenset(range(p[0], high + 1, p[1])))),
    )


# Times near midnight and the small hours, where clocks change, more often than others.
HOURS = field(0, 23) | field(0, 23, most=3) | st.just(Written("23", frozenset({23})))


def due_by_walking(walked: Walk, minute: Written, hour: Written, dst: Dst) -> Iterator[datetime]:
    """The rules as they are told to people, applied to every minute."""

    def named(wall: datetime) -> bool:
        return wall.minute in minute.values and wall.hour in hour.values

    once = dst == "once" and not minute.wild and not hour.wild
    shown: set[datetime] = set()
    before: datetime | None = None
    for instant, wall in walked.minutes:
        skipped = 0 if before is None else int((wall - before) / MINUTE) - 1
        jumped_over = before is not None and any(named(before + k * MINUTE) for k in range(1, skipped + 1))
        if (named(wall) and not (once and wall in shown)) or (once and jumped_over):
            yield instant
        shown.add(wall)
        before = wall


@pytest.mark.parametrize(("zone", "near", "what"), CHANGES)
def test_the_walks_do_cross_a_clock_change(zone: str, near: str, what: str) -> None:
    walls = [wall for _, wall in WALKS[zone, near].minutes]
    jumps = [later - earlier for earlier, later in pairwise(walls) if later - earlier != MINUTE]
    assert len(jumps) == (0 if zone == "UTC" else 1)
    assert all((jump > MINUTE) == (what.startswith("gap") or "left out" in what) for jump in jumps)


def agrees(walked: Walk, minute: Written, hour: Written, dst: Dst, *, named: bool) -> bool:
    start, end = walked.minutes[0][0], walked.minutes[-1][0]
    expected = [instant for instant in due_by_walking(walked, minute, hour, dst) if instant > start]
    schedule = parse(f"{minute.text} {hour.text} * * *", timezone=walked.zone if named else None, dst=dst)
    found, due = [], schedule.next(start if named else start.astimezone(ZoneInfo(walked.zone)))
    while due is not None and due.astimezone(UTC) <= end:
        found.append(due.astimezone(UTC))
        due = schedule.next(due)
    return found == expected


def written(text: str, high: int, *values: int) -> Written:
    return Written(text, frozenset(values or range(high + 1)))


TELLING = [
    (written("30", 59, 30), written("2", 23, 2)),
    (written("0", 59, 0), written("0", 23, 0)),
    (written("15", 59, 15), written("0-4", 23, 0, 1, 2, 3, 4)),
    (written("1,31", 59, 1, 31), written("23", 23, 23)),
    (written("0", 59, 0), written("*/2", 23, *range(0, 24, 2))),
]


@pytest.mark.parametrize(("zone", "near", "what"), CHANGES)
def test_telling_schedules_are_due_as_a_walk_says_at_every_change(zone: str, near: str, what: str) -> None:
    walked, rules = WALKS[zone, near], cast("tuple[Dst, ...]", ("once", "exact"))
    asked = [(minute, hour, dst) for minute, hour in TELLING for dst in rules]
    wrong = [f"{m.text} {h.text} {dst}" for m, h, dst in asked if not agrees(walked, m, h, dst, named=True)]
    assert wrong == []


@given(st.sampled_from(sorted(WALKS)), field(0, 59), HOURS, st.sampled_from(["once", "exact"]), st.booleans())
def test_near_clock_changes_a_schedule_is_due_just_when_a_walk_by_the_minute_says(
    where: tuple[str, str], minute: Written, hour: Written, dst: Dst, named: bool
) -> None:
    assert agrees(WALKS[where], minute, hour, dst, named=named)


@given(st.sampled_from(sorted(WALKS)), field(0, 59), HOURS, st.sampled_from(["once", "exact"]), st.data())
def test_the_answer_is_later_and_the_same_from_every_moment_before_it(
    where: tuple[str, str], minute: Written, hour: Written, dst: Dst, data: st.DataObject
) -> None:
    walked = WALKS[where]
    schedule = parse(f"{minute.text} {hour.text} * * *", timezone=walked.zone, dst=dst)
    start = data.draw(st.sampled_from(walked.minutes))[0] + data.draw(st.timedeltas(timedelta(0), MINUTE))
    due = schedule.next(start)
    assert due is not None
    assert due > start
    between = data.draw(st.lists(st.integers(0, int((due - start).total_seconds() * 1e6) - 1), min_size=1, max_size=8))
    near_the_end = [due - timedelta(microseconds=1), due - timedelta(seconds=1)]
    moments = [start + timedelta(microseconds=k) for k in between] + [m for m in near_the_end if m >= start]
    assert {schedule.next(moment) for moment in moments} == {due}


@given(field(0, 59), field(0, 59), st.sampled_from(sorted(WALKS)), st.integers(0, 479))
def test_with_seconds_every_second_of_some_minutes_is_answered(
    second: Written, minute: Written, where: tuple[str, str], offset: int
) -> None:
    assume(second.values != {0})
    start = WALKS[where].minutes[offset][0]
    schedule = parse(f"{second.text} {minute.text} * * * *", timezone=where[0])
    zone = ZoneInfo(where[0])
    moments = [start + timedelta(seconds=k) for k in range(121)]
    walls = [moment.astimezone(zone) for moment in moments]
    expected = [
        m for m, w in zip(moments, walls, strict=True) if w.second in second.values and w.minute in minute.values
    ]
    found, due = [], schedule.next(start - timedelta(seconds=1))
    while due is not None and due <= moments[-1]:
        found.append(due)
        due = schedule.next(due)
    assert found == expected


@given(
    field(1, 31),
    field(1, 12),
    field(0, 6),
    st.datetimes(datetime(1901, 1, 1), datetime(2150, 1, 1)).map(lambda start: start.replace(tzinfo=UTC)),
)
def test_days_are_those_that_a_walk_by_the_day_finds(
    day: Written, month: Written, weekday: Written, start: datetime
) -> None:
    def named(date: datetime) -> bool:
        by_day, by_weekday = date.day in day.values, date.isoweekday() % 7 in weekday.values
        starred = {day.text, weekday.text} & {"*", "?", "*/1"}
        return date.month in month.values and ((by_day and by_weekday) if starred else (by_day or by_weekday))

    midnight = start.replace(hour=0, minute=0, second=0, microsecond=0)
    days = (midnight + timedelta(days=k) for k in range(1, 366 * 9))
    expected = next((date for date in days if named(date)), None)
    try:
        found = parse(f"0 0 {day.text} {month.text} {weekday.text}").next(start)
    except ScheduleError as refused:
        found, complaint = None, str(refused)
        assert "never fires" in complaint
    assert found == expected


@given(
    st.integers(1, 10**6),
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)),
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)),
)
def test_a_grid_is_kept_from_wherever_it_is_asked(seconds: int, anchor: datetime, after: datetime) -> None:
    anchor, after, every = anchor.replace(tzinfo=UTC), after.replace(tzinfo=UTC), timedelta(seconds=seconds)
    due = parse(f"@every {seconds}s").next_on_grid(anchor, after)
    assert due - every <= after < due
    assert (due - anchor.replace(microsecond=0)) % every == timedelta(0)


# An alphabet of our own: hypothesis needs a second to make its table of all characters.
ANY = "".join(map(chr, range(0x250))) + "\u0665\u00b2\u2028\ud800\U0001f600"
CRONISH = "0123456789*/,-? ?@TZ=CRON_JanMonEurope/Berlinevryhmsd.+"
VALID = [
    "*/5 0-3 1,15 jan-mar mon",
    "0 0 12 ? * SUN",
    "@every 1h30m",
    "@daily",
    "TZ=Europe/Berlin 0 9 * * 1-5",
    "CRON_TZ=UTC @hourly",
]


@st.composite
def damaged(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.text(CRONISH, max_size=3)) + text[at + draw(st.integers(0, 2)) :]
    return text


@given(
    st.text(ANY, max_size=300) | st.text(CRONISH, max_size=40) | damaged(), st.none() | st.text(CRONISH, max_size=20)
)
def test_any_text_is_a_schedule_or_a_sentence(text: str, zone: str | None) -> None:
    try:
        schedule = parse(text, timezone=zone)
    except ScheduleError as refused:
        complaint = str(refused)
    else:
        complaint = "."
        assert describe(schedule)
        schedule.next(datetime(2026, 1, 1, tzinfo=UTC))
    assert complaint.endswith(".")
    assert len(complaint) < 1000
