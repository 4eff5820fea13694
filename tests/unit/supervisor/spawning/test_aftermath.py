"""When the jobs that are gone are looked for: where one went, and not at every end."""

from __future__ import annotations

import logging

from supervisor.spawning.aftermath import Aftermath
from supervisor.spawning.identity import Identity
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from tests.fakes import FakeClock, make_job
from tests.timeline import memory_folder


class BusyIdentity(Identity):
    """A job went while it took back the ids of others, if `owes` says so."""

    owes = False

    @property
    def owes_a_look(self) -> bool:
        return self.owes


def test_an_end_is_a_reason_to_look_only_where_its_job_went_or_a_look_is_owed() -> None:
    with memory_folder() as root:
        home = Home.of(root)
        jobs, logger = CronStore(home), logging.getLogger("cronward")
        jobs.add(make_job())
        identity = BusyIdentity(home, logger)
        aftermath = Aftermath(home, identity, FakeClock(), logger)
        assert not aftermath.is_wanted(make_job().id, jobs)
        assert aftermath.is_wanted("22222222-gone", jobs)
        identity.owes = True
        assert aftermath.is_wanted(make_job().id, jobs)
