"""What people change about jobs, and what that does to the agenda, to the queue and to live runs.

Each first stores the definition, then follows it: a change that cannot be stored has not happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from shared.reasons import Reason
from supervisor.admission import failing
from supervisor.errors import CronwardError, StoreError
from supervisor.logs.logline import about
from supervisor.models import CronJob
from supervisor.status import Status
from supervisor.timing.clock import Moment

if TYPE_CHECKING:
    from supervisor.scheduler import Scheduler


def add(core: Scheduler, job: CronJob, now: Moment) -> CronJob:
    """Store a checked definition and schedule it."""
    added = core.jobs.add(job)
    core.plan(added, now.wall)
    return added


def edit(core: Scheduler, job: CronJob, now: Moment) -> CronJob:
    """Replace a definition by a checked one. What waits follows it; live runs keep what they started with."""
    edited = core.jobs.update(job)
    for waiting in core.waiting:
        if waiting.job.id == job.id:
            waiting.job = edited
    core.plan(edited, now.wall)
    return edited


def pause(core: Scheduler, job: CronJob, now: Moment, reason: str = "", cancel: bool = False) -> CronJob:
    """No more occurrences; one in the queue is canceled. A live run goes on, unless `cancel`.

    Paused already: nothing changes but the reason, where one is given.
    """
    paused = job.model_copy(update={"enabled": False, "pause_reason": reason or job.pause_reason})
    if paused != job:
        core.jobs.update(paused)
    if job.enabled:
        core.agenda.drop(job.id)
        core.cancel_waiting(job.id, Reason.JOB_DISABLED, now)
    if cancel:
        _stop_live(core, job, Reason.JOB_DISABLED, now)
    return paused


def resume(core: Scheduler, job: CronJob, now: Moment) -> CronJob:
    """Owed again from now on; what fell due while it was paused is not. Enabled already: nothing changes."""
    if job.enabled:
        return job
    resumed = job.model_copy(update={"enabled": True, "pause_reason": "", "changed_at": now.wall})
    core.jobs.update(resumed)
    core.plan(resumed, now.wall)
    return resumed


def redate(core: Scheduler, job_id: str, now: datetime) -> CronJob | None:
    """Owed from now on: its last change was made while the clock was ahead, and would silence it until then."""
    job = core.jobs.get(job_id)
    return None if job is None else core.jobs.update(job.model_copy(update={"changed_at": now}))


def follow_hand(core: Scheduler, now: Moment) -> None:
    """What somebody changed in the files of definitions themselves takes effect once it was seen."""
    unread = set[str]()
    while core.jobs.changed_by_hand:
        job_id = core.jobs.changed_by_hand.pop()
        try:
            # Of a damaged file nothing is in memory; only the disk says whether its job is gone.
            job = core.jobs.timing(job_id) or core.jobs.get(job_id)
        except StoreError as error:  # the file may be damaged by now
            unread.add(job_id)
            core.note_unstored(job_id, error)
            continue
        core.agenda.drop(job_id)
        if job is not None and job.enabled:
            core.plan(job, now.wall)
        else:
            core.cancel_waiting(job_id, Reason.JOB_REMOVED if job is None else Reason.JOB_DISABLED, now)
    core.jobs.changed_by_hand |= unread


def remove(core: Scheduler, job: CronJob, now: Moment) -> CronJob:
    """Delete the definition, end its live runs; its history stays."""
    core.jobs.delete(job.id)
    _follow_removal(core, job, now)
    return job


def _follow_removal(core: Scheduler, job: CronJob, now: Moment) -> None:
    core.agenda.drop(job.id)
    core.cancel_waiting(job.id, Reason.JOB_REMOVED, now)
    _stop_live(core, job, Reason.JOB_REMOVED, now)


def follow(
    core: Scheduler,
    added: Sequence[CronJob],
    changed: Sequence[tuple[CronJob, CronJob]],
    removed: Sequence[CronJob],
    now: Moment,
) -> None:
    """Several changes that were stored together take effect as each by itself would."""
    after = {new.id: new for _, new in changed}
    for waiting in core.waiting:
        waiting.job = after.get(waiting.job.id, waiting.job)
    for before, job in changed:
        if before.enabled and not job.enabled:
            core.agenda.drop(job.id)
            core.cancel_waiting(job.id, Reason.JOB_DISABLED, now)
        else:
            core.plan(job, now.wall)
    for job in added:
        core.plan(job, now.wall)
    for job in removed:
        _follow_removal(core, job, now)


def pause_failing(core: Scheduler, now: Moment) -> None:
    """Pause each job in `core.failed` whose latest failure was one too many. What cannot be stored is tried again."""
    for job_id in sorted(core.failed):
        core.failed.discard(job_id)
        try:
            job = core.jobs.get(job_id)
            limit = 0 if job is None else core.config.failures_allowed(job.disable_after)
            if job is not None and job.enabled and limit and _has_failed(core, job, limit):
                reason = failing.pause_reason(limit)
                pause(core, job, now, reason)
                words, extra = "Job %s is paused: %s Resume it when the cause is gone.", about("job.paused", job=job_id)
                core.logger.error(words, job.label, reason, extra=extra)
        except StoreError as error:
            core.failed.add(job_id)
            core.note_unstored(job_id, error)
        except CronwardError as error:  # a file that somebody changed by hand; asked again, it would be the same
            core.logger.error("Job %s cannot be paused: %s", job_id, error, extra=about("note", job=job_id))


def _has_failed(core: Scheduler, job: CronJob, limit: int) -> bool:
    """Whether its last `limit` runs failed, all of them since it was added or resumed."""
    if core.runs.summary(job.id).failures_in_a_row < limit:
        return False
    recent = core.runs.get_runs(job.id, limit, Status.FAILED)
    return len(recent) == limit and all(run.finished_at > job.changed_at for run in recent)


def _stop_live(core: Scheduler, job: CronJob, reason: Reason, now: Moment) -> None:
    for live in core.live:
        if live.job.id == job.id:
            core.live.stop(live, reason, now)
