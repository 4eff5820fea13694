"""The queue: occurrences that are on disk and wait for a slot, for an earlier run of their job, or for a restart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from shared.reasons import Reason
from supervisor.admission.admission import Wait
from supervisor.models import CronJob, CronRun


@dataclass(slots=True)
class Waiting:
    """An occurrence in the queue, with its job as it was last edited."""

    job: CronJob
    run: CronRun
    expires: datetime | None = None
    """When it is too late to start it. None: never, because somebody asked for it by hand."""
    why: str = ""
    """What it waits for, in words. Empty: it was not asked yet whether it may start."""
    verdict: Wait | None = None
    """Why it had to wait when it was asked for last."""
    canceled: Reason | None = None
    """Why it is not to run any more, while that is not on disk yet."""

    def is_urgent(self, now: datetime) -> bool:
        """Whether something is to be done about it although every slot is taken."""
        return not self.why or self.canceled is not None or (self.expires is not None and now > self.expires)


class Queue:
    """In the order in which they came. How many of a job wait is known without counting: a herd stays cheap."""

    def __init__(self) -> None:
        self._runs: dict[str, Waiting] = {}
        self._of_job: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Waiting]:
        return iter(tuple(self._runs.values()))

    def __len__(self) -> int:
        return len(self._runs)

    def put(self, waiting: Waiting) -> None:
        """Add it at the end."""
        assert waiting.run.id not in self._runs
        self._runs[waiting.run.id] = waiting
        self._of_job[waiting.job.id] += 1

    def drop(self, waiting: Waiting) -> None:
        """Take it out."""
        del self._runs[waiting.run.id]
        self._of_job[waiting.job.id] -= 1
        if not self._of_job[waiting.job.id]:
            del self._of_job[waiting.job.id]

    def take_all(self) -> list[Waiting]:
        """Empty it."""
        taken, self._runs = list(self._runs.values()), {}
        self._of_job.clear()
        return taken

    def get(self, run_id: str) -> Waiting | None:
        """The one of this run."""
        return self._runs.get(run_id)

    def count(self, job_id: str) -> int:
        """How many of this job wait."""
        return self._of_job[job_id]
