"""The private clones of the work mode `branch`: whether there can be one, where it is kept, and that none stays.

A runner makes a clone and removes it (`runner/clone.py`). What is left by one that was killed is removed here, in
threads: a clone may be large, and the loop waits for nobody's files.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Thread

from shared import removal, repository
from shared.messages import ExecuteRequest, Offer
from supervisor.errors import InvalidError
from supervisor.models import CronJob, CronRun
from supervisor.spawning.launcher import slug_of
from supervisor.stores.home import Home

BRANCHES = "cronward"
# Where a cell finds its programs.
PROGRAMS = "/usr/local/bin:/usr/bin:/bin"


def check_clone(job: CronJob) -> None:
    """Refuse the mode `branch` where its first run would. Raises InvalidError. git itself is not asked: not here."""
    if job.work_mode != "branch":
        return
    if not job.work_dir:
        raise InvalidError("The work mode 'branch' needs a work directory: the top level of a git repository.")
    if shutil.which("git", path=PROGRAMS) is None:
        raise InvalidError("The work mode 'branch' needs git, which is not installed: apt-get install git")
    us = os.geteuid()
    owner = us or Path(job.work_dir).stat().st_uid
    try:
        found = repository.find(job.work_dir, owner)
    except repository.NoRepositoryError as error:
        raise InvalidError(f"The work directory {job.work_dir[:200]!r} {error}; use inplace or read.") from None
    for path in (Path(found.common_dir, "objects"), Path(found.common_dir, "refs")):
        if us and not os.access(path, os.W_OK | os.X_OK):
            raise InvalidError(f"{path} cannot be written by you, so no branch can be offered; use inplace or read.")
        if not us and _roots_alone(path):
            raise InvalidError(
                f"{path} can be written by root alone, and no agent runs as root. Give the repository to the user that "
                "runs the job, or use inplace or read."
            )


def _roots_alone(path: Path) -> bool:
    found = path.stat()
    return found.st_uid == 0 and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def with_offer(request: ExecuteRequest, job: CronJob, run: CronRun, home: Home) -> ExecuteRequest:
    """With a new directory for the clone, if the job wants one. Raises OSError."""
    if job.work_mode != "branch":
        return request
    directory = home.clone_dir(run.id, run.attempt)
    home.clones.mkdir(mode=0o700, exist_ok=True)
    directory.mkdir(mode=0o700)
    offer = Offer(directory=str(directory), branch=branch_of(job, run.id))
    return replace(request, cell=replace(request.cell, offer=offer))


def branch_of(job: CronJob, run_id: str) -> str:
    """The branch that a run's commits are offered as. git's argv can be seen, so a private job's name is not in it."""
    slug = "" if job.private else slug_of(job.label)
    return "/".join(filter(None, (BRANCHES, slug, run_id)))


class Clones:
    """Clears away what runners left. Nothing of theirs lives any more when it is asked to."""

    def __init__(self, home: Home, logger: logging.Logger) -> None:
        self._home, self._logger = home, logger

    def clear(self, run_id: str, attempt: int) -> None:
        """That of one attempt, if there is any."""
        path = self._home.clone_dir(run_id, attempt)
        try:
            path.rmdir()  # its runner emptied it
        except FileNotFoundError:
            return
        except OSError:
            self._start([path])

    def clear_all(self) -> Thread | None:
        """Those of all attempts there have been; a thread that is at it, if there are any."""
        try:
            left = list(self._home.clones.iterdir())
        except OSError:
            return None
        return self._start(left) if left else None

    def _start(self, paths: Sequence[Path]) -> Thread:
        thread = Thread(target=self._remove, args=(paths,), name="cronward-clones", daemon=True)
        thread.start()
        return thread

    def _remove(self, paths: Sequence[Path]) -> None:
        for path in paths:
            if why := removal.remove_tree(str(path)):
                self._logger.error("The clone %s is left over: %s", path, why)
