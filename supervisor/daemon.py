"""The supervisor process: the one place that builds things and wires them together."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path

from supervisor import __version__
from supervisor.config import Config, load_config
from supervisor.control.control import Server
from supervisor.cronscheduler import CronScheduler
from supervisor.errors import CronwardError, RefusedError
from supervisor.keeping.sdnotify import Systemd
from supervisor.logs.logbook import begin
from supervisor.logs.logline import about
from supervisor.loop import Pulse
from supervisor.spawning import cgroup, strays
from supervisor.spawning.cgroup import Cgroup, CgroupError
from supervisor.spawning.preparation import make_executor
from supervisor.stores import lastsign
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.lock import write_info
from supervisor.stores.mounted import file_system_of, is_network
from supervisor.stores.runs import RunsStore

STOP_MARGIN = 30.0
"""Seconds beyond drain and grace in which a supervisor that was told to stop has surely ended."""
log = logging.getLogger("cronward")


def supervise(home: Home, config_path: Path | None, ready: Callable[[], None] = lambda: None) -> int:
    """Keep time in this home until told to stop. Returns the exit code. Raises RefusedError, ConfigError, StoreError.

    SIGTERM and SIGINT drain: nothing more starts, what runs gets `drain_seconds`. A second one cancels it. SIGHUP reads
    the configuration again. `ready` is called when it keeps time and answers.
    """
    config = load(home, config_path)
    os.umask(0o077)
    begin(config)
    systemd = Systemd.taken_from(os.environ, os.getpid())
    if systemd.watchdog_seconds is not None:
        # Its signal then leaves the stacks of all threads in the log: names of functions, and no values.
        faulthandler.enable()
    strays.adopt()
    asyncio.run(_supervise(home, config, lambda: load(home, config_path), ready, systemd))
    return 0


def load(home: Home, config_path: Path | None) -> Config:
    """The settings for this home. Raises ConfigError, and RefusedError where no supervisor may keep time in it."""
    config = load_config(config_path, os.environ)
    _check_file_system(home, config)
    return config


async def _supervise(
    home: Home, config: Config, load: Callable[[], Config], ready: Callable[[], None], systemd: Systemd
) -> None:
    executor = make_executor(home.root, strays.sweep, _claim_cgroup())
    runs = RunsStore(home, keep=config.history)
    scheduler = CronScheduler(CronStore(home), executor, runs=runs, config=config, load=load)
    async with scheduler.keep_time(_pulse(home, systemd)) as drained:
        _obey_signals(asyncio.get_running_loop(), scheduler, systemd)
        server, path = await _listen(home, scheduler)
        began = scheduler.clock.now().wall
        write_info(home, started_at=began, cronward=__version__, socket=path)
        log.info("keeping time in %s, pid %d", home.root, os.getpid(), extra=about("supervisor.ready"))
        gc.collect()
        gc.freeze()  # what was loaded stays: a collection that looked at it each time would hold up what is due
        ready()
        systemd.ready(f"keeping time in {home.root}")
        try:
            await drained
        finally:
            await server.close()
            lastsign.leave(home)
    log.info("stopped", extra=about("supervisor.stopped"))


def _pulse(home: Home, systemd: Systemd) -> Pulse:
    """Often enough for systemd, which gets two chances to hear each; seldom enough for a laptop."""

    def beat() -> None:
        systemd.alive()
        lastsign.give(home)

    watchdog = systemd.watchdog_seconds
    return Pulse(lastsign.EACH_SECONDS if watchdog is None else min(lastsign.EACH_SECONDS, watchdog / 3), beat)


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


def _obey_signals(loop: asyncio.AbstractEventLoop, scheduler: CronScheduler, systemd: Systemd) -> None:
    asked: list[int] = []

    def stop(number: int) -> None:
        asked.append(number)
        systemd.stopping(scheduler.config.drain_seconds + scheduler.config.grace_seconds + STOP_MARGIN)
        name, what = signal.Signals(number).name, "draining" if len(asked) == 1 else "canceling what runs"
        log.info("%s: %s", name, what, extra=about("supervisor.signal", reason=name))
        scheduler.stop(now=len(asked) > 1)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)

    def reload() -> None:
        with contextlib.suppress(CronwardError):  # it stands in the log
            scheduler.reload()

    loop.add_signal_handler(signal.SIGHUP, reload)
