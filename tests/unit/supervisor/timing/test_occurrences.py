from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.models import NEVER, CatchUp, CronJob
from supervisor.timing import occurrences
from supervisor.timing.occurrences import MAX_CATCH_UP, ON_TIME, Owed, grace, jitter, last_start, next_occurrence, owed
from supervisor.timing.schedule import ScheduleError
from tests.fakes import NOON, make_job


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def today(clock: str) -> datetime:
    return at(f"2026-11-24 {clock}")


def job_every(expr: str, **fields: Any) -> CronJob:
    return make_job(**{"cron_expr": expr, "timezone": "UTC", "created_at": at("2026-11-24"), **fields})


HOURLY = job_every("0 * * * *")
EACH_MINUTE = job_every("* * * * *")


# ---- when next


def test_the_next_occurrence_is_after_the_instant_and_in_utc() -> None:
    berlin = make_job(cron_expr="0 7 * * *", timezone="Europe/Berlin")
    assert next_occurrence(berlin, at("2026-11-24 06:00")) == at("2026-11-25 06:00")
    assert next_occurrence(berlin, at("2026-11-24 05:59")) == at("2026-11-24 06:00")
    assert next_occurrence(berlin, NOON.astimezone()) == at("2026-11-25 06:00")


def test_an_interval_keeps_the_grid_of_its_first_day() -> None:
    job = make_job(cron_expr="@every 7m", created_at=at("2026-11-24 00:00:30.5"))
    assert next_occurrence(job, at("2026-11-24 00:10")) == at("2026-11-24 00:14:30")
    assert next_occurrence(job, at("2026-11-24 00:14:30")) == at("2026-11-24 00:21:30")


def test_a_one_shot_is_due_once() -> None:
    job = make_job(cron_expr="", at=NOON)
    assert next_occurrence(job, NOON - timedelta(seconds=1)) == NOON
    assert next_occurrence(job, NOON) is None


@pytest.mark.parametrize(
    "fields", [{"start": "0001-01-01T00:00:00Z"}, {"cron_expr": "", "at": "9999-12-31T23:59:59-10:00"}], ids=str
)
def test_an_instant_that_no_calendar_has_is_a_sentence(fields: dict[str, Any]) -> None:
    with pytest.raises(ScheduleError, match="9999"):
        next_occurrence(make_job(**fields), NOON)


def test_a_start_that_no_calendar_has_is_a_sentence() -> None:
    last = at("9999-12-31 23:59:59")
    with pytest.raises(ScheduleError, match="years 1 to 9999"):
        occurrences.starts(make_job(cron_expr="", at=last, jitter_secs=86400), last)
    with pytest.raises(ScheduleError, match="years 1 to 9999"):
        last_start(make_job(cron_expr="", at=last), last)


@pytest.mark.parametrize(
    ("after", "expected"),
    [("08:00", "10:00"), ("09:59", "10:00"), ("10:00", "11:00"), ("11:30", "12:00"), ("12:00", None)],
)
def test_a_life_begins_and_ends_with_the_instants_named(after: str, expected: str | None) -> None:
    job = job_every("0 * * * *", start=today("10:00"), until=today("12:00"))
    assert next_occurrence(job, today(after)) == (today(expected) if expected else None)


def test_a_life_ends_after_the_last_run() -> None:
    job = job_every("0 * * * *", max_runs=2)
    assert next_occurrence(job, NOON, runs_so_far=1) is not None
    assert next_occurrence(job, NOON, runs_so_far=2) is None


# ---- jitter and grace


def test_jitter_is_the_same_for_ever_and_differs_between_jobs_and_occurrences() -> None:
    job = job_every("0 * * * *", jitter_secs=600)
    assert jitter(job, NOON) == timedelta(seconds=160, milliseconds=971)  # on every host, in every version
    others = {jitter(job, NOON + timedelta(hours=hour)) for hour in range(20)}
    others |= {jitter(job.model_copy(update={"id": f"job-{number}"}), NOON) for number in range(20)}
    assert len(others) == 40
    assert all(timedelta(0) <= one < timedelta(seconds=600) for one in others)


def test_jitter_never_reaches_the_next_occurrence() -> None:
    job = job_every("* * * * *", jitter_secs=86400)
    minutes = [NOON + timedelta(minutes=number) for number in range(60)]
    starts = [minute + jitter(job, minute) for minute in minutes]
    assert all(start < minute + timedelta(minutes=1) for start, minute in zip(starts, minutes, strict=True))
    assert max(jitter(job, minute) for minute in minutes) > timedelta(seconds=50)


