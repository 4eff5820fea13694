"""What is said of stores that cannot be read or written: it is tried again every two seconds, and not said as often."""

from __future__ import annotations

from supervisor.errors import StoreError
from supervisor.logs.runlog import RunLog

SAY_AGAIN = 600.0
"""Seconds until the same is said of the same job again. Whoever reads the log only now is to find it there."""


class Complaints:
    """Once a turn at most, for a full disk is not to be filled with them; the same of one job seldom."""

    def __init__(self, log: RunLog) -> None:
        self.any = False
        """Whether there was one in this turn, said or not: then the next has to come soon."""
        self._log, self._now, self._spoke = log, 0.0, False
        self._said: dict[str, tuple[str, float]] = {}

    def begin_turn(self, mono: float) -> None:
        """Nothing has failed yet. `mono`: the monotonic clock."""
        self.any, self._spoke, self._now = False, False, mono
        self._said = {job_id: said for job_id, said in self._said.items() if mono < said[1] + SAY_AGAIN}

    def of(self, job_id: str, error: StoreError) -> None:
        """This failed for the job, or for all (empty), and is tried again."""
        self.any, words = True, str(error)
        if self._spoke or self._said.get(job_id, ("",))[0] == words:
            return
        self._spoke, self._said[job_id] = True, (words, self._now)
        self._log.job_unstored(job_id, error)
