"""Runs that could write in the same place, and therefore do not go on at the same time.

Runs of one job are the business of its `overlap`, and whoever says `allow` there means it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence

from shared.gitlink import linked
from shared.places import overlap
from supervisor.config import Config
from supervisor.models import CronJob, CronRun
from supervisor.permitted import named_ids

Places = Callable[[CronJob], Sequence[str]]
"""Where on the host a run of the job can write: real paths."""


def places(job: CronJob, config: Config) -> Sequence[str]:
    """By what the job says, and what is on the disk now. A few calls to the kernel, none where it writes nowhere."""
    if not job.work_dir or job.work_mode != "inplace" or not _may_be_written(job, config):
        return job.write_paths
    found = [job.work_dir, *job.write_paths]
    if job.git_write:
        repository = linked(job.work_dir, _owner(job.work_dir))
        found += [repository.common_dir] if repository else []
    return found


def in_the_way(job: CronJob, live: Iterable[tuple[CronJob, CronRun]], where: Places) -> CronRun | None:
    """The first of these runs that could write where a run of `job` can. None: there is none."""
    mine = where(job)
    if not mine:
        return None
    for other, run in live:
        if other.id != job.id and any(overlap(one, its) for its in where(other) for one in mine):
            return run
    return None


def _may_be_written(job: CronJob, config: Config) -> bool:
    """Where nobody could, the agent gets it read-only, and whoever only reads keeps nobody waiting."""
    if os.geteuid() != 0:
        return os.access(job.work_dir, os.W_OK)
    # As root: by whichever of the ids that runs get. An access list shows in the bits of the group.
    try:
        found = os.stat(job.work_dir)  # noqa: PTH116
    except OSError:
        return False
    ours = job.run_as and found.st_uid == named_ids(job.run_as).uid
    ours = ours or config.uid_base <= found.st_uid < config.uid_base + config.uid_count
    return bool(ours) or bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _owner(path: str) -> int:
    try:
        return os.stat(path).st_uid  # noqa: PTH116
    except OSError:
        return -1
