"""Whether the host has room for one more run: what is read from /proc, and what that means."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from supervisor.config import Config
from supervisor.definitions.sizes import format_size

HOST_AGAIN = 2.0
"""Seconds until a host that was too busy is asked again."""
_AVAILABLE = re.compile(r"^MemAvailable:\s+(\d+) kB$", re.MULTILINE)
_SOME = re.compile(r"^some avg10=(\d+(?:\.\d+)?) ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pressure:
    """How the host is. None: it does not say (kernels without PSI, a masked /proc)."""

    available: int | None = None
    """Bytes that can be had without swapping."""
    memory: float | None = None
    cpu: float | None = None
    """Percent of the last 10 seconds in which some process waited for it."""


@dataclass(slots=True)
class Room:
    """Whether one more run may start. Asked before each, for each changes the answer; but a host that was busy once
    stays so for the turn."""

    ask: Callable[[], str]
    short_of_disk: Callable[[str], str] = lambda _place: ""
    """Why nothing may start that writes there; empty where it may."""
    trial: Callable[[str], bool] = lambda _agent: False
    """Whether a check of this agent uses its login."""
    busy: str = ""
    short: bool = False
    tried: bool = False

    def begin_turn(self) -> None:
        """Nothing has been asked yet."""
        self.busy, self.short, self.tried = "", False, False

    def look(self, place: str = "") -> str:
        """Why there is none for a run that writes to `place`; empty where there is."""
        self.busy = self.busy or self.ask()
        if self.busy or not place:
            return self.busy
        found = self.short_of_disk(place)
        self.short = self.short or bool(found)
        return found

    def on_trial(self, agent: str) -> bool:
        """Whether a run that may renew the login of this agent has to wait for a check."""
        found = self.trial(agent)
        self.tried = self.tried or found
        return found

    @property
    def ask_again(self) -> bool:
        """Whether something waits for what nobody tells the end of."""
        return self.short or self.tried or bool(self.busy)


def busy(found: Pressure, config: Config) -> str:
    """Why no run should start now, in words; empty where one may."""
    least = config.min_available_memory
    if least and found.available is not None and found.available < least:
        left = format_size(found.available >> 20 << 20)
        return f"the host is busy: {left} of memory are available, {format_size(least)} must be"
    for what, share, most in (
        ("memory", found.memory, config.max_memory_pressure),
        ("a CPU", found.cpu, config.max_cpu_pressure),
    ):
        if most and share is not None and share > most:
            return f"the host is busy: processes wait for {what} {share:g} % of the time, {most} % is the most"
    return ""


def short_of_disk(place: str, config: Config) -> str:
    """Why nothing should start that writes to this directory, in words; empty where it may. What cannot be asked, as
    one that is gone, keeps nothing waiting: the attempt says what is wrong with it."""
    if not config.disk_floor:
        return ""
    try:
        found = os.statvfs(place)
    except (OSError, ValueError):  # ValueError: it holds NUL, or half of a surrogate pair
        return ""
    left = found.f_bavail * found.f_frsize
    if left >= config.disk_floor:
        return ""
    told = f"{format_size(left >> 20 << 20)} of disk are left where {ascii(place)[1:-1][:200]} lies"
    return f"the host is busy: {told}, {format_size(config.disk_floor)} must stay"


def read(config: Config, proc: Path = Path("/proc")) -> Pressure:
    """How the host is now, as far as these settings ask: up to three small files, 0.1 ms each."""
    available = _found(_AVAILABLE, proc / "meminfo") if config.min_available_memory else None
    return Pressure(
        available=None if available is None else int(available) << 10,
        memory=_found(_SOME, proc / "pressure" / "memory") if config.max_memory_pressure else None,
        cpu=_found(_SOME, proc / "pressure" / "cpu") if config.max_cpu_pressure else None,
    )


def _found(pattern: re.Pattern[str], file: Path) -> float | None:
    try:
        match = pattern.search(file.read_text("ascii", "replace"))
    except OSError:
        return None
    return None if match is None else float(match[1])
