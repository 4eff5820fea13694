"""What an attempt's end means for its run: another attempt after a back-off, or the end. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from shared.findings import Branch, Traffic, Usage
from shared.messages import ExecuteResult
from shared.reasons import Reason
from supervisor.budgets import charge
from supervisor.models import SECOND, CronJob, CronRun, OutputFormat
from supervisor.status import ALLOWED, Status, final_status

MAX_BACKOFF_SECONDS = 3600.0
"""No run waits longer for its next attempt, whoever asks for it."""
_NOT_ANSWERED = (Reason.RATE_LIMITED, Reason.PROVIDER_ERROR)
TOLD = {
    Reason.CANCELED_BY_USER: "It was canceled.",
    Reason.JOB_REMOVED: "Its job was removed.",
    Reason.JOB_DISABLED: "Its job was paused.",
    Reason.REPLACED: "A later occurrence replaced it.",
    Reason.SUPERVISOR_STOPPED: "The supervisor was stopped before it was over.",
}
"""Why a run may be told to end, in words."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Another attempt, after so many seconds."""

    delay: float
    repair: bool = False
    """Whether it only asks the agent to put its answer right: that is no retry, and the task is not done again."""


@dataclass(frozen=True, slots=True)
class End:
    """The run is over."""

    status: Status
    reason: Reason
    error: str


def after(run: CronRun, job: CronJob, result: ExecuteResult, seconds_left: float) -> Retry | End:
    """`run` is running or stopping; the attempt's tree is gone. `seconds_left` of the run's wall time."""
    if run.status is Status.STOPPING:
        return ended(run, result)
    if run.repair_of:
        return after_repair(run, job, result, seconds_left)
    if can_be_put_right(run, job, result) and seconds_left > 0 and charge.used_up(run) is None:
        return Retry(0.0, repair=True)
    return again(run, job, result, seconds_left)


def after_repair(run: CronRun, job: CronJob, result: ExecuteResult, seconds_left: float) -> Retry | End:
    """Of an attempt that only asked to put the answer right. It is asked once: only where its provider did not answer
    is it worth a retry, which counts as any."""
    if result.reason is Reason.INVALID_OUTPUT:
        return because(ended(run, result), "It had been asked once to put its answer right.")
    return again(run, job, result, seconds_left) if result.reason in _NOT_ANSWERED else ended(run, result)


def not_put_right(run: CronRun, end: End) -> End:
    """This end; of a run that was to put its answer right with what was wrong with that. That is why it failed, too,
    unless the owner has to act before anything can work."""
    if not run.repair_of or end.status is not Status.FAILED or end.reason is Reason.INVALID_OUTPUT:
        return end
    told = f"{run.error} It was asked to put its answer right, and that failed ({end.reason.value}). {end.error}"
    reason = end.reason if end.reason.owner_acts else Reason.INVALID_OUTPUT
    return End(end.status, reason, told.strip())


def again(run: CronRun, job: CronJob, result: ExecuteResult, seconds_left: float) -> Retry | End:
    """A retry, where one may help and is left."""
    if not result.reason.retry_helps or run.retry_count >= job.retries:
        return ended(run, result)
    if (used_up := charge.used_up(run)) is not None:
        return because(ended(run, result), used_up)
    if result.tool_called and not job.repeatable:
        return because(ended(run, result), "It had called a tool and is not tried again: its job is not repeatable.")
    own, asked = backoff(job, run.retry_count), asked_to_wait(result)
    delay = max(own, asked)
    if delay < seconds_left and asked <= MAX_BACKOFF_SECONDS:
        return Retry(delay)
    if asked > own:
        return because(ended(run, result), f"Its provider asks to wait for {asked:.0f} s, longer than the run may.")
    return ended(run, result)


def can_be_put_right(run: CronRun, job: CronJob, result: ExecuteResult) -> bool:
    """Whether an agent can be asked to restate its answer, which has been done: once a run, and where there is one.

    Never a plain command: nobody knows that it would not do again whatever it does.
    """
    if result.reason is not Reason.INVALID_OUTPUT or run.repair_of or not result.answer_bytes:
        return False
    return job.output_format is not OutputFormat.TEXT and job.agent != "command"


