"""The truth table of overlap and load, and what Kubernetes decides in the same situations."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import product

import pytest

from shared.reasons import Reason
from supervisor.admission.admission import Load, Replace, Skip, Start, Verdict, Wait, admit
from supervisor.models import JobType, Overlap
from supervisor.status import Status
from supervisor.timing.occurrences import last_start, next_occurrence, owed
from tests.fakes import make_job, make_run

EARLIER = make_run(status=Status.RUNNING)

# What an earlier run of the same job means: nothing, one lives, one waits before it, both.
START, WAIT, SKIP, REPLACE = "start", "wait", "skip", "replace"
OVERLAPS = {
    Overlap.SKIP: (START, SKIP, SKIP, SKIP),
    Overlap.QUEUE: (START, WAIT, SKIP, SKIP),
    Overlap.REPLACE: (START, REPLACE, SKIP, SKIP),
    Overlap.ALLOW: (START, START, START, START),
}
ROOM = {"empty": (0, 0), "room": (3, 1), "full": (4, 1), "too many": (5, 1), "type full": (3, 2)}
"""Runs in all, of 4; runs of the job's type, of 2."""


def load(
    running: int = 0, of_type: int = 0, lives: bool = False, waits: bool = False, of_2: bool = True, busy: str = ""
) -> Load:
    return Load(
        running=running,
        cap=4,
        running_of_type=of_type,
        cap_of_type=2 if of_2 else None,
        same_job=(EARLIER,) if lives else (),
        same_job_waiting=int(waits),
        host_busy=busy,
    )


def named(verdict: Verdict) -> str:
    return {Start: START, Wait: WAIT, Skip: SKIP, Replace: REPLACE}[type(verdict)]


@pytest.mark.parametrize("room", ROOM)
@pytest.mark.parametrize("overlap", Overlap)
def test_overlap_is_decided_before_room(overlap: Overlap, room: str) -> None:
    running, of_type = ROOM[room]
    loads = [load(running, of_type, lives, waits) for waits, lives in product((False, True), repeat=2)]
    without_room = WAIT if room not in ("empty", "room") else START
    expected = tuple(without_room if verdict == START else verdict for verdict in OVERLAPS[overlap])
    assert tuple(named(admit(make_job(overlap=overlap), one)) for one in loads) == expected


@pytest.mark.parametrize("overlap", Overlap)
def test_what_is_too_late_is_skipped_whatever_else_there_is(overlap: Overlap) -> None:
    for running, lives, waits in product((0, 4), (False, True), (False, True)):
        found = admit(make_job(overlap=overlap), load(running, 0, lives, waits), expired=True)
        assert isinstance(found, Skip)
        assert found.reason is Reason.EXPIRED


def test_a_skip_names_the_run_that_was_in_the_way() -> None:
    found = admit(make_job(), load(lives=True))
    assert isinstance(found, Skip)
    assert found.reason is Reason.OVERLAP
    assert EARLIER.id in found.why


def test_replace_names_what_has_to_end() -> None:
    assert admit(make_job(overlap="replace"), load(lives=True)) == Replace((EARLIER,))


def test_waiting_says_what_for() -> None:
    medium = make_job(type=JobType.MEDIUM)
    assert admit(medium, load(4, 0)) == Wait("4 of 4 runs are going on")
    assert admit(medium, load(2, 2)) == Wait("2 of 2 medium runs are going on")
    assert admit(medium, load(3, 3, of_2=False)) == Start()
    queued = admit(make_job(overlap="queue"), load(lives=True))
    assert isinstance(queued, Wait)
    assert EARLIER.id in queued.why


@pytest.mark.parametrize(("overlap", "situation", "room"), list(product(Overlap, range(4), ROOM)))
def test_a_busy_host_keeps_back_what_would_start_and_nothing_else(overlap: Overlap, situation: int, room: str) -> None:
    running, of_type = ROOM[room]
    lives, waits = bool(situation & 1), bool(situation & 2)
    quiet = admit(make_job(overlap=overlap), load(running, of_type, lives, waits))
    found = admit(make_job(overlap=overlap), load(running, of_type, lives, waits, busy="the host is busy"))
    assert found == (Wait("the host is busy", Reason.HOST_BUSY) if quiet == Start() else quiet)


