"""The gate of starts: few attempts are starting at a time, so that a burst does not slow down each of its runs."""

from __future__ import annotations

from dataclasses import dataclass, field

SECONDS = 10.0
"""After which an attempt that has not said that it has its request is not waited for: one that hangs delays nobody."""


@dataclass(slots=True)
class Gate:
    """Those that are starting: from the spawn until the runner has its request or is gone. Apart from the cap on runs
    that go on, because what a start needs is a CPU, and what a run needs is memory. `most`: at once."""

    most: int
    _since: dict[str, float] = field(default_factory=dict)

    @property
    def closed(self) -> bool:
        """Whether as many are starting as may."""
        return len(self._since) >= self.most

    def enter(self, run_id: str, now: float) -> None:
        """It was spawned, in monotonic seconds."""
        self._since[run_id] = now

    def leave(self, run_id: str) -> None:
        """It has its request, or is gone. Again: nothing more changes."""
        self._since.pop(run_id, None)

    def expire(self, now: float) -> None:
        """Do not wait for those any more that have been starting for too long."""
        for run_id in [run_id for run_id, since in self._since.items() if now >= since + SECONDS]:
            self.leave(run_id)

    def opens(self) -> float | None:
        """When a closed gate opens of itself. None: it is open."""
        return min(self._since.values(), default=0.0) + SECONDS if self.closed else None
