"""Waiting: calls the scheduler's turns when it wants them, and whenever somebody changed something."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from supervisor.scheduler import Wake
from supervisor.timing.clock import Clock, Moment
from supervisor.timing.timerfd import WallTimer


@dataclass(slots=True)
class Pulse:
    """A sign of life that only a whole turn can give: `beat`, at most every `seconds` and no later than that."""

    seconds: float
    beat: Callable[[], None]
    _next: float = 0.0

    def felt(self, mono: float) -> float:
        """A turn is over. Returns when the next one is wanted, whatever else there is to do."""
        if mono >= self._next:
            self._next = mono + self.seconds
            self.beat()
        return self._next


class Turns:
    """Wakes at instants by the kernel's wall clock timer, at monotonic readings by the loop's own; never polls."""

    def __init__(
        self,
        tick: Callable[[Moment], Wake],
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        pulse: Pulse | None = None,
    ) -> None:
        self._tick, self._clock, self._loop, self._pulse = tick, clock, loop, pulse
        self._timer = WallTimer()
        self._later: asyncio.TimerHandle | None = None
        self._soon = self._closed = False
        loop.add_reader(self._timer.fileno(), self._fired)

    def soon(self) -> None:
        """Have a turn as soon as the loop is free. Cheap to call often."""
        if not self._soon:
            self._soon = True
            self._loop.call_soon(self._turn)

    def close(self) -> None:
        """No more turns, those that were asked for included."""
        self._closed = True
        self._loop.remove_reader(self._timer.fileno())
        self._timer.close()
        if self._later is not None:
            self._later.cancel()

    def _fired(self) -> None:
        # A clock that was set needs nothing else: what is due is kept as instants, and the turn sets the timer anew.
        now = self._clock.now()
        self._timer.read()
        self._turn(now)  # at once: what is due has waited long enough

    def _turn(self, now: Moment | None = None) -> None:
        self._soon = False
        if self._closed:
            return
        now = now or self._clock.now()
        wake = self._tick(now)
        self._timer.set(wake.wall)
        if self._later is not None:
            self._later.cancel()
        # Last of all, so that a turn that fails or hangs, wherever it does, gives no sign of life.
        monos = [wake.mono, None if self._pulse is None else self._pulse.felt(now.mono)]
        at = min((mono for mono in monos if mono is not None), default=None)
        self._later = None if at is None else self._loop.call_later(max(0.0, at - now.mono), self.soon)
