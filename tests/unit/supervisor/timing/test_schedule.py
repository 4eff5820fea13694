from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import cast
from zoneinfo import ZoneInfo

import pytest

import supervisor
from supervisor.timing.describe import describe
from supervisor.timing.schedule import ScheduleError, parse

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)  # a Monday


@pytest.mark.parametrize(
    ("expr", "words"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("* * * *", "has 4 fields: write five"),
        ("* * * * * * *", "has 7 fields"),
        ("hourly", "has 1 field: "),
        ("60 * * * *", "The minute field '60' has 60, which is above 59: use 0 to 59"),
        ("* 24 * * *", "The hour field '24' has 24, which is above 23"),
        ("* * 0 * *", "The day of month field '0' has 0, which is below 1: use 1 to 31"),
        ("* * * 13 *", "The month field '13' has 13, which is above 12"),
        ("* * * * 8", "The day of week field '8' has 8, which is above 6"),
        ("99 * * * * *", "The second field '99' has 99"),
        (
            "* * * * friday",
            "The day of week field 'friday' has 'friday' where a number is needed: use 0 to 6 or sun to sat",
        ),
        ("* * * foo *", "use 1 to 12 or jan to dec"),
        ("-1 * * * *", "has '' where a number is needed"),
        ("5--7 * * * *", "has '-7' where a number is needed"),
        ("1.5 * * * *", "has '1.5' where"),
        ("* 22-2 * * *", "The hour field '22-2' runs backwards from 22 to 2: split it, like 22-23,0-2"),
        ("* * * * 7/2", "runs backwards"),
        ("*/0 * * * *", "has the step 0"),
        ("*/ * * * *", "has the step ''"),
        ("*/5/5 * * * *", "has the step '5/5'"),
        ("*/x * * * *", "has the step 'x'"),
        ("*-5 * * * *", "has '*' where"),
        ("1,,2 * * * *", "The minute field '1,,2' has an empty item"),
        (", * * * *", "has an empty item"),
        ("* * L * *", "has 'L' where"),
        ("* * 15W * *", "has '15W' where"),
        ("* * * * 1#2", "has '1#2' where"),
        ("0 0 31 4 *", "never fires: no month in the month field '4' has a day in the day of month field '31'"),
        ("0 0 30-31 feb *", "never fires"),
        ("@Daily", "The descriptor '@Daily' is unknown"),
        ("@daily ", "The descriptor '@daily ' is unknown"),
        ("@reboot", "is unknown"),
        ("@every", "The descriptor '@every' is unknown"),
        ("@every ", "is empty"),
        ("@every 1d", "The interval of '@every 1d' cannot be read. The duration '1d' has the unknown unit 'd'"),
        ("@every 99999999999999999999h", "longer than 292 years"),
        ("TZ=UTC", "has a time zone and no fields"),
        ("TZ=Local 0 * * * *", "The time zone 'Local' is not the name of a zone"),
        ("TZ=localtime 0 * * * *", "is not the name of a zone"),
        ("TZ=right/UTC 0 * * * *", "is not the name of a zone"),
        ("TZ=europe/berlin 0 * * * *", "The time zone 'europe/berlin' is unknown here"),
        ("TZ=Europe 0 * * * *", "is unknown here"),
        ("TZ=../UTC 0 * * * *", "is not the name"),
        ("TZ=/etc/localtime 0 * * * *", "is not the name"),
        (f"TZ={'A' * 100} 0 * * * *", "is longer than 64 characters"),
        ("0\t0 * * *", "other than plain letters"),
        ("0 0 * * *\n", "other than plain letters"),
        ("\u0665 0 * * *", "other than plain letters"),
        ("0 0 * * *" + " " * 300, "is longer than 256 characters"),
    ],
)
def test_a_bad_schedule_is_refused_with_a_sentence_that_names_field_and_value(expr: str, words: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        parse(expr)
    assert words in str(refused.value)
    assert str(refused.value).endswith(".")


@pytest.mark.parametrize(
    "zone", ["", " ", "LOCAL", " Europe/Rome", "Europe/Rome ", "/UTC", "posix/UTC", "a\x00b", "Z\u00fcrich"]
)
def test_a_bad_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(ScheduleError, match="time zone"):
        parse("0 * * * *", timezone=zone)


def test_a_zone_is_given_once() -> None:
    with pytest.raises(ScheduleError, match="give it once"):
        parse("TZ=UTC 0 * * * *", timezone="UTC")


def test_an_unknown_rule_for_clock_changes_is_refused() -> None:
    with pytest.raises(ScheduleError, match="'twice' is unknown"):
        parse("0 * * * *", dst=cast("None", "twice"))  # type: ignore[arg-type]


def test_the_number_of_fields_says_whether_seconds_come_first() -> None:
    assert parse("30 7 * * *").next(NOON) == datetime(2026, 6, 2, 7, 30, tzinfo=UTC)
    assert parse("15 30 7 * * *").next(NOON) == datetime(2026, 6, 2, 7, 30, 15, tzinfo=UTC)
    assert parse("  30   7 * * * ").next(NOON) == datetime(2026, 6, 2, 7, 30, tzinfo=UTC)


def test_seven_is_sunday_alone_and_in_ranges() -> None:
    sunday = datetime(2026, 6, 7, tzinfo=UTC)
    assert parse("0 0 * * 7").next(NOON) == parse("0 0 * * 0").next(NOON) == sunday
    assert parse("0 0 * * 5-7").next(sunday) == datetime(2026, 6, 12, tzinfo=UTC)
    fields = parse("0 0 * * 5-7").fields
    assert fields is not None
    assert fields.weekday.values == {5, 6, 0}


def test_a_time_without_a_zone_is_refused_and_the_answer_keeps_the_zone_of_the_question() -> None:
    schedule = parse("0 7 * * *", timezone="Europe/Berlin")
    with pytest.raises(ScheduleError, match="2026-06-01T12:00:00 has no time zone"):
        schedule.next(NOON.replace(tzinfo=None))
    tokyo = timezone(timedelta(hours=9))
    answers = [schedule.next(NOON.astimezone(zone)) for zone in (UTC, BERLIN, tokyo)]
    assert [answer.isoformat() for answer in answers if answer] == [
        "2026-06-02T05:00:00+00:00",
        "2026-06-02T07:00:00+02:00",
        "2026-06-02T14:00:00+09:00",
    ]
    assert [answer.tzinfo for answer in answers if answer] == [UTC, BERLIN, tokyo]


def test_without_a_zone_of_its_own_a_schedule_follows_the_clock_it_is_asked_by() -> None:
    schedule = parse("30 1 * * *", dst="exact")
    due = schedule.next(datetime(2026, 10, 24, 22, tzinfo=BERLIN))
    assert schedule.timezone is None
    assert due == datetime(2026, 10, 25, 1, 30, tzinfo=BERLIN)


def test_who_asks_from_within_a_gap_that_was_found_for_others_has_the_same_answer() -> None:
    schedule = parse("0 7 * * *")
    asked = [NOON + timedelta(hours=hours) for hours in (0, 1, -30, 0, 19, 17, 18, 40)]
    for at in asked:
        for zone in (BERLIN, ZoneInfo("Asia/Tokyo"), BERLIN):
            found = schedule.next(at.astimezone(zone))
            assert found is not None
            seven = at.astimezone(zone).replace(hour=7)
            assert found == (seven if seven > at else seven + timedelta(days=1)), (at, zone)


def test_a_time_in_a_gap_is_due_once_at_its_end_or_by_the_exact_rule_not_at_all() -> None:
    before = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)  # the clock goes from 02:00 to 03:00 at 01:00 UTC
    end = datetime(2026, 3, 29, 1, tzinfo=UTC)
    assert parse("15,30 2 * * *", timezone="Europe/Berlin").next(before) == end
    assert parse("15,30 2 * * *", timezone="Europe/Berlin").next(end) == datetime(2026, 3, 30, 0, 15, tzinfo=UTC)
    assert parse("15,30 2 * * *", timezone="Europe/Berlin", dst="exact").next(before) == datetime(
        2026, 3, 30, 0, 15, tzinfo=UTC
    )


