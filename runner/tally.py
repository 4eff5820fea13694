"""Who counts what one cell uses: its cgroup v2 leaf where it has one, else a look at each of its processes."""

from __future__ import annotations

from runner.ending import Ending
from runner.leaf import Leaf
from runner.meter import TreeMeter
from runner.refusal import RefusalError
from runner.watchdog import Watchdog
from shared.messages import Limits
from shared.reasons import Reason


class Tally:
    """From the cell's init on. `init`: its pid as the host numbers it, once it is known. `apart`: whether the kernel
    counts the run's processes alone."""

    def __init__(self, limits: Limits, leaf: Leaf | None, *, apart: bool = True) -> None:
        self._limits, self._leaf, self._apart = limits, leaf, apart
        self.init = 0

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
        return Watchdog(self._limits, sample, counts_memory=self._leaf is None, processes=processes)

    def kill(self) -> None:
        """End it by its cgroup, where it has one."""
        if self._leaf is not None:
            self._leaf.kill()

    def settle(self, ending: Ending) -> Ending:
        """With the kernel's own counts, and its reason where it was the kernel that ended the cell."""
        if self._leaf is None:
            return ending
        cause = ending.cause
        if cause is None and ending.report.status is None:
            cause = self._leaf.out_of_memory(self._limits)
        return ending._replace(used=self._leaf.used(ending.used), cause=cause)
