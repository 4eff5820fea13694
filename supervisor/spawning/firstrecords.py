"""The first record of an occurrence: who it is, when it was due, and where it was heard of."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.reasons import Reason
from supervisor.models import CronJob, CronRun, Trigger
from supervisor.status import Status
from supervisor.stores.host import Host
from supervisor.timing.occurrences import Owed

_MISSED = re.compile(r"([0-9]+) occurrences were missed,")


def missed_by(run: CronRun) -> int:
    """How many occurrences this record stands for that were missed; 0 where it is of something else."""
    if run.reason is not Reason.MISSED:
        return 0
    many = _MISSED.match(run.error)
    return int(many[1]) if many else 1


@dataclass(frozen=True, slots=True)
class FirstRecords:
    """Makes them; each gets an id of its own."""

    new_id: Callable[[], str]
    host: Host

    def queued(self, job: CronJob, at: datetime, trigger: Trigger, now: datetime) -> CronRun:
        """An occurrence that nothing has become of yet."""
        return CronRun(
            id=self.new_id(),
            job_id=job.id,
            job_name=job.name,
            status=Status.QUEUED,
            trigger=trigger,
            scheduled_at=at,
            queued_at=now,
            agent=job.agent,
            host=self.host.name,
            boot_id=self.host.boot_id,
        )

    def missed(self, job: CronJob, owed: Owed, now: datetime) -> CronRun:
        """One record for all that were missed."""
        run = self.queued(job, owed.missed_last, Trigger.SCHEDULE, now)
        span = f"from {owed.missed_first.isoformat()} to {owed.missed_last.isoformat()}"
        words = f"{owed.missed} occurrences were missed, {span}." if owed.missed > 1 else "It was missed."
        return run.moved(Status.SKIPPED, reason=Reason.MISSED, error=words, finished_at=now)