def test_a_repeated_time_is_due_in_its_first_reading_or_by_the_exact_rule_in_both() -> None:
    first, second = datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 25, 1, 30, tzinfo=UTC)
    next_day = datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    once, exact = (parse("30 2 * * *", timezone="Europe/Berlin", dst=rule) for rule in ("once", "exact"))
    start = datetime(2026, 10, 24, 12, tzinfo=UTC)
    assert [once.next(start), once.next(first), once.next(second)] == [first, next_day, next_day]
    assert [exact.next(start), exact.next(first), exact.next(second)] == [first, second, next_day]
    early_in_the_second = second - timedelta(minutes=15)  # the clock has shown 02:30 already, and will again
    assert [once.next(early_in_the_second), exact.next(early_in_the_second)] == [next_day, second]


@pytest.mark.parametrize("expr", ["30 */2 * * *", "*/30 2 * * *", "? 2 * * *", "15 30 2 * * *"])
def test_a_rhythm_and_seconds_are_always_exact(expr: str) -> None:
    start = datetime(2026, 10, 24, 23, tzinfo=UTC)
    once, exact = (parse(expr, timezone="Europe/Berlin", dst=rule) for rule in ("once", "exact"))
    for _ in range(70):
        assert once.next(start) == exact.next(start)
        start = once.next(start) or start
    assert start > datetime(2026, 10, 25, 1, tzinfo=UTC)


def test_an_interval_counts_from_the_moment_it_is_asked_about_and_its_grid_from_an_anchor() -> None:
    schedule = parse("@every 1h30m10.9s")
    assert schedule.every == timedelta(hours=1, minutes=30, seconds=10)
    assert schedule.next(NOON.replace(microsecond=5)) == NOON + schedule.every
    half_hours, anchor = parse("@every 30m"), NOON.replace(minute=7, microsecond=9)
    assert half_hours.next_on_grid(anchor, NOON) == NOON.replace(minute=7)
    assert half_hours.next_on_grid(anchor, NOON.replace(minute=7)) == NOON.replace(minute=37)
    assert half_hours.next_on_grid(anchor, NOON + timedelta(days=1)) == NOON.replace(minute=7) + timedelta(days=1)
    assert half_hours.next_on_grid(anchor, NOON.astimezone(BERLIN)).tzinfo is BERLIN


