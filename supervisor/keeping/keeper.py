"""Who keeps a supervisor going when nobody is logged in: systemd, or cron. What both answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

By = Literal["systemd", "cron"]


@dataclass(frozen=True, slots=True)
class Kept:
    """How it stands. `notes`: what its owner has to know, or to do."""

    by: By
    where: str
    installed: bool
    running: bool
    """Whether it is the one that keeps the supervisor which runs, or cron itself runs."""
    pid: int | None = None
    lingers: bool | None = None
    """Whether it outlives the last logout; None: it always does."""
    restarts: int | None = None
    notes: tuple[str, ...] = ()


class Keeper(Protocol):
    """One of the two, for one home."""

    @property
    def by(self) -> By: ...

    def install(self) -> Kept:
        """Have a supervisor kept, from now on. Again: what has changed is written anew."""
        ...

    def uninstall(self) -> bool:
        """Take all of that back. False: there was nothing."""
        ...

    def look(self) -> Kept:
        """How it stands; nothing is changed."""
        ...
