"""Where people's requests go: to a running supervisor over its socket, else to the stores themselves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from supervisor.config import Config
from supervisor.control.client import Client, NotRunningError
from supervisor.control.routes import Desk
from supervisor.cronscheduler import CronScheduler
from supervisor.errors import RefusedError
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.lock import HomeLock
from supervisor.stores.runs import RunsStore

REACH_WITHIN = 5.0
TRY_LOCK = 0.2


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
