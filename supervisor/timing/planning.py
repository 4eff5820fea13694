"""The whole agenda made from what is known of the jobs: at a start, and where the clock was set back by far."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Set
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from supervisor.definitions import edits
from supervisor.errors import CronwardError, StoreError
from supervisor.timing.settled import AHEAD

if TYPE_CHECKING:
    from supervisor.scheduler import Scheduler
    from supervisor.stores.jobindex import Known


def plan_all(core: Scheduler, now: datetime) -> bool:
    """Plan every enabled job, counting from what was claimed last. Whether all of it could be stored."""
    with _uncollected():
        return _plan_all(core, now)


def _plan_all(core: Scheduler, now: datetime) -> bool:
    try:
        jobs = sorted(core.jobs.known(), key=_schedule)
    except StoreError as error:  # a definition of a later version, put there by hand
        core.note_unstored("", error)
        return False
    ran, stored = _with_history(core), True
    for job in jobs:
        try:
            current = edits.redate(core, job.id, now) if job.changed_at > now + AHEAD else job
        except StoreError as error:
            core.note_unstored(job.id, error)
            current, stored = job, False
        except CronwardError as error:  # a file that somebody changed by hand; asked again, it would be the same
            core.live.log.unscheduled(job.id, error)
            current = job
        if current is not None:
            core.plan(current, now, ran=ran is None or job.id in ran)
    return stored


def _schedule(job: Known) -> tuple[str, str, datetime]:
    """What is alike comes together, and is worked out once, however many different schedules there are."""
    return job.cron_expr, job.timezone or "", job.changed_at


def _with_history(core: Scheduler) -> Set[str] | None:
    """The jobs that have one: to look for each of the others' costs more than to plan it. None: any may."""
    try:
        return frozenset(core.runs.job_ids())
    except StoreError:
        return None


@contextmanager
def _uncollected() -> Iterator[None]:
    """All that is made is kept, and looking through it again and again for cycles takes as long as to make it."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
