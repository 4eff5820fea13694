"""Definitions that were asked for lately: those of jobs that run often need not be read for each run."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from supervisor.models import CronJob

MOST = 512
"""At about ten kilobytes each."""
Signature = tuple[int, int, int]


class Lately:
    """As many as there is room for, each only while its file is the one that it was read from."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._jobs: OrderedDict[str, tuple[Signature, CronJob]] = OrderedDict()

    def get(self, path: Path, job_id: str) -> CronJob | None:
        """The definition of this id, if it is remembered and that file still holds it."""
        kept = self._jobs.get(job_id)
        if kept is None or kept[0] != signature(path):
            return None
        self._jobs.move_to_end(job_id)
        return kept[1]

    def put(self, read_from: Signature | None, job: CronJob) -> None:
        """Remember a definition. `read_from`: the file's signature, taken before it was read."""
        self._jobs.pop(job.id, None)
        if read_from is not None:
            self._jobs[job.id] = read_from, job
        if len(self._jobs) > self._most:
            self._jobs.popitem(last=False)


def signature(path: Path) -> Signature | None:
    """What tells this file from what it was before; None where there is none."""
    try:
        found = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
