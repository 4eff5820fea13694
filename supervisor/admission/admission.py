"""Whether a due occurrence starts, waits or is skipped: a pure function of its job and what else there is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.reasons import Reason
from supervisor.admission.exclusion import InTheWay
from supervisor.budgets.budget import Over
from supervisor.models import CronJob, CronRun, Overlap


@dataclass(frozen=True, slots=True)
class Load:
    """What already runs. Caps count attempts that live, not runs that wait out a back-off."""

    running: int
    cap: int
    running_of_type: int
    cap_of_type: int | None
    same_job: tuple[CronRun, ...]
    """Runs of the same job that are not over."""
    same_job_waiting: int
    """Occurrences of the same job before this one in the queue."""
    host_busy: str = ""
    """Why the host has no room for one more run; empty where it has."""
    in_the_way: InTheWay | None = None
    """A run that could write in the same place, or renew the same login."""
    quota_back: datetime | None = None
    """When the quota of its agent is back; None: it is not known to be used up."""
    over: Over | None = None
    """Why it does not fit into a budget; None: it does."""
    latest: datetime | None = None
    """The instant after which this occurrence is not started any more; None: never too late, or not looked up."""
    gate: int | None = None
    """How many attempts may be starting at once, where as many are; None: fewer are."""
    catching_up: bool = False
    """Whether it is one of several that are made up for."""


@dataclass(frozen=True, slots=True)
class Start:
    """There is a slot for it."""


@dataclass(frozen=True, slots=True)
class Wait:
    """It keeps its place in the queue; `why` is shown to people. `skipped_as`: what it is if it waits for too long."""

    why: str
    skipped_as: Reason = Reason.EXPIRED
    told: bool = False
    """Whether `why` is to be told as well where it was skipped for that."""


@dataclass(frozen=True, slots=True)
class Skip:
    """It will not run; stored with this reason."""

    reason: Reason
    why: str


@dataclass(frozen=True, slots=True)
class Replace:
    """These runs end first; then it is asked again."""

    runs: tuple[CronRun, ...]


Verdict = Start | Wait | Skip | Replace


def admit(job: CronJob, load: Load, expired: bool = False, waited: Wait | None = None) -> Verdict:
    """Decide about one occurrence. Asked again at every change until it is neither waiting nor replacing.

    `waited`: the verdict before this one, if it had to wait.
    """
    if expired:
        reason = Reason.EXPIRED if waited is None else waited.skipped_as
        last = f": {waited.why}" if waited is not None and (waited.told or reason is not Reason.EXPIRED) else ""
        return Skip(reason, f"It waited for longer than its grace{last}.")
    if load.over is not None and not load.over.held:
        return Skip(Reason.BUDGET_EXCEEDED, load.over.why)
    if load.same_job or load.same_job_waiting:
        in_turn = load.catching_up and job.overlap is not Overlap.ALLOW
        verdict = _in_turn(load) if in_turn else _overlapping(job.overlap, load)
        if isinstance(verdict, Replace) and load.over is not None:
            return _held(load.over)  # what it would end may leave nothing to start with
        if verdict is not None:
            return verdict
    if load.in_the_way is not None:
        return Wait(load.in_the_way.why, told=True)
    if load.over is not None:
        return _held(load.over)
    if load.quota_back is not None:
        return _resting(job, load.quota_back, load.latest)
    if load.running >= load.cap:
        return Wait(f"{load.running} of {load.cap} runs are going on")
    if load.cap_of_type is not None and load.running_of_type >= load.cap_of_type:
        return Wait(f"{load.running_of_type} of {load.cap_of_type} {job.type.value} runs are going on")
    if load.gate is not None:  # in words that stay true: it is not asked again while it stands in a herd
        return Wait(f"its turn comes: at most {load.cap} runs go on at once, and {load.gate} of them start")
    return Wait(load.host_busy, Reason.HOST_BUSY) if load.host_busy else Start()


def _overlapping(overlap: Overlap, load: Load) -> Verdict | None:
    """What an earlier run of the same job means for this one. None: nothing."""
    if overlap is Overlap.ALLOW:
        return None
    earlier = load.same_job[0].id if load.same_job else "an earlier one in the queue"
    if overlap is Overlap.SKIP:
        return Skip(Reason.OVERLAP, f"An earlier run of the job was not over ({earlier}).")
    if load.same_job_waiting:
        return Skip(Reason.OVERLAP, "One occurrence of the job was waiting already.")
    if overlap is Overlap.REPLACE:
        return Replace(load.same_job)
    return Wait(f"an earlier run of the job is not over ({earlier})")


def _in_turn(load: Load) -> Verdict:
    """What is made up for runs one after the other: a row of late ones is no overlap, and none replaces another."""
    earlier = load.same_job[0].id if load.same_job else "an earlier one in the queue"
    return Wait(f"it is made up for after an earlier run of the job ({earlier})")


def _held(over: Over) -> Wait:
    return Wait(over.why, Reason.BUDGET_EXCEEDED, told=True)


def _resting(job: CronJob, back: datetime, latest: datetime | None) -> Verdict:
    """While the quota of its agent is used up: what cannot wait for it is told so at once."""
    why = f"the quota of {job.agent} is used up until {back.isoformat(timespec='seconds')}"
    if latest is not None and back > latest:
        return Skip(Reason.QUOTA_WAIT, f"Its grace is over at {latest.isoformat(timespec='seconds')}, and {why}.")
    return Wait(why, Reason.QUOTA_WAIT)