def test_without_jitter_there_is_none() -> None:
    assert jitter(HOURLY, NOON) == timedelta(0)


@pytest.mark.parametrize(
    ("expr", "grace_secs", "expected"),
    [
        ("* * * * *", None, timedelta(minutes=5)),
        ("*/30 * * * *", None, timedelta(minutes=30)),
        ("0 0 * * *", None, timedelta(hours=24)),
        ("0 0 1 * *", None, timedelta(hours=24)),
        ("* * * * *", 90, timedelta(seconds=90)),
        ("0 0 * * *", 10 * 86400, timedelta(days=10)),
        # Whether a job runs must not hang on how busy the host is in one second.
        ("0 0 * * *", 0, timedelta(seconds=10)),
    ],
)
def test_grace_is_what_the_job_says_else_a_period_within_bounds(
    expr: str, grace_secs: int | None, expected: timedelta
) -> None:
    assert grace(job_every(expr, grace_secs=grace_secs), at("2026-11-24 00:00")) == expected


def test_the_last_occurrence_of_a_life_has_the_grace_of_any_other() -> None:
    assert grace(job_every("0 * * * *", until=NOON), NOON) == timedelta(hours=1)
    assert grace(make_job(cron_expr="", at=NOON), NOON) == timedelta(hours=24)


def test_jitter_is_no_delay() -> None:
    job = job_every("0 * * * *", jitter_secs=600, grace_secs=30)
    assert last_start(job, NOON) == NOON + jitter(job, NOON) + timedelta(seconds=30)


# ---- what is owed: (policy, first, now) -> (due, late, missed, missed from, missed to)

NONE = (None, None)
OWED = {
    "on time": (HOURLY, "10:00", "10:00", ["10:00"], [], 0, *NONE),
    "a minute late is on time": (HOURLY, "10:00", "10:01", ["10:00"], [], 0, *NONE),
    "a short grace is kept also for what is found on time": (
        job_every("0 * * * *", grace_secs=20), "10:00", "10:00:30", [], [], 1, "10:00", "10:00",
    ),
    "later is late": (HOURLY, "10:00", "10:01:01", [], ["10:00"], 0, *NONE),
    "after a long outage one late run": (HOURLY, "03:00", "10:30", [], ["10:00"], 7, "03:00", "09:00"),
    "after a long outage that ends at an occurrence": (HOURLY, "03:00", "10:00", ["10:00"], [], 7, "03:00", "09:00"),
    "beyond its grace": (job_every("0 0 * * *", grace_secs=600), "00:00", "00:10:01", [], [], 1, "00:00", "00:00"),
    "within its grace": (job_every("0 0 * * *", grace_secs=600), "00:00", "00:10", [], ["00:00"], 0, *NONE),
    "skip: on time it still runs": (
        job_every("0 * * * *", catch_up="skip"), "03:00", "10:01", ["10:00"], [], 7, "03:00", "09:00",
    ),
    "skip: late it does not": (
        job_every("0 * * * *", catch_up="skip"), "09:00", "10:02", [], [], 2, "09:00", "10:00",
    ),
    "all: each within its grace": (
        job_every("0 * * * *", catch_up="all", grace_secs=7200), "06:00", "10:30", [],
        ["09:00", "10:00"], 3, "06:00", "08:00",
    ),
    "all: late and due together": (
        job_every("0 * * * *", catch_up="all", grace_secs=7200), "09:00", "10:00:30", ["10:00"], ["09:00"], 0, *NONE,
    ),
    "two within one slow minute": (
        job_every("*/30 * * * * *"), "10:00:00", "10:00:30", ["10:00:30"], [], 1, "10:00", "10:00",
    ),
    "a life of one run is not used up by what was missed": (
        job_every("0 * * * *", max_runs=1), "03:00", "10:30", [], ["10:00"], 7, "03:00", "09:00",
    ),
    "all: a life of two runs is two runs": (
        job_every("0 * * * *", catch_up="all", max_runs=2, grace_secs=86400), "06:00", "10:30", [],
        ["06:00", "07:00"], 0, *NONE,
    ),
    "nothing beyond its end": (
        job_every("0 * * * *", until=today("08:00"), grace_secs=7200), "07:00", "09:30", [], ["08:00"], 1,
        "07:00", "07:00",
    ),
    "a one-shot that nobody was there for": (make_job(cron_expr="", at=today("03:00")), "03:00", "10:30", [],
                                             ["03:00"], 0, *NONE),
}  # fmt: skip


