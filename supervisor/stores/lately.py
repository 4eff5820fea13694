"""Definitions that were asked for lately: those of jobs that run often need not be read for each run."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from supervisor.models import CronJob
from supervisor.stores.sums import State, state_at

MOST = 512
"""At about ten kilobytes each."""


class Lately:
    """As many as there is room for, each only while its file is the one that it was read from."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._jobs: OrderedDict[str, tuple[State, CronJob]] = OrderedDict()

    def get(self, path: Path, job_id: str) -> CronJob | None:
        """The definition of this id, if it is remembered and that file still holds it."""
        kept = self._jobs.get(job_id)
        if kept is None or kept[0] != state_at(path):
            return None
        self._jobs.move_to_end(job_id)
        return kept[1]

    def put(self, read_from: State | None, job: CronJob) -> None:
        """Remember a definition. `read_from`: the file's state, taken before it was read."""
        self._jobs.pop(job.id, None)
        if read_from is not None:
            self._jobs[job.id] = read_from, job
        if len(self._jobs) > self._most:
            self._jobs.popitem(last=False)
