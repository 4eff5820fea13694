"""Which instants a job owes, and which of them are still worth running: pure functions of schedule, policy and now.

A supervisor that slept, was down or was suspended finds several occurrences behind it at once. `owed` settles what
becomes of each, so that an outage ends in one late run by default and never in a burst.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import TYPE_CHECKING

from supervisor.timing.schedule import Schedule, ScheduleError, parse
from supervisor.timing.timed import Timed
from supervisor.vocabulary import NEVER, CatchUp

if TYPE_CHECKING:
    from supervisor.models import CronJob

ON_TIME = timedelta(seconds=60)
"""An occurrence found no later than this is simply due, not missed: one slow second must not cost a run."""
LEAST_GRACE = timedelta(seconds=10)
"""A shorter grace counts as this: whether a job runs must not hang on how busy the host is that second."""
MIN_GRACE = timedelta(minutes=5)
MAX_GRACE = timedelta(hours=24)
MAX_CATCH_UP = 24
"""How many occurrences `catch_up = all` runs at most, the newest."""
MAX_WALK = 5_000
"""How many occurrences are looked at one by one before the walk leaps ahead: at 30 µs each the loop is held 0.2 s."""


@dataclass(frozen=True, slots=True)
class Owed:
    """What a look at the clock found for one job, oldest first. The missed ones are older than the others."""

    due: tuple[datetime, ...] = ()
    """On time: run as scheduled."""
    late: tuple[datetime, ...] = ()
    """Within their grace and wanted by the catch-up policy."""
    missed: int = 0
    """How many of the others there are; they are accounted for and never run."""
    missed_first: datetime = NEVER
    missed_last: datetime = NEVER
    following: datetime | None = None
    """The first that is still to come; None: none is."""


def schedule_of(job: Timed) -> Schedule | None:
    """The parsed expression; None for a one-shot."""
    return parse(job.cron_expr, timezone=job.timezone, dst=job.dst) if job.cron_expr else None


def next_occurrence(job: Timed, after: datetime, runs_so_far: int = 0) -> datetime | None:
    """The first instant after `after` at which the job is due within its life, in UTC. None: never again."""
    if job.max_runs is not None and runs_so_far >= job.max_runs:
        return None
    try:
        if job.start is not None:
            after = max(after, job.start - timedelta(microseconds=1))
        found = _next(job, after)
        if found is None or (job.until is not None and found > job.until):
            return None
        return found if found.tzinfo is UTC else found.astimezone(UTC)
    except OverflowError as error:  # a file that somebody changed by hand
        raise _beyond(job) from error


def _beyond(job: Timed) -> ScheduleError:
    return ScheduleError(
        f"The job {job.id} has an instant (at, start, or one that it is due at) beyond the years 1 to 9999: "
        "give others, years within."
    )


def _next(job: Timed, after: datetime) -> datetime | None:
    if job.at is not None:
        return job.at if job.at > after else None
    schedule = schedule_of(job)
    if schedule is None:
        return None
    if schedule.every is not None:
        return schedule.next_on_grid(job.created_at if job.anchor == NEVER else job.anchor, after)
    return schedule.next(after)


def jitter(job: Timed, occurrence: datetime) -> timedelta:
    """How long after `occurrence` the job starts: the same for the same job and instant, on every host, for ever.

    It ends before the next occurrence, so that occurrences start in their order.
    """
    if not job.jitter_secs:
        return timedelta(0)
    following = _next(job, occurrence)
    widest = timedelta(seconds=job.jitter_secs)
    span = widest if following is None else min(widest, following - occurrence)
    digest = hashlib.sha256(f"{job.id} {occurrence.isoformat()}".encode()).digest()
    return timedelta(milliseconds=int.from_bytes(digest[:8], "big") % (span // timedelta(milliseconds=1)))


def starts(job: Timed, occurrence: datetime) -> datetime:
    """When this occurrence is to start: its jitter is over. Raises ScheduleError where no calendar has that."""
    try:
        return occurrence + jitter(job, occurrence)
    except OverflowError as error:
        raise _beyond(job) from error


def grace(job: CronJob, occurrence: datetime) -> timedelta:
    """How late this occurrence may still start: as the job says, else one period between 5 minutes and a day."""
    if job.grace_secs is not None:
        return max(timedelta(seconds=job.grace_secs), LEAST_GRACE)
    following = _next(job, occurrence)
    period = MAX_GRACE if following is None else following - occurrence
    return min(max(period, MIN_GRACE), MAX_GRACE)


def last_start(job: CronJob, occurrence: datetime) -> datetime:
    """The instant after which this occurrence is not started any more; its jitter is no delay."""
    try:
        return starts(job, occurrence) + grace(job, occurrence)
    except OverflowError as error:
        raise _beyond(job) from error


def owed(job: CronJob, first: datetime, now: datetime, runs_so_far: int = 0) -> Owed:
    """Settle the occurrences from `first` (not settled yet) up to `now`, each when its jitter is over."""
    left = None if job.max_runs is None else job.max_runs - runs_so_far
    if left is not None and left <= 0:  # its life ended before they came due
        return Owed()
    found = _walk(job, first, now)
    row = _wanted(job, found.newest, now)
    late = [at for at in row[:left] if _lateness(job, at, now) > ON_TIME]
    due = row[len(late) : left]
    missed = found.count - len(row)
    if not missed:
        return Owed(tuple(due), tuple(late), following=found.following)
    last = found.newest[-len(row) - 1] if len(row) < len(found.newest) else found.left_out
    return Owed(tuple(due), tuple(late), missed, first, last, found.following)


def _wanted(job: CronJob, newest: deque[datetime], now: datetime) -> list[datetime]:
    """Those still to be run: an unbroken row up to the newest, so that all before the first of them is settled."""

    def still(at: datetime) -> bool:
        late = _lateness(job, at, now)
        if late <= ON_TIME and job.grace_secs is None:  # whatever its grace is, and that costs a search
            return True
        return late <= grace(job, at) and (late <= ON_TIME or job.catch_up is not CatchUp.SKIP)

    row = list(takewhile(still, reversed(newest)))
    return row[::-1] if job.catch_up is CatchUp.ALL else row[:1]


def _lateness(job: CronJob, occurrence: datetime, now: datetime) -> timedelta:
    return now - occurrence - jitter(job, occurrence)


@dataclass(slots=True)
class _Found:
    """What a walk passed: the newest occurrences, how many there were (at least, where it had to leap)."""

    newest: deque[datetime]
    following: datetime | None = None
    count: int = 0
    left_out: datetime = NEVER
    """The last one that is not among the newest."""

    def add(self, occurrence: datetime) -> None:
        if len(self.newest) == self.newest.maxlen:
            self.left_out = self.newest[0]
        self.newest.append(occurrence)
        self.count += 1


def _walk(job: CronJob, first: datetime, now: datetime) -> _Found:
    found = _Found(deque(maxlen=MAX_CATCH_UP), following=first)
    for leap in range(3):
        for _ in range(MAX_WALK):
            occurrence = found.following
            if occurrence is None or starts(job, occurrence) > now:
                return found
            found.add(occurrence)
            found.following = next_occurrence(job, occurrence)
        start = now - (grace(job, first), ON_TIME, timedelta(0))[leap]
        if found.following is not None and found.following < start:
            found.following = next_occurrence(job, start)
    return found
