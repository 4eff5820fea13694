"""What pause and remove say of live runs, however early these end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import typer

from supervisor.cli import pausing
from supervisor.cli.place import Place
from supervisor.control.routes import Desk
from supervisor.models import CronJob, CronRun
from supervisor.status import Status
from tests.fakes import make_job, make_run


class _Desk:
    """Its one live run is over as soon as a change is made."""

    def __init__(self, job: CronJob, run: CronRun) -> None:
        self.job, self.running = job, [run]

    def live(self) -> list[dict[str, Any]]:
        return [run.model_dump(mode="json") for run in self.running]

    def pause_job(self, ref: str, reason: str = "", cancel: bool = False) -> CronJob:
        if cancel:
            self.running = []
        return self.job

    def remove_job(self, ref: str) -> CronJob:
        self.running = []
        return self.job


class _Place(Place):
    def __init__(self, home: Path, desk: _Desk) -> None:
        super().__init__(str(home))
        self._desk = desk

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        yield cast(Desk, self._desk)


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    job = make_job(name="morning")
    running = make_run(job_id=job.id, status=Status.RUNNING)
    home = _Place(tmp_path, _Desk(job, running))
    home.jobs.add(job)
    home.runs.record(running.model_copy(update={"status": Status.CANCELED}))
    return home


def _context(place: Place) -> typer.Context:
    return cast(typer.Context, SimpleNamespace(obj=place))


@pytest.mark.parametrize("command", [pausing.pause, pausing.remove])
def test_a_run_that_ended_before_it_was_asked_for_again_is_waited_for_and_told(
    place: _Place, command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    command(_context(place), "morning", cancel=True, wait=True)
    assert "canceled" in capsys.readouterr().err
