"""What is to be done when an attempt is over, or its job is gone: take home what lives on, clear away what does not."""

from __future__ import annotations

import logging
from collections.abc import Set

from supervisor.agents.keeps import Keeps
from supervisor.errors import StoreError
from supervisor.spawning.clones import Clones
from supervisor.spawning.identity import Identity
from supervisor.spawning.launcher import Gone
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.timing.clock import Clock


class Aftermath:
    """Of the attempts and jobs of one home."""

    def __init__(self, home: Home, identity: Identity, clock: Clock, logger: logging.Logger) -> None:
        self._clones, self._identity = Clones(home, logger), identity
        self._keeps = Keeps(home, lambda: clock.now().wall, logger)

    def of(self, gone: Gone) -> None:
        """One attempt, of which nothing lives any more; before its end is stored and told."""
        self._keeps.settle(gone)
        self._clones.clear(gone.run_id, gone.attempt)

    def of_all(self) -> None:
        """All attempts that there have been: none lives."""
        self._keeps.settle_all()
        self._clones.clear_all()

    def is_wanted(self, ended: str, jobs: CronStore) -> bool:
        """Whether `of_jobs` has anything to do now that a run of this job is over. That is asked at every end, so it
        costs nothing where the job is there. Empty: jobs went."""
        try:
            return not ended or not jobs.has(ended) or self._identity.owes_a_look
        except StoreError:
            return self._identity.owes_a_look

    def of_jobs(self, jobs: CronStore, live: Set[str]) -> None:
        """Jobs that are gone and of which nothing is `live`. Returns at once; costs a look at each job there is."""
        set_aside = {damage.path.name.removesuffix(".json") for damage in jobs.damaged}

        def wanted(job_id: str) -> bool:
            if job_id in live or job_id in set_aside:
                return True
            try:
                return jobs.has(job_id)
            except StoreError:
                return True

        self._keeps.forget_jobs(wanted)
        self._identity.reclaim(wanted)
