"""Runs that could write in the same place, or renew the same login, and therefore do not go on at the same time.

Runs of one job are the business of its `overlap`, and whoever says `allow` there means it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from shared.gitlink import linked
from shared.places import overlap
from supervisor.config import Config
from supervisor.definitions.permitted import named_ids
from supervisor.errors import InvalidError
from supervisor.models import CronJob, CronRun

Places = Callable[[CronJob], Sequence[str]]
"""Where on the host a run of the job can write: real paths."""
Logins = Callable[[CronJob], str]
"""The agent whose login a run of the job may renew; empty: none. Two that renewed one would log each other out, so this
counts among the runs of one job as well."""


def places(job: CronJob, config: Config) -> Sequence[str]:
    """By what the job says, and what is on the disk now. A few calls to the kernel, none where it writes nowhere."""
    if not job.work_dir or job.work_mode != "inplace" or not _may_be_written(job, config):
        return job.write_paths
    found = [job.work_dir, *job.write_paths]
    if job.git_write:
        repository = linked(job.work_dir, _owner(job.work_dir))
        found += [repository.common_dir] if repository else []
    return found


@dataclass(frozen=True, slots=True)
class InTheWay:
    """A run that has to be over first, and why."""

    run: CronRun | None
    """None: it is no run, but a check of the agent."""
    why: str


def in_the_way(
    job: CronJob,
    live: Iterable[tuple[CronJob, CronRun]],
    where: Places,
    login: Logins = lambda _job: "",
    on_trial: Callable[[str], bool] = lambda _agent: False,
) -> InTheWay | None:
    """The first of these runs that could write where a run of `job` can, or renew the same login. None: there is
    none. `on_trial`: whether a check of the agent uses its login."""
    mine, own = where(job), login(job)
    if not mine and not own:
        return None
    if own and on_trial(own):
        return InTheWay(None, f"a check of {own} may renew its login, and only one at a time can")
    for other, run in live:
        if own and own == login(other):
            return InTheWay(run, f"{named(run)} may renew the login of {own}, and only one at a time can")
        if other.id != job.id and any(overlap(one, its) for its in where(other) for one in mine):
            return InTheWay(run, f"{named(run)} may write in the same place")
    return None


def named(run: CronRun) -> str:
    """What people call a run in a sentence."""
    return f"run {run.id[:8]} of job {run.job_name or run.job_id}"


def _may_be_written(job: CronJob, config: Config) -> bool:
    """Where nobody could, the agent gets it read-only, and whoever only reads keeps nobody waiting."""
    try:
        if os.geteuid() != 0:
            return os.access(job.work_dir, os.W_OK)
        found = os.stat(job.work_dir)  # noqa: PTH116
    except (OSError, ValueError):  # no path at all, in a file that somebody changed by hand: the attempt says so
        return False
    # As root: by whichever of the ids that runs get. An access list shows in the bits of the group.
    ours = _is_named(found.st_uid, job) or config.uid_base <= found.st_uid < config.uid_base + config.uid_count
    return ours or bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _is_named(uid: int, job: CronJob) -> bool:
    try:
        return bool(job.run_as) and uid == named_ids(job.run_as).uid
    except InvalidError:  # a user that is gone owns nothing, and the attempt says that it is gone
        return False


def _owner(path: str) -> int:
    try:
        return os.stat(path).st_uid  # noqa: PTH116
    except OSError:
        return -1