def test_a_grid_is_for_intervals_only() -> None:
    with pytest.raises(ScheduleError, match="is no interval"):
        parse("@hourly").next_on_grid(NOON, NOON)


@pytest.mark.parametrize(
    ("expr", "raised"), [("@every 0s", True), ("@every -5m", True), ("@every 999ms", True), ("@every 1s", False)]
)
def test_an_interval_raised_to_one_second_says_so(expr: str, raised: bool) -> None:
    schedule = parse(expr)
    assert (schedule.every, schedule.raised) == (timedelta(seconds=1), raised)


def test_the_period_is_the_distance_of_the_next_two() -> None:
    assert parse("0 7 * * 1-5").period(NOON) == timedelta(days=1)
    assert parse("0 7 * * 1-5").period(NOON + timedelta(days=3)) == timedelta(days=3)
    assert parse("@every 90s").period(NOON) == timedelta(seconds=90)
    # Both in the hour that comes twice: the period is of time, not of the clock's hands.
    repeated = datetime(2026, 10, 25, 2, 0, tzinfo=BERLIN)
    assert parse("45 * * * *").period(repeated) == timedelta(hours=1)


def test_29_february_is_found_over_the_year_2100() -> None:
    assert parse("0 0 29 2 *").next(datetime(2096, 3, 1, tzinfo=UTC)) == datetime(2104, 2, 29, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/New_York"])
@pytest.mark.parametrize("expr", ["* * * * *", "30 2 * * *", "0 0 29 2 *", "*/7 * * * * *", "@every 2000000h"])
def test_the_ends_of_the_calendar_are_none_or_a_sentence(expr: str, zone: str) -> None:
    schedule = parse(expr, timezone=zone)
    last = datetime(9999, 12, 31, 23, 59, 59, 999999)
    for offset in (-14, 0, 14):
        assert schedule.next(last.replace(tzinfo=timezone(timedelta(hours=offset)))) is None
        with pytest.raises(ScheduleError, match="before the year 2"):
            schedule.next(datetime.min.replace(tzinfo=timezone(timedelta(hours=offset))))
        late = schedule.next(datetime(9998, 12, 31, 23, 59, 59, tzinfo=timezone(timedelta(hours=offset))))
        assert late is None or late.year == 9999
        assert schedule.next(datetime(2, 1, 1, tzinfo=timezone(timedelta(hours=offset)))) is not None
    assert schedule.period(last.replace(tzinfo=UTC)) is schedule.every
    if schedule.every:
        with pytest.raises(ScheduleError, match="beyond the year 9999"):
            schedule.next_on_grid(last.replace(tzinfo=UTC), last.replace(tzinfo=UTC))


def test_the_same_text_is_parsed_once() -> None:
    assert parse("0 7 * * 1", timezone="UTC") is parse("0 7 * * 1", timezone="UTC")
    assert parse("0 7 * * 1", timezone="UTC") is not parse("0 7 * * 1", timezone="UTC", dst="exact")


def test_croniter_is_imported_by_the_schedule_alone() -> None:
    files = Path(supervisor.__path__[0]).rglob("*.py")
    importers = [
        path.name for path in files if re.search(r"^\s*(from|import) croniter", path.read_text(), re.MULTILINE)
    ]
    assert importers == ["schedule.py"]


@pytest.mark.parametrize(
    ("expr", "words"),
    [
        ("* * * * *", "every minute"),
        ("*/30 * * * *", "every 30 minutes"),
        ("0 7 * * 1-5", "at 07:00 on Monday to Friday"),
        ("0 7 * * *", "every day at 07:00"),
        ("5 0 7 * * *", "every day at 07:00:05"),
        ("15 * * * *", "every hour at minute 15"),
        ("5 */2 * * *", "every 2 hours at minute 5"),
        ("*/10 9-17 * * 6,7", "every 10 minutes of hour 9 to 17 on Saturday and Sunday"),
        ("0 9,12 1,15 * 1", "at 09:00 and 12:00 on day 1 and 15 of the month or on Monday"),
        ("30 2 * 6-8 *", "at 02:30 in June to August"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("7,22 1-3 * * * *", "at second 7 and 22 of minute 1 to 3"),
        ("1-20 3 * * *", "at minute 1 to 20 of hour 3"),
        ("0 0 1-31 * 1", "every day at 00:00"),
        ("@yearly", "at 00:00 on day 1 of the month in January"),
        ("@every 90m", "every 1 hour 30 minutes"),
        ("@every 24h", "every day"),
        ("TZ=Europe/Berlin @weekly", "at 00:00 on Sunday (Europe/Berlin)"),
    ],
)
def test_a_schedule_is_described_in_words(expr: str, words: str) -> None:
    assert describe(parse(expr)) == words
