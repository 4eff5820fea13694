"""The supervisor process: the one place that builds things and wires them together."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

from supervisor import __version__, strays
from supervisor.config import Config, load_config
from supervisor.control import Server
from supervisor.cronscheduler import CronScheduler
from supervisor.home import Home
from supervisor.jobs import CronStore
from supervisor.lock import remove_info, write_info
from supervisor.runs import RunsStore

log = logging.getLogger("cronward")


def supervise(home: Home, config_path: Path | None) -> int:
    """Keep time in this home until told to stop. Returns the exit code. Raises RefusedError, ConfigError, StoreError.

    SIGTERM and SIGINT drain: nothing more starts, what runs gets `drain_seconds`. A second one cancels it.
    """
    config = load_config(config_path, os.environ)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    os.umask(0o077)
    strays.adopt()
    asyncio.run(_supervise(home, config))
    return 0


async def _supervise(home: Home, config: Config) -> None:
    scheduler = CronScheduler(CronStore(home), runs=RunsStore(home, keep=config.history), config=config)
    async with scheduler.keep_time() as drained:
        _stop_on_signals(asyncio.get_running_loop(), scheduler)
        server = Server(scheduler, home.socket)
        await server.start()
        began = scheduler.clock.now().wall
        write_info(home, started_at=began, cronward=__version__, socket=home.socket)
        log.info("keeping time in %s, pid %d", home.root, os.getpid())
        try:
            await drained
        finally:
            await server.close()
            remove_info(home)
    log.info("stopped")


def _stop_on_signals(loop: asyncio.AbstractEventLoop, scheduler: CronScheduler) -> None:
    asked: list[int] = []

    def stop(number: int) -> None:
        asked.append(number)
        log.info("%s: %s", signal.Signals(number).name, "draining" if len(asked) == 1 else "canceling what runs")
        scheduler.stop(now=len(asked) > 1)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
