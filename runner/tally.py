"""Who counts what one cell uses: its cgroup v2 leaf where it has one, else a look at each of its processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic

from runner.ending import Cause, Ending
from runner.growth import Growth, crowded
from runner.leaf import Leaf
from runner.meter import TreeMeter
from runner.refusal import RefusalError
from runner.watchdog import Watchdog
from shared.messages import Limits
from shared.reasons import Reason


class Tally:
    """From the cell's init on. `init`: its pid as the host numbers it, once it is known. `places`: open directories
    that the agent may write to; `apart`: whether the kernel counts the run's processes alone."""

    def __init__(self, limits: Limits, leaf: Leaf | None, places: Sequence[int] = (), *, apart: bool = True) -> None:
        self._limits, self._leaf, self._apart = limits, leaf, apart
        self.init = 0
        self._growth = Growth(places, limits, lambda: TreeMeter(self.init).pids() if self.init else ())
        self._growth.begin(monotonic)

    def begin(self, init: int, parent: int) -> None:
        """Before the agent is started: from now on all that comes from init counts. Raises RefusalError.

        Where /proc shows other processes than ours (a container with the host's), nothing would be counted at all.
        """
        self.init = init
        if self._leaf is not None:
            self._leaf.take(init)
        elif TreeMeter(init).parent() != parent:
            raise RefusalError(
                Reason.SANDBOX_UNAVAILABLE,
                "The cell's processes are not to be seen in /proc, so its memory could not be limited. "
                "Mount /proc for this PID namespace, without hidepid.",
            )

    def watchdog(self) -> Watchdog:
        """What looks at it from time to time."""
        sample = TreeMeter(self.init).sample if self._leaf is None else self._leaf.sample
        processes = None if self._apart or self._leaf is not None else self._limits.processes
        counted = self._leaf is None
        return Watchdog(self._limits, sample, counts_memory=counted, processes=processes, disk=self._look)

    def _look(self, clock: Callable[[], float]) -> Cause | None:
        full = self._growth.look(clock)
        return full or (crowded(self.init, self._limits) if self._apart else None)

    def kill(self) -> None:
        """End it by its cgroup, where it has one."""
        if self._leaf is not None:
            self._leaf.kill()

    def settle(self, ending: Ending) -> Ending:
        """With the kernel's own counts, and its reason where it was the kernel that ended the cell."""
        cause = ending.cause
        if self._leaf is not None and cause is None and ending.report.status is None:
            cause = self._leaf.out_of_memory(self._limits)
        # Counted where an agent ran: also what it wrote in its last moment.
        full = self._growth.settle(monotonic) if ending.report.started else None
        used = ending.used if self._leaf is None else self._leaf.used(ending.used)
        return ending._replace(used=used._replace(disk=self._growth.peak), cause=cause or full)
