"""Which instants a job owes, and which of them are still worth running: pure functions of schedule, policy and now.

A supervisor that slept, was down or was suspended finds several occurrences behind it at once. `owed` settles what
becomes of each, so that an outage ends in one late run by default and never in a burst.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from supervisor.models import NEVER, CatchUp, CronJob
from supervisor.schedule import Schedule, parse

ON_TIME = timedelta(seconds=60)
"""An occurrence found no later than this is simply due, not missed: one slow second must not cost a run."""
MIN_GRACE = timedelta(minutes=5)
MAX_GRACE = timedelta(hours=24)
MAX_CATCH_UP = 24
"""How many occurrences `catch_up = all` runs at most, the newest."""
MAX_WALK = 5_000
"""How many occurrences are looked at one by one before the walk leaps ahead: at 30 µs each the loop is held 0.2 s."""


@dataclass(frozen=True, slots=True)
class Owed:
    """What a look at the clock found for one job, oldest first."""

    due: tuple[datetime, ...] = ()
    """On time: run as scheduled."""
    late: tuple[datetime, ...] = ()
    """Within their grace and wanted by the catch-up policy."""
    missed: int = 0
    """How many of the others there are; they are accounted for and never run."""
    missed_first: datetime = NEVER
    missed_last: datetime = NEVER


def schedule_of(job: CronJob) -> Schedule | None:
    """The parsed expression; None for a one-shot."""
    return parse(job.cron_expr, timezone=job.timezone, dst=job.dst) if job.cron_expr else None


def next_occurrence(job: CronJob, after: datetime, runs_so_far: int = 0) -> datetime | None:
    """The first instant after `after` at which the job is due within its life, in UTC. None: never again."""
    if job.max_runs is not None and runs_so_far >= job.max_runs:
        return None
    if job.start is not None:
        after = max(after, job.start - timedelta(microseconds=1))
    found = _next(job, after)
    if found is None or (job.until is not None and found > job.until):
        return None
    return found.astimezone(UTC)


def _next(job: CronJob, after: datetime) -> datetime | None:
    if job.at is not None:
        return job.at if job.at > after else None
    schedule = schedule_of(job)
    if schedule is None:
        return None
    if schedule.every is not None:
        return schedule.next_on_grid(job.created_at, after)
    return schedule.next(after)


def jitter(job: CronJob, occurrence: datetime) -> timedelta:
    """How long after `occurrence` the job starts: the same for the same job and instant, on every host, for ever."""
    if not job.jitter_secs:
        return timedelta(0)
    digest = hashlib.sha256(f"{job.id} {occurrence.isoformat()}".encode()).digest()
    return timedelta(seconds=int.from_bytes(digest[:8], "big") % (job.jitter_secs * 1000) / 1000)


def grace(job: CronJob, occurrence: datetime) -> timedelta:
    """How late this occurrence may still start: as the job says, else one period between 5 minutes and a day."""
    if job.grace_secs is not None:
        return timedelta(seconds=job.grace_secs)
    following = next_occurrence(job, occurrence)
    period = MAX_GRACE if following is None else following - occurrence
    return min(max(period, MIN_GRACE), MAX_GRACE)


def owed(job: CronJob, first: datetime, now: datetime, runs_so_far: int = 0) -> Owed:
    """Settle the occurrences from `first` (due, not claimed yet) up to `now`."""
    newest, count = _walk(job, first, now, runs_so_far)
    wanted = [at for at in newest if now - at <= ON_TIME or _still_wanted(job, at, now)]
    if job.catch_up is not CatchUp.ALL:
        wanted = wanted[-1:]
    due = tuple(at for at in wanted if now - at - jitter(job, at) <= ON_TIME)
    late = tuple(at for at in wanted if at not in due)
    missed = count - len(wanted)
    if not missed:
        return Owed(due, late)
    last = max((at for at in newest if at not in wanted), default=first)
    return Owed(due, late, missed, first if first not in wanted else last, last)


def _walk(job: CronJob, first: datetime, now: datetime, runs_so_far: int) -> tuple[deque[datetime], int]:
    """The newest occurrences up to `now` and how many there were (at least, where the walk had to leap)."""
    newest: deque[datetime] = deque(maxlen=MAX_CATCH_UP)
    count = 0
    occurrence: datetime | None = first
    for leap in (now - grace(job, first), now - ON_TIME, now):
        for _ in range(MAX_WALK):
            if occurrence is None or occurrence > now:
                return newest, count
            newest.append(occurrence)
            count += 1
            occurrence = next_occurrence(job, occurrence, runs_so_far + count)
        if occurrence is not None and occurrence < leap:
            occurrence = next_occurrence(job, leap, runs_so_far + count)
    return newest, count


def _still_wanted(job: CronJob, occurrence: datetime, now: datetime) -> bool:
    return job.catch_up is not CatchUp.SKIP and now - occurrence <= grace(job, occurrence)
