"""Whose rights a run has: those of the user that its job names, else, under root, of a user id of the job's own."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from shared.messages import RunAs
from supervisor.config import Config
from supervisor.definitions.permitted import named_ids
from supervisor.models import CronJob
from supervisor.spawning.reclaim import Reclaim
from supervisor.spawning.uids import Uids
from supervisor.stores.home import Home


class Identity:
    """The ids of one home's runs, given and taken back."""

    def __init__(self, home: Home, logger: logging.Logger) -> None:
        self._uids = Uids(home.uids)
        self._reclaim = Reclaim(self._uids, logger)

    def of(self, job: CronJob, config: Config) -> RunAs | None:
        """The ids that its next attempt takes on; None: it stays who we are. Raises InvalidError, StoreError."""
        if job.run_as:
            return named_ids(job.run_as)
        return self._uids.give(job, config) if os.geteuid() == 0 else None

    def reclaim(self, wanted: Callable[[str], bool]) -> None:
        """Take back the ids of the jobs that are not wanted any more. Returns at once."""
        if os.geteuid() == 0:
            self._reclaim.look(wanted)

    @property
    def owes_a_look(self) -> bool:
        """Whether a job went while the ids of others were taken back."""
        return self._reclaim.owes_a_look

    def close(self) -> None:
        """Break off what is under way; it is done the next time."""
        self._reclaim.close()


def would_be(home: Home, config: Config, job: CronJob) -> RunAs | None:
    """As `Identity.of`, and nothing is given: for who only looks. Raises InvalidError."""
    if job.run_as:
        return named_ids(job.run_as)
    return Uids(home.uids).would_give(job, config) if os.geteuid() == 0 else None
