"""Where a command works: the home and config that it was given, and the stores that it reads there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

    from supervisor.config import Config
    from supervisor.control.client import Client
    from supervisor.control.routes import Desk
    from supervisor.stores.home import Home
    from supervisor.stores.jobs import CronStore
    from supervisor.stores.runs import RunsStore


class Place:
    """One home and one config. What costs an import or a read happens when it is first asked for."""

    def __init__(self, home: str | None = None, config: str | None = None) -> None:
        self.home_option = home
        self.config_path = Path(config) if config is not None else None

    @cached_property
    def home(self) -> Home:
        from supervisor.stores.home import Home

        return Home.resolve(self.home_option, os.environ)

    @cached_property
    def config(self) -> Config:
        from supervisor.config import load_config

        return load_config(self.config_path, os.environ)

    @cached_property
    def jobs(self) -> CronStore:
        from supervisor.stores.jobs import CronStore

        return CronStore(self.home)

    @cached_property
    def runs(self) -> RunsStore:
        from supervisor.stores.runs import RunsStore

        return RunsStore(self.home, keep=self.config.history)

    @cached_property
    def client(self) -> Client:
        from supervisor.control.client import Client

        return Client(self.home)

    @contextmanager
    def desk(self) -> Iterator[Desk]:
        """Where changes are made: the supervisor if one answers, else the stores themselves, locked."""
        from supervisor.control.desk import reach

        with reach(self.home, self.config) as desk:
            yield desk

    @property
    def now(self) -> datetime:
        return datetime.now(UTC)


def place_of(ctx: typer.Context) -> Place:
    """The place that the options before the command named."""
    found = ctx.obj
    assert isinstance(found, Place)
    return found
