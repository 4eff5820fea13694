"""What needs the owner, and the command that repairs it or shows more. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.reasons import Reason
from supervisor.admission.failing import is_pause_reason
from supervisor.definitions.sizes import format_size
from supervisor.models import CronJob, CronRun
from supervisor.notifications.deliveries import Letter
from supervisor.status import Status
from supervisor.stores.recent import Recent

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHORT_ID = 8
_BY_HAND = ("command", "local")
"""Agents that have no provider to log in with."""


@dataclass(frozen=True, slots=True)
class Need:
    """`words`: what a sentence about the job goes on with. `command`: a line for a shell."""

    job_id: str
    job: str
    run_id: str
    words: str
    command: str
    pressing: bool = True
    """Whether nothing of it gets better by itself."""


def of_job(job: CronJob, recent: Recent, since: datetime) -> Iterator[Need]:
    """What one job needs, by how it stands now."""
    newest = recent.newest_ended
    if not job.enabled:
        if is_pause_reason(job.pause_reason):
            words = f"is paused: {job.pause_reason} Let it be due again when the cause is gone."
            yield Need(job.id, job.label, newest.id if newest else "", words, _command("resume", named(job)))
        return
    latest = recent.runs[0] if recent.runs else None
    if latest is not None and latest.status is Status.SKIPPED and latest.reason is Reason.BUDGET_EXCEEDED:
        yield Need(job.id, job.label, latest.id, f"is skipped: {latest.error}", _command("why", named(job)))
    if newest is not None:
        yield from _of_end(job, newest, since)


def _of_end(job: CronJob, run: CronRun, since: datetime) -> Iterator[Need]:
    """How its latest run ended. What passes by itself is told of what is new only."""
    new = run.finished_at >= since
    acts = run.reason is not None and run.reason.owner_acts
    if run.status is Status.FAILED and (new or acts):
        reason = run.reason.value if run.reason else "failed"
        words = f"failed ({reason}): {run.error}" if run.error else f"failed ({reason})."
        yield Need(job.id, job.label, run.id, words, repair(job, run), acts)
    if run.status is Status.UNKNOWN and new:
        words = "ended unknown, and is not run again by itself. See what it did, then decide."
        yield Need(job.id, job.label, run.id, words, _command("logs", run.id))


def of_leavings(run: CronRun) -> Iterator[Need]:
    """Files that it left and that tools outside would execute."""
    if run.planted is not None and run.planted.count:
        count = run.planted.count
        words = f"left {count} file{'s' * (count != 1)} that your tools would run or obey. Look before you do."
        yield Need(run.job_id, run.job_name or run.job_id, run.id, words, _command("logs", run.id))


def of_untold(letters: Sequence[Letter]) -> Iterator[Need]:
    """What was to be told and was given up."""
    lost = [(letter, each) for letter in letters for each in letter.deliveries if each.lost]
    if not lost:
        return
    letter, last = max(lost, key=lambda found: found[1].settled_at)
    count, why = len(lost), f" The last one: {last.error}" if last.error else ""
    words = f"{count} notification{'s were' if count != 1 else ' was'} given up.{why}"
    yield Need("", "", letter.run_id, words, _command("outbox", "list"), pressing=False)


def repair(job: CronJob, run: CronRun) -> str:
    """The command for a run that failed like this: what repairs it, else what shows more."""
    name = named(job)
    match run.reason:
        case Reason.AUTH_FAILED:
            return _login(job, run)
        case Reason.NETWORK_DENIED:
            return _command("logs", "--network", run.id)
        case Reason.SANDBOX_UNAVAILABLE | Reason.BAD_DEFINITION:
            return _command("doctor", name)
        case Reason.BUDGET_EXCEEDED:
            return _command("why", name)
        case Reason.OUT_OF_MEMORY if job.limits.memory is not None:
            return _command("edit", name, "--memory", format_size(2 * job.limits.memory))
        case Reason.TIMEOUT_WALL:
            return _command("edit", name, "--timeout", f"{2 * job.timeout_seconds}s")
        case _:
            return _command("logs", run.id)


def named(job: CronJob) -> str:
    """What means this job on a command line: its name where that is a plain word, else its id."""
    return job.name if _PLAIN.fullmatch(job.name) else job.id


def _login(job: CronJob, run: CronRun) -> str:
    if not job.login and job.secrets:
        return _command("secret", "set", job.secrets[0].partition("=")[0])
    agent = run.agent or job.agent
    return _command("logs", run.id) if agent in _BY_HAND else _command("login", agent)


def _command(*words: str) -> str:
    short = [word[:_SHORT_ID] if len(word) == 36 and word.count("-") == 4 else word for word in words]
    return shlex.join(["cronward", *short])
