"""Why a job runs or does not, in sentences: a table of what is known and what is said."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.reasons import Reason
from supervisor.models import CronJob, CronRun, Trigger
from supervisor.reports.why import Known, Queued, next_times, reasons_of
from supervisor.status import Status
from supervisor.stores.summary import Summary
from tests.fakes import NOON, make_job, make_run

HOUR = timedelta(hours=1)
DUE = "It is due next at 2026-11-24 13:00:00+00:00."
NO_RUN = "It has not been due since it was added or its time was edited; there is no run of it."


def job(**fields: Any) -> CronJob:
    return make_job(**{"name": "n", "cron_expr": "0 * * * *", "timezone": "UTC", "created_at": NOON - HOUR, **fields})


def run(status: Status, **fields: Any) -> CronRun:
    return make_run(status=status, trigger=Trigger.SCHEDULE, scheduled_at=NOON - HOUR, started_at=NOON - HOUR, **fields)


def known(**facts: Any) -> Known:
    plain = Known(job=job(), summary=Summary(), runs=(), now=NOON, keeping_time=True)
    return replace(plain, **facts)


ENDED = run(Status.COMPLETED, reason=Reason.OK, finished_at=NOON)
RETRYING = run(Status.RUNNING, retry_at=NOON + HOUR, error="It broke.")
TABLE: dict[str, tuple[Known, list[str]]] = {
    "it was only just added": (known(), [DUE, NO_RUN]),
    "nothing keeps time": (
        known(keeping_time=False),
        [
            "Nothing keeps time in this home, so no job starts. Start a supervisor with: cronward supervise --ensure",
            DUE,
            NO_RUN,
        ],
    ),
    "the supervisor is stopping": (
        known(stopping=True), ["The supervisor is stopping and starts nothing more.", DUE, NO_RUN],
    ),
    "it is paused": (
        known(job=job(enabled=False, pause_reason="no quota.")),
        ["The job is paused: no quota. Let it be due again with: cronward resume n",
         "It never ran; there is no run of it."],
    ),
    "it is paused and nobody said why": (
        known(job=job(enabled=False), runs=(ENDED,)),
        ["The job is paused. Let it be due again with: cronward resume n",
         "The latest occurrence, due at 2026-11-24 11:00:00+00:00, completed at 2026-11-24 12:00:00+00:00."],
    ),
    "it is going on": (
        known(live=(run(Status.RUNNING, attempt=2),), runs=(run(Status.RUNNING, attempt=2),)),
        ["Run 99999999 is going on since 2026-11-24 11:00:00+00:00, attempt 2.", DUE],
    ),
    "it waits for a quota": (
        known(live=(RETRYING.noted(rest_until=RETRYING.retry_at, agent="claude"),), runs=(RETRYING,)),
        ["Run 99999999 waits for the quota of claude, which is back at 2026-11-24 13:00:00+00:00: It broke.", DUE],
    ),
    "it is ending": (
        known(live=(run(Status.STOPPING, stop_reason=Reason.REPLACED),), runs=(RETRYING,)),
        ["Run 99999999 is ending (replaced).", DUE],
    ),
    "it waits for a retry": (
        known(live=(RETRYING,), runs=(RETRYING,)),
        ["Run 99999999 waits to be tried again at 2026-11-24 13:00:00+00:00: It broke.", DUE],
    ),
    "it is queued": (
        known(queue=(Queued("99999999-x", 3, "all slots are taken"),), running=4, max_concurrent=4, runs=(RETRYING,)),
        ["Run 99999999 is number 3 in the queue: all slots are taken. 4 of at most 4 runs go on.", DUE],
    ),
    "it ran as often as it may": (
        known(job=job(max_runs=2), summary=Summary(run_count=2), runs=(RETRYING,)),
        ["It has run 2 times, and 2 are all that it may (max_runs).", "It is not due any more."],
    ),
    "what is queued is the last that it may": (
        known(job=job(max_runs=1), queue=(Queued("99999999-x", 1, "just asked for"),), runs=(RETRYING,)),
        ["Run 99999999 is number 1 in the queue: just asked for.",
         "It has run 0 times, and 1 are all that it may (max_runs).",
         "It is not due any more."],
    ),
    "its instant is past": (
        known(job=job(cron_expr="", at=NOON - HOUR), runs=(RETRYING,)),
        ["It was due once, at 2026-11-24 11:00:00+00:00, and that is past.", "It is not due any more."],
    ),
    "its life is over": (
        known(job=job(until=NOON - HOUR), runs=(RETRYING,)),
        ["Its life ended at 2026-11-24 11:00:00+00:00 (until).", "It is not due any more."],
    ),
    "its life has not begun": (
        known(job=job(start=NOON + 2 * HOUR), runs=(RETRYING,)),
        ["Its life begins at 2026-11-24 14:00:00+00:00 (start).", "It is due next at 2026-11-24 14:00:00+00:00."],
    ),
    "it has jitter": (
        known(job=job(jitter_secs=90), runs=(RETRYING,)),
        ["It is due next at 2026-11-24 13:00:00+00:00, and up to 90 s later (jitter)."],
    ),
    "a hand broke its definition": (
        known(job=job(cron_expr="61 * * * *"), runs=(RETRYING,)),
        ["Its definition cannot be used: The minute field '61' has 61, which is above 59: use 0 to 59."],
    ),
    "it was skipped": (
        known(runs=(run(Status.SKIPPED, reason=Reason.OVERLAP, error="An earlier run goes on."),)),
        [DUE,
         "The latest occurrence, due at 2026-11-24 11:00:00+00:00, was skipped (overlap): An earlier run goes on."],
    ),
    "it fails and fails": (
        known(
            summary=Summary(failures_in_a_row=4),
            runs=(run(Status.FAILED, reason=Reason.SANDBOX_UNAVAILABLE, error="No user namespaces."),),
        ),
        [DUE, "Its last 4 runs failed.",
         "The latest occurrence, due at 2026-11-24 11:00:00+00:00, failed (sandbox_unavailable): No user namespaces. "
         "The owner has to act before it can work."],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_why(name: str) -> None:
    what, said = TABLE[name]
    assert reasons_of(what) == said


def test_the_next_times_are_those_of_the_job() -> None:
    assert next_times(known(), 2) == [NOON + HOUR, NOON + 2 * HOUR]
    assert next_times(known(job=job(until=NOON + HOUR))) == [NOON + HOUR]
    assert next_times(known(job=job(enabled=False))) == []
