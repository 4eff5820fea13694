"""The seed's operations as a library: a program of its own that embeds the scheduler."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from supervisor.cronscheduler import CronScheduler
from supervisor.errors import InvalidError, RefusedError, UnreachableError
from supervisor.models import CronJob, CronRun
from supervisor.spawning.launcher import Executor
from supervisor.status import Status
from supervisor.stores.jobs import CronStore
from supervisor.stores.runs import RunsStore
from tests.house import eventually
from tests.lacks import need

pytestmark = need("cell")


@dataclass
class Told:
    """A callback that notes what it was told."""

    completed: list[CronRun] = field(default_factory=list)
    failed: list[CronRun] = field(default_factory=list)

    def on_complete(self, run: CronRun) -> None:
        self.completed.append(run)

    def on_fail(self, run: CronRun) -> None:
        self.failed.append(run)


def test_a_program_adds_runs_pauses_and_removes_a_job_and_is_told_of_its_end(tmp_path: Path) -> None:
    told = Told()
    scheduler = CronScheduler(CronStore(tmp_path / "home"), Executor(), callbacks=[told])
    scheduler.set_runs_store(RunsStore(tmp_path / "home"))
    job = scheduler.add_job(CronJob(id="audit", cron_expr="*/30 * * * *", prompt="hello", command="cat"))
    with pytest.raises(UnreachableError):
        scheduler.run_job(job.id)
    scheduler.start()
    try:
        scheduler.run_job(job.id)
        eventually(lambda: told.completed)
        (run,) = scheduler.list_runs(job.id)
        assert (run.status, run.response) == (Status.COMPLETED, "hello")
        known = scheduler.get_job(job.id)
        assert known is not None
        assert (known.run_count, known.last_run) == (1, run.started_at)
        assert not scheduler.pause_job(job.id).enabled
        assert scheduler.resume_job(job.id).enabled
        scheduler.remove_job(job.id)
        assert scheduler.get_job(job.id) is None
        assert scheduler.list_jobs() == []
    finally:
        scheduler.stop()
    assert not any(thread.name == "cronward" for thread in threading.enumerate())


def test_two_schedulers_do_not_keep_time_in_one_home(tmp_path: Path) -> None:
    first = CronScheduler(CronStore(tmp_path), Executor())
    first.start()
    try:
        with pytest.raises(RefusedError):
            CronScheduler(CronStore(tmp_path), Executor()).start()
    finally:
        first.stop()


def test_a_wrong_definition_is_a_sentence_and_stores_nothing(tmp_path: Path) -> None:
    scheduler = CronScheduler(CronStore(tmp_path))
    with pytest.raises(InvalidError, match="61"):
        scheduler.add_job({"cron_expr": "61 * * * *", "prompt": "x"})
    assert scheduler.list_jobs() == []