def asked_to_wait(result: ExecuteResult) -> float:
    """For how many seconds the provider wants to be left alone; 0 where it said nothing that can be meant."""
    seconds = result.retry_after_seconds
    return seconds if seconds is not None and math.isfinite(seconds) and seconds > 0 else 0.0


def because(end: End, why: str) -> End:
    """This end, with one more sentence about it."""
    return replace(end, error=f"{end.error} {why}".strip())


def ended(run: CronRun, result: ExecuteResult) -> End:
    """The end that its last attempt's result means for a run."""
    if run.status is Status.STOPPING:
        return stopped(run)
    status = final_status(result.reason)
    if result.reason is Reason.BUDGET_EXCEEDED:  # its own, in the middle of what it did: that is no skip
        status = Status.FAILED
    if status not in ALLOWED[run.status]:  # a runner that says "canceled" though nobody asked it to stop
        end = End(Status.FAILED, Reason.RUNNER_BROKE, f"The runner reported {result.reason.value} unasked.")
        return not_put_right(run, end)
    end = not_put_right(run, End(status, result.reason, "" if status is Status.COMPLETED else result.error))
    return because(end, _repair(run)) if result.reason is Reason.AUTH_FAILED and run.agent else end


def _repair(run: CronRun) -> str:
    return f"Log in, and grant it to the job if it is not yet (--login): cronward login {run.agent}"


def stopped(run: CronRun) -> End:
    """The end of a run that was told to stop, whatever its agent still did."""
    assert run.stop_reason is not None  # set by whoever told it
    return End(final_status(run.stop_reason), run.stop_reason, TOLD[run.stop_reason])


def backoff(job: CronJob, retries_so_far: int) -> float:
    """Seconds before the next attempt: the job's delay, doubled with each retry, at most an hour."""
    return float(min(job.retry_delay / SECOND * 2**retries_so_far, MAX_BACKOFF_SECONDS))


def with_result(run: CronRun, result: ExecuteResult) -> CronRun:
    """The run with what its newest attempt showed; use adds up over attempts, the answer is the newest. One that was to
    put the answer right, and gave none, takes neither that answer nor what is wrong with it away."""
    lost = bool(run.repair_of) and not result.answer_bytes
    return run.noted(
        response=run.response if lost else result.response,
        answer_bytes=run.answer_bytes if lost else result.answer_bytes,
        exit_code=result.exit_code,
        signal=result.signal,
        usage=_sum(run.usage, result.usage),
        traffic=_traffic(run.traffic, result.traffic),
        branch=_branch(run.branch, result.branch),
        deeds=result.deeds or run.deeds,
        gate=result.gate or run.gate,
        check=result.check or run.check,
        session=result.session or run.session,
        layers=result.layers or run.layers,
        left_behind=run.left_behind + result.left_behind,
        planted=result.planted or run.planted,
        error=run.error if run.repair_of else result.error,
        **charge.told(run, result),
    )


def _sum(before: Usage | None, now: Usage | None) -> Usage | None:
    if before is None or now is None:
        return now or before
    return replace(
        now,
        wall_seconds=before.wall_seconds + now.wall_seconds,
        cpu_seconds=before.cpu_seconds + now.cpu_seconds,
        peak_rss_bytes=max(before.peak_rss_bytes, now.peak_rss_bytes),
        output_bytes=before.output_bytes + now.output_bytes,
        peak_memory_bytes=max(before.peak_memory_bytes, now.peak_memory_bytes),
        processes_peak=max(before.processes_peak, now.processes_peak),
        peak_disk_bytes=max(before.peak_disk_bytes, now.peak_disk_bytes),
    )


def _branch(before: Branch | None, now: Branch | None) -> Branch | None:
    """A later attempt that offers nothing does not make an earlier one's branch disappear."""
    return before if now is None or (before is not None and before.name and not now.name) else now


def _traffic(before: Traffic | None, now: Traffic | None) -> Traffic | None:
    if before is None or now is None:
        return now or before
    return Traffic(
        connections=before.connections + now.connections,
        denied=before.denied + now.denied,
        bytes_up=before.bytes_up + now.bytes_up,
        bytes_down=before.bytes_down + now.bytes_down,
    )
