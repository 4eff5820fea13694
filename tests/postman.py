"""A scheduler and its notifier over real files, with a clock, a disk and receivers that a test leads by the hand."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.messages import ExecuteRequest
from shared.reasons import Reason
from supervisor.config import Config
from supervisor.errors import StoreError
from supervisor.models import CronJob, CronRun
from supervisor.notifications.deliveries import Delivery, Letter
from supervisor.notifications.notify import Notifier
from supervisor.notifications.targets import Notify
from supervisor.notifications.webhookurl import WebhookError
from supervisor.scheduler import Scheduler
from supervisor.spawning.launcher import Gone
from supervisor.spawning.recovery import recover
from supervisor.stores.disk import Disk
from supervisor.stores.host import Host
from supervisor.stores.jobs import CronStore
from supervisor.stores.lock import HomeLock
from supervisor.stores.runs import RunsStore
from tests.fakes import FakeClock, FakeSpawn, make_job, make_request, make_result
from tests.timeline import memory_folder

URL = "https://hooks.example/"
SILENT = logging.getLogger("test.postman")
CONFIG = Config(disk_floor=0, min_available_memory=0, max_memory_pressure=0, disable_after_failures=0)
SILENT.propagate, SILENT.disabled = False, True


class Kill(BaseException):
    """The supervisor dies at this write."""


class MortalDisk(Disk):
    """Dies at the write numbered `dies_at`, before it or after it; takes nothing while it is `full`."""

    def __init__(self) -> None:
        self.writes, self.dies_at, self.after, self.full = 0, -1, False, False

    def append(self, path: Path, line: bytes) -> int:
        return self._do(path, lambda: super(MortalDisk, self).append(path, line))

    def replace(self, path: Path, data: bytes) -> None:
        self._do(path, lambda: super(MortalDisk, self).replace(path, data))

    def remove(self, path: Path) -> None:
        self._do(path, lambda: super(MortalDisk, self).remove(path))

    def _do(self, path: Path, act: Any) -> Any:
        number, self.writes = self.writes, self.writes + 1
        if self.full:
            raise StoreError(f"{path} cannot be written: No space left on device.")
        if number == self.dies_at and not self.after:
            raise Kill
        done = act()
        if number == self.dies_at:
            raise Kill
        return done


class SchedulerWaits(BaseException):
    """The scheduler waits for a receiver. No Exception: of those the courier makes a try that failed."""


class Unhurried(Notifier):
    """Without the thread: whoever tests takes the courier's turns."""

    def wake(self, *, rested: bool = False) -> None:
        if rested:
            self.courier.forget_rests()


class Postman:
    """`sent`: what got through, `tried` how often it was tried. `dead`: the URLs and targets that answer nothing."""

    def __init__(self, root: Path, notify: Notify) -> None:
        self.root, self.notify, self.clock, self.disk = root, notify, FakeClock(), MortalDisk()
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.tried: list[datetime] = []
        self.dead: dict[str, WebhookError] = {}
        self.in_a_turn = False
        self.numbers = itertools.count(1)
        CronStore(root).home.create()
        self.open()

    def open(self) -> None:
        """A supervisor begins with what is on disk, as after a kill."""
        self.spawn = FakeSpawn()
        self.jobs, self.runs = CronStore(self.root), RunsStore(self.root, disk=self.disk)
        self.notifier = Unhurried(
            self.jobs.home, (), lambda: self.notify, self.clock, SILENT, send=self._send, disk=self.disk
        )
        self.core = Scheduler(
            self.jobs,
            self.runs,
            CONFIG,
            Host("house", "boot-1"),
            new_id=lambda: f"{next(self.numbers):08}-run",
            prepare=self._prepare,
            spawn=self.spawn,
            told_end=self.notifier.tell,
            logger=SILENT,
        )
        self.notifier.begin(self.core)
        recover(self.core, self.clock.now())
        self.core.load(self.clock.wall)
        self.turn()

    def turn(self) -> None:
        self.in_a_turn = True
        try:
            self.core.tick(self.clock.now())
        finally:
            self.in_a_turn = False

    def add(self, **fields: Any) -> CronJob:
        known = {"created_at": self.clock.wall, "changed_at": self.clock.wall, "on_complete": URL, "on_fail": URL}
        job = make_job(**{"retries": 0, **known, **fields})
        self.jobs.add(job)
        self.core.load(self.clock.wall)
        return job

    def run(self, job: CronJob) -> CronRun:
        run = self.core.run(job, self.clock.now())
        self.turn()
        return run

    def end(self, reason: Reason = Reason.OK) -> None:
        """What runs is over, and the core hears of it."""
        for runner in self.spawn.runners:
            key = runner.request.run_id, runner.request.attempt
            self.core.inbox.append(Gone(*key, make_result(reason, *key, response="hello", answer_bytes=5)))
        self.spawn.runners.clear()
        self.turn()

    def deliver(self) -> float | None:
        """The courier's turns that are due now; the seconds until the next."""
        while (seconds := self.notifier.courier.turn()) == 0.0:
            pass
        return seconds

    def owed(self) -> list[Delivery]:
        return [each for letter in self.notifier.outbox.waiting() for each in letter.deliveries if each.waits]

    def _send(self, letter: Letter, delivery: Delivery) -> None:
        if self.in_a_turn:
            raise SchedulerWaits
        self.tried.append(self.clock.wall)
        if delivery.to in self.dead:
            raise self.dead[delivery.to]
        self.sent.append((delivery.id, letter.run or {}))

    def _prepare(self, job: CronJob, run: CronRun, _left: float) -> ExecuteRequest:
        return make_request(run.id, run.attempt, self.root / "logs" / run.id, job_id=job.id)


@contextmanager
def postman(**notify: Any) -> Iterator[Postman]:
    with memory_folder() as root:
        lock = HomeLock(CronStore(root).home)
        with lock:
            yield Postman(root, Notify.model_validate(notify))


def silence(permanent: bool = False, retry_after: str = "") -> WebhookError:
    return WebhookError("Nobody answered.", permanent, retry_after)
