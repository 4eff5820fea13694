"""What is remembered of a job's runs for good, also of those that retention dropped: a fold over their transitions."""

from __future__ import annotations

from typing import Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

from shared.reasons import Reason
from supervisor.budgets import spendings
from supervisor.models import NEVER, CronRun, Trigger
from supervisor.status import Status
from supervisor.stores.measures import Measures


def counts(run: CronRun) -> bool:
    """Whether it really started, so that it counts as a run of its job: a skip does not, nor does one that waits."""
    return run.started_at != NEVER and run.status is not Status.SKIPPED


class Summary(BaseModel):
    """What a job's history comes to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_count: int = 0
    """Runs that really started, whatever became of them, those that run now included."""
    last_scheduled: AwareDatetime = NEVER
    """The latest occurrence of the schedule that has a record: none up to here is owed any more."""
    failures_in_a_row: int = 0
    """How many runs failed since one completed. Cancels and unknown ends leave it as it is."""
    last_run: AwareDatetime = NEVER
    """When the newest run started."""
    last_end: AwareDatetime = NEVER
    """When the run that ended last did so, whether it had started or not; skips are not meant."""
    last_status: Status | None = None
    """How the run that ended last did so; skips are not meant."""
    last_reason: Reason | None = None
    last_error: str = ""
    spent: spendings.Spendings = {}
    """What its runs used that are over."""
    measures: Measures = Measures()

    def after(self, run: CronRun, *, counted: bool, ended: bool) -> Self:
        """The summary with one more record. `counted`, `ended`: what the record before of this run said."""
        facts: dict[str, object] = {"run_count": self.run_count + counts(run) - counted}
        if run.trigger is not Trigger.MANUAL:
            facts["last_scheduled"] = max(self.last_scheduled, run.scheduled_at)
        if counts(run):
            facts["last_run"] = max(self.last_run, run.started_at)
        if run.status.final and not ended and run.started_at != NEVER:
            facts["spent"] = spendings.added(self.spent, run)
        if run.status.final and not ended and run.status is not Status.SKIPPED:
            facts["failures_in_a_row"] = _streak(self.failures_in_a_row, run.status)
            facts["last_end"] = run.finished_at
            facts |= {"last_status": run.status, "last_reason": run.reason, "last_error": run.error}
        facts["measures"] = self._measured(run, counted=counted, ended=ended)
        return self.model_copy(update=facts)

    def _measured(self, run: CronRun, *, counted: bool, ended: bool) -> Measures:
        found = self.measures
        if counts(run) and not counted and not ended:
            found = found.with_start(run)
        return found.with_end(run, ran=counts(run)) if run.status.final and not ended else found


NOTHING = Summary()
"""Of a job without runs. One for all: pydantic copies what it holds deeply for each that it makes."""


def _streak(before: int, status: Status) -> int:
    if status is Status.COMPLETED:
        return 0
    return before + (status is Status.FAILED)
