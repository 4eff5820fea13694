"""Any sequence of requests, time, news, full disks and kills: the promises hold at its end.

A kill comes between any two writes: before a record is on disk, or right after. What a runner was spawned with is
looked at on disk at that very moment (`Timeline._check_claim`).
"""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.reasons import Reason
from supervisor.config import Config
from supervisor.definitions import edits
from supervisor.errors import CronwardError
from supervisor.models import SECOND, CatchUp, CronRun, Overlap, Trigger
from supervisor.stores.runs import RunsStore
from supervisor.timing.occurrences import next_occurrence
from tests.timeline import Timeline, timeline

SETTLING = 300
ENDS = (Reason.OK, Reason.AGENT_ERROR, Reason.AUTH_FAILED, Reason.NOTHING_TO_DO, Reason.CANCELED_BY_USER)


class KilledError(BaseException):
    """Where kill -9 met it."""


JOBS = st.fixed_dictionaries(
    {
        "cron_expr": st.sampled_from(["* * * * *", "*/3 * * * *", "@every 45s"]),
        "overlap": st.sampled_from(Overlap),
        "catch_up": st.sampled_from(CatchUp),
        "retries": st.sampled_from([0, 1, 3]),
        "retry_delay": st.sampled_from([0, 1 * SECOND, 20 * SECOND]),
        "grace_secs": st.sampled_from([None, 0, 600]),
        "jitter_secs": st.sampled_from([0, 0, 40]),
        "max_runs": st.sampled_from([None, None, 2]),
        "timeout_secs": st.sampled_from([30, 900]),
    }
)
PICK = st.integers(0, 7)
STEPS = st.one_of(
    st.tuples(st.just("pass"), st.integers(0, 150)),
    st.tuples(st.just("pass"), st.integers(0, 150)),
    st.tuples(st.just("end"), PICK, st.sampled_from(ENDS)),
    st.tuples(st.just("end"), PICK, st.just(Reason.OK)),
    st.tuples(st.just("vanish"), PICK),
    st.tuples(st.just("run"), PICK),
    st.tuples(st.just("cancel"), PICK),
    st.tuples(st.just("pause"), PICK),
    st.tuples(st.just("resume"), PICK),
    st.tuples(st.just("remove"), PICK),
    st.tuples(st.just("crash"), st.integers(0, 400), st.sampled_from([None, Reason.OK, Reason.AGENT_ERROR])),
    st.tuples(st.just("kill"), st.integers(0, 4), st.booleans()),
    st.tuples(st.just("full"), st.integers(0, 3)),
    st.tuples(st.just("room")),
)


def kill_at(line: Timeline, writes: int, before: bool) -> None:
    left = [writes]

    def full(run: CronRun) -> bool:
        left[0] -= 1
        if left[0] < 0:
            if not before:
                RunsStore.record(line.runs, run)
            raise KilledError
        return False

    line.full = full


def full_after(line: Timeline, writes: int) -> None:
    left = [writes]

    def full(_run: CronRun) -> bool:
        left[0] -= 1
        return left[0] < 0

    line.full = full


def live_numbers(line: Timeline) -> list[int]:
    return [number for number, attempt in enumerate(line.attempts()) if attempt not in line.dead]


def step(line: Timeline, what: str, *given: Any) -> None:
    live = live_numbers(line)
    names = list(line.job_ids)
    if what == "pass":
        line.pass_by(given[0])
    elif what in ("end", "vanish"):
        if live:
            getattr(line, what)(*given[1:], number=live[given[0] % len(live)])
    elif what == "cancel":
        runs = [run for name in names for run in line.stored(name) if not run.status.final]
        if runs:
            line.cancel(runs[given[0] % len(runs)].id)
    elif what == "crash":
        for number in live if given[1] else ():
            line.leave_result(given[1], number)
        line.sleep(given[0])
        line.full = lambda _run: False
        line.open()
    elif what == "kill":
        kill_at(line, *given)
    elif what == "full":
        full_after(line, *given)
    elif what == "room":
        line.full = lambda _run: False
    else:
        getattr(line, what)(names[given[0] % len(names)])


def settle(line: Timeline) -> None:
    """Everything gets room and time to end."""
    line.full = lambda _run: False
    line.open()
    for job in line.core.jobs.list():
        edits.pause(line.core, job, line.clock.now())
    for _ in range(SETTLING):
        live = live_numbers(line)
        if live:
            line.end(number=live[0])
        elif len(line.core.live) or len(line.core.waiting):
            line.pass_by(5)
        else:
            return
    raise AssertionError("it does not settle")


def play(line: Timeline, jobs: list[dict[str, Any]], steps: list[tuple[Any, ...]]) -> None:
    for number, fields in enumerate(jobs):
        line.add(f"job-{number}", **fields)
    for what, *about in steps:
        try:
            step(line, what, *about)
        except CronwardError:
            pass  # refused, gone, or the disk is full: a person would be told
        except KilledError:
            line.full = lambda _run: False
            line.open()
    settle(line)


@given(jobs=st.lists(JOBS, min_size=1, max_size=3), steps=st.lists(STEPS, max_size=25), slots=st.integers(1, 3))
def test_the_rules_hold_and_everything_ends_whatever_happens(
    jobs: list[dict[str, Any]], steps: list[tuple[Any, ...]], slots: int
) -> None:
    with timeline(Config(max_concurrent=slots)) as line:
        play(line, jobs, steps)
        line.check_rules()
        assert [run for name in line.job_ids for run in line.stored(name) if not run.status.final] == []


@given(
    jobs=st.lists(JOBS.map(lambda fields: {**fields, "max_runs": None}), min_size=1, max_size=2),
    steps=st.lists(STEPS.filter(lambda one: one[0] not in ("pause", "resume", "remove")), max_size=15),
)
def test_each_occurrence_has_a_record_or_is_counted_in_one(
    jobs: list[dict[str, Any]], steps: list[tuple[Any, ...]]
) -> None:
    """For jobs that are neither paused nor removed, up to the last occurrence that has a record."""
    with timeline(Config(max_concurrent=1)) as line:
        play(line, jobs, steps)
        for name in line.job_ids:
            occurrences, records = accounted(line, name)
            assert records == occurrences


def accounted(line: Timeline, name: str) -> tuple[int, int]:
    stored = [run for run in line.stored(name) if run.trigger is not Trigger.MANUAL]
    counts = [re.match(r"(\d+) occurrences were missed", run.error) for run in stored]
    job = line.created[name]
    last = max((run.scheduled_at for run in stored), default=job.created_at)
    passed, occurrence = 0, next_occurrence(job, job.created_at)
    while occurrence is not None and occurrence <= last:
        passed += 1
        occurrence = next_occurrence(job, occurrence)
    return passed, sum(int(count[1]) if count else 1 for count in counts)
