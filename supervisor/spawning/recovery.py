"""What a former supervisor left open is closed before anything new starts.

When a supervisor dies, its runners die (the kernel sees to it) and their cells with them. So a run found `running`
either left a result that its runner had synced before dying, or waited out a back-off, or cannot be proven finished.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Set
from datetime import timedelta
from pathlib import Path

import psutil

from shared.reasons import Reason
from supervisor.admission import attempts, waiver
from supervisor.admission.waiting import Waiting
from supervisor.errors import InvalidError, StoreError
from supervisor.models import SECOND, CronJob, CronRun, Trigger
from supervisor.scheduler import Scheduler
from supervisor.spawning import leavings
from supervisor.spawning.launcher import read_result
from supervisor.status import Status, final_status
from supervisor.stores.host import Host
from supervisor.timing.clock import Moment
from supervisor.timing.occurrences import last_start

DIE_WITHIN = 5.0
AGAIN_AFTER = 1.0
"""Seconds that the cell of a dead runner gets at least to be gone as well before the next attempt."""

_MET_A_QUOTA = (Reason.QUOTA_WAIT, Reason.INVALID_OUTPUT, Reason.SUPERVISOR_STOPPED)


def recover(scheduler: Scheduler, now: Moment, undead: Set[str] = frozenset()) -> list[str]:
    """Close, resume or queue again every run that is not over. Returns a sentence for each, for the log.

    One whose definition cannot be read just now stays as it is, in nobody's way: whether its job is gone, paused, or
    would have it tried again is not known. The next start asks again.

    Their runners are dead already, but for those of the runs in `undead`: see `kill_runners`.
    """
    # What one turn queued, such as all that was caught up on, was queued at one instant.
    left_open = sorted(scheduler.runs.unfinished(), key=lambda run: (run.queued_at, run.scheduled_at, run.id))
    _recall_quotas(scheduler, now)
    return [_recover(scheduler, run, now, run.id in undead) for run in left_open]


def _recover(scheduler: Scheduler, run: CronRun, now: Moment, undead: bool) -> str:
    try:
        job = scheduler.jobs.get(run.job_id)
    except StoreError as error:
        return f"Run {run.id} stays {run.status.value} until a supervisor starts that can read its job. {error}"
    if run.status is Status.QUEUED:
        return _requeue(scheduler, job, run, now)
    if run.retry_at is not None and run.status is Status.RUNNING and job is not None:
        scheduler.live.resume(job, _here(scheduler, run), now)
        return f"Run {run.id} goes on with its back-off."
    if run.retry_at is not None:  # its last attempt had ended and is accounted for
        return _close(scheduler, job, _stopped(run, Reason.JOB_REMOVED), now)
    ended = _ended(run)
    if ended.status is not Status.UNKNOWN or job is None:
        return _close(scheduler, job, ended, now)
    why = "Its runner cannot be killed." if undead else waiver.why_not(job, run, scheduler.host, now.wall)
    if why is None:
        return _try_again(scheduler, job, run, ended, now)
    return _close(scheduler, job, ended.noted(error=f"{ended.error} {why}"), now)


def _try_again(scheduler: Scheduler, job: CronJob, run: CronRun, ended: CronRun, now: Moment) -> str:
    """As after a failed attempt: what it used is accounted for, and from here on a back-off is waited out."""
    delay = timedelta(seconds=max(attempts.backoff(job, run.retry_count), AGAIN_AFTER))
    again = _here(scheduler, run).noted(
        usage=ended.usage, traffic=ended.traffic, error=waiver.AGAIN, retry_at=now.wall + delay
    )
    scheduler.runs.record(again)
    scheduler.live.resume(job, again, now)
    return f"Run {run.id} is tried again: rerun_unknown."


def _requeue(scheduler: Scheduler, job: CronJob | None, run: CronRun, now: Moment) -> str:
    reason = _unwanted(run, job)
    if job is None or reason is not None:
        why = reason or Reason.JOB_REMOVED
        told = {"reason": why, "stop_reason": why, "error": attempts.TOLD[why]}
        return _close(scheduler, job, run.moved(Status.CANCELED, **told), now)
    try:
        expires = None if run.trigger is Trigger.MANUAL else last_start(job, run.scheduled_at)
    except InvalidError as error:  # a definition that somebody changed by hand
        return _close(scheduler, job, run.moved(Status.FAILED, reason=Reason.BAD_DEFINITION, error=str(error)), now)
    scheduler.waiting.put(Waiting(job, _here(scheduler, run), expires))
    return f"Run {run.id} is queued again."


def _here(scheduler: Scheduler, run: CronRun) -> CronRun:
    """The run as this host's: its next claim says where its runner lives, wherever it was queued."""
    return run.noted(host=scheduler.host.name, boot_id=scheduler.host.boot_id)


