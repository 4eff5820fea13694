"""The supervisor process: the one place that builds things and wires them together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from supervisor import __version__, cgroup, strays
from supervisor.cgroup import Cgroup, CgroupError
from supervisor.config import Config, load_config
from supervisor.control import Server
from supervisor.cronscheduler import CronScheduler
from supervisor.errors import CronwardError, RefusedError
from supervisor.home import Home
from supervisor.jobs import CronStore
from supervisor.lock import remove_info, write_info
from supervisor.mounted import file_system_of, is_network
from supervisor.preparation import make_executor
from supervisor.runs import RunsStore

log = logging.getLogger("cronward")


def supervise(home: Home, config_path: Path | None, ready: Callable[[], None] = lambda: None) -> int:
    """Keep time in this home until told to stop. Returns the exit code. Raises RefusedError, ConfigError, StoreError.

    SIGTERM and SIGINT drain: nothing more starts, what runs gets `drain_seconds`. A second one cancels it. SIGHUP reads
    the configuration again. `ready` is called when it keeps time and answers.
    """
    config = load(home, config_path)
    # Under journald every line has its time and unit already.
    words = "%(levelname)s %(message)s" if "JOURNAL_STREAM" in os.environ else "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=words)
    os.umask(0o077)
    strays.adopt()
    asyncio.run(_supervise(home, config, lambda: load(home, config_path), ready))
    return 0


def load(home: Home, config_path: Path | None) -> Config:
    """The settings for this home. Raises ConfigError, and RefusedError where no supervisor may keep time in it."""
    config = load_config(config_path, os.environ)
    _check_file_system(home, config)
    return config


async def _supervise(home: Home, config: Config, load: Callable[[], Config], ready: Callable[[], None]) -> None:
    executor = make_executor(home.root, strays.sweep, _claim_cgroup())
    runs = RunsStore(home, keep=config.history)
    scheduler = CronScheduler(CronStore(home), executor, runs=runs, config=config, load=load)
    async with scheduler.keep_time() as drained:
        _obey_signals(asyncio.get_running_loop(), scheduler)
        server, path = await _listen(home, scheduler)
        began = scheduler.clock.now().wall
        write_info(home, started_at=began, cronward=__version__, socket=path)
        log.info("keeping time in %s, pid %d", home.root, os.getpid())
        ready()
        try:
            await drained
        finally:
            await server.close()
            remove_info(home)
    log.info("stopped")


async def _listen(home: Home, scheduler: CronScheduler) -> tuple[Server, Path]:
    """In the home; in the runtime directory where the home's file system has no sockets."""
    server = Server(scheduler, home.socket)
    try:
        await server.start()
        return server, home.socket
    except OSError as error:
        log.warning("%s cannot be bound (%s); listening at %s", home.socket, error.strerror, home.fallback_socket)
    home.create_runtime_directory()
    server = Server(scheduler, home.fallback_socket)
    await server.start()
    return server, home.fallback_socket


def _check_file_system(home: Home, config: Config) -> None:
    kind = file_system_of(Path(os.path.realpath(home.root)), Path("/proc/self/mountinfo").read_text(errors="replace"))
    if is_network(kind) and not config.network_home:
        raise RefusedError(
            f"The home {home.root} lies on a network file system ({kind}), where a lock may not keep a supervisor of "
            "another machine out. Choose a local one with --home, or set network_home = true if its locks do hold."
        )


def _claim_cgroup() -> Cgroup | None:
    """A cgroup of our own, if there is one to be had. What a killed predecessor left in it is ended first."""
    try:
        found = cgroup.claim(cgroup.here(), os.getpid())
    except CgroupError as error:
        log.info("memory of runs is limited by a watchdog, not by a cgroup: %s", error)
        return None
    log.info("memory of runs is limited by cgroup v2 in %s", found.path)
    for leaf in found.sweep():
        log.warning("%s is of a former supervisor and does not end", leaf.path)
    return found


def _obey_signals(loop: asyncio.AbstractEventLoop, scheduler: CronScheduler) -> None:
    asked: list[int] = []

    def stop(number: int) -> None:
        asked.append(number)
        log.info("%s: %s", signal.Signals(number).name, "draining" if len(asked) == 1 else "canceling what runs")
        scheduler.stop(now=len(asked) > 1)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)

    def reload() -> None:
        with contextlib.suppress(CronwardError):  # it stands in the log
            scheduler.reload()

    loop.add_signal_handler(signal.SIGHUP, reload)
