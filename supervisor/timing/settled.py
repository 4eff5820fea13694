"""Up to which instant a job's occurrences are settled, also where the clock has been in the future.

What was settled while a clock ran ahead is not run again when it is set back: for a step of less than a day, nothing
up to the latest settled occurrence is owed any more. A clock that was off by more (a machine that woke in another
year) must not silence jobs until it gets there again: then only what has a record near the present counts as settled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from supervisor.models import NEVER, CronRun, Trigger
from supervisor.timing.clock import Moment

AHEAD = timedelta(days=1)


def settled_until(latest: datetime, records: Callable[[], Iterable[CronRun]], now: datetime) -> datetime:
    """No occurrence up to here is owed any more. `latest`: the latest that has a record; `records`: those kept."""
    if latest <= now + AHEAD:
        return latest
    kept = (run.scheduled_at for run in records() if run.trigger is not Trigger.MANUAL)
    return max((at for at in kept if at <= now + AHEAD), default=NEVER)


class StepBack:
    """Notices that the wall clock was set back by more than a day since what is planned was planned."""

    def __init__(self) -> None:
        self._offset: float | None = None
        self.pending = False
        """Whether that is still to be followed up."""

    def happened(self, now: Moment) -> bool:
        """Whether it did, and nobody has followed it up yet. Small steps add up."""
        offset = now.wall.timestamp() - now.mono
        if self._offset is None or offset >= self._offset:
            self._offset = offset
        elif offset < self._offset - AHEAD.total_seconds():
            self._offset, self.pending = offset, True
        return self.pending