def _unwanted(run: CronRun, job: CronJob | None) -> Reason | None:
    """Why a queued run is not to start: the job went while the run could not be told, or nobody kept time."""
    if job is None:
        return Reason.JOB_REMOVED
    if not job.enabled and run.trigger is not Trigger.MANUAL:  # by hand a paused job may be run
        return Reason.JOB_DISABLED
    return None


def _ended(run: CronRun) -> CronRun:
    """By its synced result if there is one; told to end, it ended for that; else nobody knows."""
    result = read_result(Path(run.log_dir), run.id, run.attempt) if run.log_dir else None
    if result is None:
        words = "The supervisor died while it ran, and it cannot be proven finished."
        return run.moved(Status.UNKNOWN, reason=Reason.SUPERVISOR_DIED, error=words)
    run = attempts.with_result(run, result)
    if final_status(result.reason) is Status.CANCELED:  # its runner was told, and a full disk kept that from us
        return _stopped(run, result.reason)
    end = attempts.ended(run, result)
    return run.moved(end.status, reason=end.reason, error=end.error)


def _stopped(run: CronRun, reason: Reason) -> CronRun:
    """The end of a run that was told to stop, for `reason` if no other stands in it."""
    if run.status is Status.RUNNING:
        run = run.moved(Status.STOPPING, stop_reason=reason)
    end = attempts.stopped(run)
    return run.moved(end.status, reason=end.reason, error=end.error)


def _close(scheduler: Scheduler, job: CronJob | None, run: CronRun, now: Moment) -> str:
    duration = run.usage.wall_seconds * SECOND if run.usage is not None else 0
    closed = run.noted(finished_at=now.wall, duration=round(duration), retry_at=None)
    if job is None:
        scheduler.runs.record(closed)
    else:
        closed = scheduler.live.record_end(job, closed)
        scheduler.live.told_end(job, closed)
    return f"Run {closed.id} is closed: {closed.status.value}, {closed.reason.value if closed.reason else ''}."


def _recall_quotas(scheduler: Scheduler, now: Moment) -> None:
    """Those that the latest run of a job met. Of runs that still wait for one, `resume` tells."""
    for job_id in scheduler.runs.job_ids():
        try:
            if not scheduler.jobs.has(job_id) or scheduler.runs.summary(job_id).last_reason not in _MET_A_QUOTA:
                continue
            latest = scheduler.runs.get_runs(job_id, last=3)
        except StoreError:  # said when it is planned
            continue
        for run in latest:
            if run.rest_until is not None and run.status.final:
                scheduler.live.quotas.spent(run.agent, run.rest_until, now, run.rest_until - run.finished_at)


def kill_runners(runs: Iterable[CronRun], host: Host) -> frozenset[str]:
    """End what still lives of these runs' runners on this host; their cells die with them. Returns the ids of runs of
    which something could not be ended.

    Found by the run's id in their argv, which is there from the first instant on, unlike any record of a pid.
    Programs inside cells may call themselves the same; they are left-overs too.
    """
    ids = {run.id for run in runs if run.status is not Status.QUEUED and run.host == host.name}
    found = [process for process in psutil.process_iter() if _runs(process, ids)] if ids else []
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
    _, alive = psutil.wait_procs(found, timeout=DIE_WITHIN)
    return frozenset(run_id for process in alive for run_id in _named(process, ids))


def clear_leavings(runs: Iterable[CronRun], host: Host) -> None:
    """Remove the private directories that these runs' runners could not, killed with a former supervisor."""
    for run in runs:
        if run.status is not Status.QUEUED and run.host == host.name:
            leavings.remove(run.id, run.attempt, leavings.of_this_user)


def _runs(process: psutil.Process, ids: Set[str]) -> bool:
    return bool(_named(process, ids))


def _named(process: psutil.Process, ids: Set[str]) -> Set[str]:
    try:
        argv = process.cmdline()
    except psutil.Error:
        return frozenset()
    return ids & set(argv) if "cronward-run" in argv else frozenset()
