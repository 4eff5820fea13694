"""What a former supervisor left open is closed before anything new starts.

When a supervisor dies, its runners die (the kernel sees to it) and their cells with them. So a run found `running`
either left a result that its runner had synced before dying, or waited out a back-off, or cannot be proven finished.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

from shared.reasons import Reason
from supervisor import attempts
from supervisor.clock import Moment
from supervisor.host import Host
from supervisor.launcher import read_result
from supervisor.models import SECOND, CronRun, Status, final_status
from supervisor.runs import RunsStore
from supervisor.scheduler import Scheduler, Waiting

DIE_WITHIN = 5.0


def recover(scheduler: Scheduler, now: Moment, host: Host) -> list[str]:
    """Close, resume or queue again every run that is not over. Returns a sentence for each, for the log."""
    return [_recover(scheduler, run, now, host) for run in scheduler.runs.unfinished()]


def _recover(scheduler: Scheduler, run: CronRun, now: Moment, host: Host) -> str:
    job = scheduler.jobs.get(run.job_id)
    if run.status is Status.QUEUED and job is not None:
        scheduler.waiting.append(Waiting(job, run, "queued by a former supervisor", stored=True))
        return f"Run {run.id} is queued again."
    if run.status is Status.QUEUED:
        reason = Reason.JOB_REMOVED
        return _close(scheduler.runs, run.moved(Status.CANCELED, reason=reason, error=attempts.TOLD[reason]), now)
    if run.status is Status.RUNNING and run.retry_at is not None and job is not None:
        scheduler.live.resume(job, run, now)
        return f"Run {run.id} goes on with its back-off."
    if run.host == host.name:
        kill_runners(run.id)
    return _close(scheduler.runs, _ended(run), now)


def _ended(run: CronRun) -> CronRun:
    """By its synced result if there is one; told to end, it ended for that; else nobody knows."""
    result = read_result(Path(run.log_dir), run.id, run.attempt) if run.log_dir else None
    if result is None:
        words = "The supervisor died while it ran, and it cannot be proven finished; it is not run again by itself."
        return run.moved(Status.UNKNOWN, reason=Reason.SUPERVISOR_DIED, error=words)
    run = attempts.with_result(run, result)
    if run.status is Status.STOPPING:
        end = attempts.stopped(run)
        return run.moved(end.status, reason=end.reason, error=end.error)
    return run.moved(final_status(result.reason), reason=result.reason, error=result.error)


def _close(runs: RunsStore, run: CronRun, now: Moment) -> str:
    duration = run.usage.wall_seconds * SECOND if run.usage is not None else 0
    closed = run.noted(finished_at=now.wall, duration=round(duration), retry_at=None)
    runs.record(closed)
    return f"Run {closed.id} is closed: {closed.status.value}, {closed.reason.value if closed.reason else ''}."


def kill_runners(run_id: str) -> None:
    """End what still lives of this run's runners; their cells die with them.

    Found by the run's id in their argv, which is there from the first instant on, unlike any record of a pid.
    Programs inside cells may call themselves the same; they are left-overs too.
    """
    found = [process for process in psutil.process_iter() if _runs(process, run_id)]
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(found, timeout=DIE_WITHIN)


def _runs(process: psutil.Process, run_id: str) -> bool:
    try:
        argv = process.cmdline()
    except psutil.Error:
        return False
    return "cronward-run" in argv and run_id in argv
