"""The one reader of time. Everything else is told what time it is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on both clocks: what people mean by it, and what durations are measured with."""

    wall: datetime
    """UTC, aware. May jump when the clock is set."""
    mono: float
    """Seconds since boot. Never jumps, and goes on while the machine sleeps."""


class Clock(Protocol):
    """Says what time it is."""

    def now(self) -> Moment:
        """Both clocks, read together."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> Moment:
        """Both clocks, read together."""
        # BOOTTIME, not MONOTONIC: a timeout that began before a laptop slept must not be longer by that sleep.
        return Moment(wall=datetime.now(UTC), mono=time.clock_gettime(time.CLOCK_BOOTTIME))