def test_what_waits_too_long_is_skipped_for_what_it_waited_for_last() -> None:
    host, slot = Wait("the host is busy: so and so", Reason.HOST_BUSY), Wait("4 of 4 runs are going on")
    assert admit(make_job(), load(), expired=True, waited=host) == Skip(
        Reason.HOST_BUSY, "It waited for longer than its grace: the host is busy: so and so."
    )
    expected = Skip(Reason.EXPIRED, "It waited for longer than its grace.")
    assert admit(make_job(), load(), expired=True, waited=slot) == expected
    assert admit(make_job(), load(busy="the host is busy"), expired=True) == expected


# What Kubernetes' CronJob controller does with an hourly job, by its own TestControllerV2SyncCronJob (04791b4):
# policy, startingDeadlineSeconds, created, last schedule, whether that run still lives, now -> whether it starts one,
# whether it ends the old one. Left out are the rows of a suspended job and of an unreadable schedule: those never get
# as far as this.
NINE_59, TEN_01, TEN_12, A_WEEK = "19 09:59", "19 10:01", "19 10:12", "26 10:00"
BEFORE, LAST = "19 08:59", "19 09:01"
KUBERNETES = [
    # never ran
    *[(policy, None, NINE_59, None, False, NINE_59, False, False) for policy in ("allow", "forbid", "replace")],
    *[(policy, None, NINE_59, None, False, TEN_01, True, False) for policy in ("allow", "forbid", "replace")],
    ("allow", 10, NINE_59, None, False, TEN_12, False, False),
    ("allow", 1_000_000, NINE_59, None, False, TEN_01, True, False),
    # ran, and is over
    *[(policy, None, BEFORE, LAST, False, NINE_59, False, False) for policy in ("allow", "forbid", "replace")],
    *[(policy, None, BEFORE, LAST, False, TEN_01, True, False) for policy in ("allow", "forbid", "replace")],
    ("allow", 10, BEFORE, LAST, False, TEN_01, False, False),
    ("allow", 1_000_000, BEFORE, LAST, False, TEN_01, True, False),
    # ran, and still does
    *[(policy, None, BEFORE, LAST, True, NINE_59, False, False) for policy in ("allow", "forbid", "replace")],
    ("allow", None, BEFORE, LAST, True, TEN_01, True, False),
    ("forbid", None, BEFORE, LAST, True, TEN_01, False, False),
    ("replace", None, BEFORE, LAST, True, TEN_01, True, True),
    ("allow", 10, BEFORE, LAST, True, TEN_01, False, False),
    ("allow", 1_000_000, BEFORE, LAST, True, TEN_01, True, False),
    # a week was missed: one run, for the newest
    *[
        (policy, deadline, BEFORE, LAST, False, A_WEEK, True, False)
        for policy in ("allow", "forbid", "replace")
        for deadline in (1_000_000, None, 7200, 10)
    ],
]
POLICY = {"allow": Overlap.ALLOW, "forbid": Overlap.SKIP, "replace": Overlap.REPLACE}


def may(clock: str) -> datetime:
    return datetime.fromisoformat(f"2016-05-{clock}+00:00")


@pytest.mark.parametrize("row", KUBERNETES, ids=lambda row: " ".join(map(str, row)))
def test_kubernetes_decides_the_same(
    row: tuple[str, int | None, str, str | None, bool, str, bool, bool],
) -> None:
    policy, deadline, created, last, lives, clock, starts, ends_the_old = row
    now = may(clock)
    job = make_job(cron_expr="0 * * * ?", timezone="UTC", overlap=POLICY[policy], grace_secs=deadline)
    first = next_occurrence(job, may(last or created))
    assert first is not None
    found = owed(job, first, now) if first <= now else None
    to_run = [*found.late, *found.due] if found is not None else []
    verdicts = [admit(job, load(lives=lives, of_2=False), expired=now > last_start(job, at)) for at in to_run]
    assert [verdict for verdict in verdicts if isinstance(verdict, Start | Replace)] == verdicts[:1] * starts
    assert any(isinstance(verdict, Replace) for verdict in verdicts) == ends_the_old


def test_a_kubernetes_week_of_missed_hours_is_one_record() -> None:
    job = make_job(cron_expr="0 * * * ?", timezone="UTC")
    found = owed(job, may("19 10:00"), may(A_WEEK))
    assert found.due == (may(A_WEEK),)
    assert found.missed == 7 * 24
    assert found.missed_last == may(A_WEEK) - timedelta(hours=1)
