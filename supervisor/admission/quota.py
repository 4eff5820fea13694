"""Agents whose provider says that their quota is used up, and until when: nothing of theirs is started before.

The key is the agent's name, since all jobs of an agent share its login. What is known here is in the records of runs
as well, so that a restart does not forget it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.messages import ExecuteResult
from shared.reasons import Reason
from supervisor.admission.attempts import asked_to_wait
from supervisor.budgets import charge
from supervisor.errors import InvalidError
from supervisor.models import CronJob, CronRun, Trigger
from supervisor.status import Status
from supervisor.timing.clock import Moment
from supervisor.timing.occurrences import MAX_GRACE, last_start

MAX_REST = timedelta(days=8)
"""Quotas are by the hour, the day or the week; a provider that says more is not believed."""


class Quotas:
    """Until when each agent rests, by the monotonic clock: a rest gets no longer by somebody's setting the other."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def spent(self, agent: str, back: datetime, now: Moment, longest: timedelta = MAX_REST) -> None:
        """Its quota is back at `back`, and not later than in `longest`. Of two words the later counts."""
        until = now.mono + min(back - now.wall, longest).total_seconds()
        self._until[agent] = max(until, self._until.get(agent, until))

    def rest(self, agent: str, now: Moment) -> datetime | None:
        """Until when it rests; None: it does not."""
        left = self._until.get(agent, now.mono) - now.mono
        return now.wall + timedelta(seconds=left) if left > 0 else None

    def next_end(self, mono: float) -> float | None:
        """The reading of the monotonic clock at which the next rest is over."""
        return min((until for until in self._until.values() if until > mono), default=None)


def back_at(result: ExecuteResult, now: datetime) -> datetime | None:
    """When the quota that ended an attempt is back, as its provider said; None: it is no quota, or nobody said."""
    seconds = asked_to_wait(result)
    if result.reason is not Reason.QUOTA_WAIT or not 0 < seconds <= MAX_REST.total_seconds():
        return None
    return now + timedelta(seconds=seconds)


def why_no_wait(run: CronRun, job: CronJob, result: ExecuteResult, back: datetime) -> str | None:
    """Why a run does not wait for its agent's quota, in a sentence; None: it does, once, and within its grace."""
    if run.status is Status.STOPPING:
        return ""
    if run.rested_secs:
        return "It has waited for a quota once already."
    if result.tool_called and not job.repeatable:
        return "It had called a tool and is not tried again: its job is not repeatable."
    if (used_up := charge.used_up(run)) is not None:
        return used_up
    try:
        by_hand = run.trigger is Trigger.MANUAL
        latest = run.started_at + MAX_GRACE if by_hand else last_start(job, run.scheduled_at)
    except InvalidError as error:  # a definition that somebody changed by hand
        return str(error)
    if back > latest:
        return f"The quota of {run.agent} is back at {back.isoformat(timespec='seconds')}, when its grace is over."
    return None
