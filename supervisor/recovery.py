"""What a former supervisor left open is closed before anything new starts.

When a supervisor dies, its runners die (the kernel sees to it) and their cells with them. So a run found `running`
either left a result that its runner had synced before dying, or waited out a back-off, or cannot be proven finished.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Set
from pathlib import Path

import psutil

from shared.reasons import Reason
from supervisor import attempts, leavings
from supervisor.clock import Moment
from supervisor.errors import InvalidError
from supervisor.host import Host
from supervisor.launcher import read_result
from supervisor.models import SECOND, CronJob, CronRun, Status, Trigger, final_status
from supervisor.occurrences import last_start
from supervisor.scheduler import Scheduler
from supervisor.waiting import Waiting

DIE_WITHIN = 5.0


def recover(scheduler: Scheduler, now: Moment) -> list[str]:
    """Close, resume or queue again every run that is not over. Returns a sentence for each, for the log.

    Their runners are dead already: see `kill_runners`.
    """
    left_open = sorted(scheduler.runs.unfinished(), key=lambda run: (run.queued_at, run.id))
    return [_recover(scheduler, run, now) for run in left_open]


def _recover(scheduler: Scheduler, run: CronRun, now: Moment) -> str:
    job = scheduler.jobs.get(run.job_id)
    if run.status is Status.QUEUED:
        return _requeue(scheduler, job, run, now)
    if run.retry_at is not None and run.status is Status.RUNNING and job is not None:
        scheduler.live.resume(job, run, now)
        return f"Run {run.id} goes on with its back-off."
    if run.retry_at is not None:  # its last attempt had ended and is accounted for
        return _close(scheduler, job, _stopped(run, Reason.JOB_REMOVED), now)
    return _close(scheduler, job, _ended(run), now)


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
    scheduler.waiting.put(Waiting(job, run, expires))
    return f"Run {run.id} is queued again."


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
        words = "The supervisor died while it ran, and it cannot be proven finished; it is not run again by itself."
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
    scheduler.runs.record(closed)
    if job is not None:
        scheduler.live.told_end(job, closed)
    return f"Run {closed.id} is closed: {closed.status.value}, {closed.reason.value if closed.reason else ''}."


def kill_runners(runs: Iterable[CronRun], host: Host) -> None:
    """End what still lives of these runs' runners on this host; their cells die with them.

    Found by the run's id in their argv, which is there from the first instant on, unlike any record of a pid.
    Programs inside cells may call themselves the same; they are left-overs too.
    """
    ids = {run.id for run in runs if run.status is not Status.QUEUED and run.host == host.name}
    found = [process for process in psutil.process_iter() if _runs(process, ids)] if ids else []
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found, timeout=DIE_WITHIN)


def clear_leavings(runs: Iterable[CronRun], host: Host) -> None:
    """Remove the private directories that these runs' runners could not, killed with a former supervisor."""
    for run in runs:
        if run.status is not Status.QUEUED and run.host == host.name:
            leavings.remove(run.id, run.attempt, leavings.of_this_user)


def _runs(process: psutil.Process, ids: Set[str]) -> bool:
    try:
        argv = process.cmdline()
    except psutil.Error:
        return False
    return "cronward-run" in argv and not ids.isdisjoint(argv)
