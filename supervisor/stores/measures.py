"""What is counted of a job's runs for whoever measures: a fold over their transitions, of which nothing ever goes down.

It is kept in the summary of the history, in the same durable line as the run itself, and outlives the records.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, with_config

from supervisor.models import NEVER, CronRun, Trigger
from supervisor.status import Status


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class Sum:
    """What some lengths of time come to."""

    count: int = 0
    seconds: float = 0.0

    def plus(self, length: timedelta) -> Sum:
        """With one more. The clock may have been set meanwhile: no length is negative."""
        return Sum(count=self.count + 1, seconds=round(self.seconds + max(0.0, length.total_seconds()), 3))


class Measures(BaseModel):
    """Of one job."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    started: int = 0
    """Runs that began, one that its gate then sent away included."""
    ended: dict[str, int] = {}
    """Runs and skips that are over, by reason."""
    lateness: Sum = Sum()
    """From the occurrence to the start, jitter included, of those that the schedule made due."""
    durations: Sum = Sum()
    """From start to end, of those that really ran."""
    last_success: AwareDatetime = NEVER
    """When the run that completed last did so."""

    def with_start(self, run: CronRun) -> Self:
        """It began."""
        facts: dict[str, object] = {"started": self.started + 1}
        if run.trigger is not Trigger.MANUAL:
            facts["lateness"] = self.lateness.plus(run.started_at - run.scheduled_at)
        return self.model_copy(update=facts)

    def with_end(self, run: CronRun, *, ran: bool) -> Self:
        """It is over, or never was more than a skip."""
        reason = run.reason.value if run.reason is not None else ""
        facts: dict[str, object] = {"ended": {**self.ended, reason: self.ended.get(reason, 0) + 1}}
        if ran:
            facts["durations"] = self.durations.plus(run.finished_at - run.started_at)
        if run.status is Status.COMPLETED:
            facts["last_success"] = max(self.last_success, run.finished_at)
        return self.model_copy(update=facts)