@pytest.mark.parametrize("case", OWED.values(), ids=OWED.keys())
def test_what_is_owed(case: tuple[Any, ...]) -> None:
    job, first, now, due, late, missed, missed_first, missed_last = case
    found = owed(job, today(first), today(now))
    assert [found.due, found.late] == [tuple(map(today, due)), tuple(map(today, late))]
    assert found.missed == missed
    assert [found.missed_first, found.missed_last] == [
        today(clock) if clock else NEVER for clock in (missed_first, missed_last)
    ]


def test_a_life_that_ended_meanwhile_owes_nothing() -> None:
    job = job_every("0 * * * *", max_runs=3)
    assert owed(job, today("09:00"), today("10:30"), runs_so_far=3) == Owed()


def test_an_occurrence_is_not_taken_before_its_jitter_is_over() -> None:
    job = job_every("* * * * *", jitter_secs=60)
    minute = next(
        NOON + timedelta(minutes=number)
        for number in range(1000)
        if jitter(job, NOON + timedelta(minutes=number)) > timedelta(seconds=30)
    )
    before = minute - timedelta(minutes=1)
    found = owed(job, before, minute + timedelta(seconds=20))
    assert (found.due, found.late) in [((before,), ()), ((), (before,))]
    assert found.following == minute
    assert owed(job, minute, minute + jitter(job, minute)).due == (minute,)


def test_with_jitter_and_without_catching_up_it_still_runs() -> None:
    job = job_every("0 * * * *", jitter_secs=3000, catch_up="skip")
    assert owed(job, NOON, NOON + jitter(job, NOON)).due == (NOON,)


def test_catching_up_on_all_is_bounded() -> None:
    job = job_every("* * * * *", catch_up="all", grace_secs=86400)
    found = owed(job, today("00:00"), today("10:00"))
    assert len(found.due) + len(found.late) == MAX_CATCH_UP
    assert found.due == (today("09:59"), today("10:00"))
    assert found.missed == 601 - MAX_CATCH_UP
    assert (found.missed_first, found.missed_last) == (today("00:00"), today("09:36"))


def test_a_walk_over_years_is_bounded_and_ends_in_the_present(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occurrences, "MAX_WALK", 100)
    job = job_every("* * * * * *", created_at=at("2000-01-01"))
    found = owed(job, at("2016-01-01"), NOON)
    assert occurrences.MAX_WALK < found.missed <= 3 * occurrences.MAX_WALK
    assert found.due == (NOON,)
    assert found.missed_last == NOON - timedelta(seconds=1)
    assert found.following == NOON + timedelta(seconds=1)


@given(
    expr=st.sampled_from(["* * * * *", "*/7 * * * *", "0 * * * *", "0,1 0 * * *", "30 2 * * 1-5", "@every 11m"]),
    catch_up=st.sampled_from(CatchUp),
    grace_secs=st.sampled_from([None, 0, 600, 86400]),
    jitter_secs=st.sampled_from([0, 45, 7200]),
    outage=st.integers(0, 40_000),
    max_runs=st.sampled_from([None, 1, 3]),
)
def test_what_is_owed_is_accounted_for(
    expr: str, catch_up: CatchUp, grace_secs: int | None, jitter_secs: int, outage: int, max_runs: int | None
) -> None:
    job = job_every(expr, catch_up=catch_up, grace_secs=grace_secs, jitter_secs=jitter_secs, max_runs=max_runs)
    first = next_occurrence(job, NOON)
    assert first is not None
    now = first + jitter(job, first) + timedelta(seconds=outage)
    found = owed(job, first, now)
    run = [*found.late, *found.due]
    assert len(run) <= (MAX_CATCH_UP if catch_up is CatchUp.ALL else 1)
    assert run == sorted(set(run))
    assert all(one + jitter(job, one) <= now <= last_start(job, one) for one in run if one not in found.due)
    assert all(now - one - jitter(job, one) <= ON_TIME for one in found.due)
    if run and found.missed:
        assert first <= found.missed_first <= found.missed_last < run[0]
    # Each occurrence before `following` is one of them, counted by a walk of its own.
    passed, occurrence = 0, next_occurrence(job, NOON)
    while occurrence is not None and occurrence + jitter(job, occurrence) <= now:
        passed += 1
        occurrence = next_occurrence(job, occurrence)
    assert found.following == occurrence
    if max_runs is None:
        assert passed == found.missed + len(run)
