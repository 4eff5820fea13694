"""What people can ask for, and where: a running supervisor over its socket, else the stores themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from supervisor.client import Client, NotRunningError
from supervisor.config import Config
from supervisor.cronscheduler import CronScheduler
from supervisor.definition import JobDraft
from supervisor.errors import RefusedError
from supervisor.home import Home
from supervisor.jobs import CronStore
from supervisor.lock import HomeLock
from supervisor.models import CronJob, CronRun
from supervisor.runs import RunsStore

REACH_WITHIN = 5.0
TRY_LOCK = 0.2


class Desk(Protocol):
    """The same operations wherever they are carried out. A job or run is named by id, beginning of it, or name."""

    def add_job(self, job: JobDraft) -> CronJob: ...
    def edit_job(self, ref: str, changes: JobDraft) -> CronJob: ...
    def pause_job(self, ref: str, reason: str = "", cancel: bool = False) -> CronJob: ...
    def resume_job(self, ref: str) -> CronJob: ...
    def remove_job(self, ref: str) -> CronJob: ...
    def run_job(self, ref: str) -> CronRun: ...
    def cancel_run(self, ref: str) -> CronRun: ...
    def status(self) -> dict[str, Any]: ...
    def live(self) -> list[dict[str, Any]]: ...
    def reload(self) -> list[str]: ...
    def stop(self, now: bool) -> None: ...


@contextmanager
def reach(home: Home, config: Config) -> Iterator[Desk]:
    """The supervisor if one answers; else this process, holding the home's lock meanwhile.

    The socket is tried first and again while the lock is held by somebody: a supervisor that is just starting has the
    lock and not yet a socket. Raises RefusedError when neither can be had.
    """
    deadline = time.monotonic() + REACH_WITHIN
    lock = HomeLock(home)
    while True:
        client = Client(home)
        try:
            client.status()
        except NotRunningError:  # one that is there and does not answer is no reason to look for its lock
            pass
        else:
            yield client
            return
        # What is wrong with the home itself will not pass by waiting.
        home.create()
        try:
            lock.acquire(TRY_LOCK)
        except RefusedError:
            if time.monotonic() > deadline:
                raise
            continue
        break
    try:
        yield CronScheduler(CronStore(home), runs=RunsStore(home, keep=config.history), config=config)
    finally:
        lock.release()
