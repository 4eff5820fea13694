"""Whether the host has room for one more run: what is read from /proc, and what that means."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from supervisor.config import Config
from supervisor.sizes import format_size

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
    """Whether one more run may start. Asked before each, for each changes the answer; but once busy it stays so until
    `busy`, which says why, is emptied again."""

    ask: Callable[[], str]
    busy: str = ""

    def look(self) -> str:
        """Why there is none; empty where there is."""
        self.busy = self.busy or self.ask()
        return self.busy


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


def read(proc: Path = Path("/proc")) -> Pressure:
    """How the host is now: three small files, 0.1 ms."""
    available = _found(_AVAILABLE, proc / "meminfo")
    return Pressure(
        available=None if available is None else int(available) << 10,
        memory=_found(_SOME, proc / "pressure" / "memory"),
        cpu=_found(_SOME, proc / "pressure" / "cpu"),
    )


def _found(pattern: re.Pattern[str], file: Path) -> float | None:
    try:
        match = pattern.search(file.read_text("ascii", "replace"))
    except OSError:
        return None
    return None if match is None else float(match[1])
