"""Looks at what a cell uses while it runs: keeps the peaks, and says when a limit of the whole run is passed.

Where a cgroup counts memory the kernel enforces that limit, and only what it does not limit is decided here.
"""

from __future__ import annotations

from collections.abc import Callable

from runner.ending import Cause, Used
from runner.kill import Rung
from runner.meter import Sample
from runner.sizes import size
from shared.messages import Limits
from shared.reasons import Reason
from shared.record import NamedTuple

# One process writes a GiB in half a second: at 100 ms it passes its limit by 200 MiB at most, at 500 ms by 600.
PERIOD = 0.1
# The share of time that looking may take: after a dear look the next one waits for so many times its cost.
REST = 4


class Breach(NamedTuple):
    """A limit that is passed, and how steep the way down is for it."""

    cause: Cause
    rung: Rung


class Watchdog:
    """`sample` is asked with the memory up to which it need not be exact; `processes`: how many there may be, where
    the kernel does not count them; `disk` is asked at each look for a limit of what is written that is passed. Times
    are time.monotonic's."""

    def __init__(
        self,
        limits: Limits,
        sample: Callable[[int], Sample],
        *,
        counts_memory: bool,
        processes: int | None = None,
        disk: Callable[[Callable[[], float]], Cause | None] = lambda _clock: None,
    ) -> None:
        self._limits, self._sample, self._counts_memory, self._disk = limits, sample, counts_memory, disk
        self._processes = processes
        self.used = Used()
        self.due = 0.0

    def look(self, clock: Callable[[], float]) -> Breach | None:
        """One look, if it is due."""
        began = clock()
        if began < self.due:
            return None
        found = self._sample(self._limits.memory_bytes)
        self.due = began + max(PERIOD, (1 + REST) * (clock() - began))
        self.used = Used(
            memory=max(self.used.memory, found.memory),
            processes=max(self.used.processes, found.processes),
            cpu_seconds=max(self.used.cpu_seconds, found.cpu_seconds),
        )
        passed = breach(found, self._limits, self._counts_memory, self._processes)
        full = self._disk(clock)
        # At once too: what it goes on writing is what the others lack.
        return passed or (Breach(full, Rung.KILL) if full else None)


def breach(found: Sample, limits: Limits, counts_memory: bool, processes: int | None = None) -> Breach | None:
    """The limit that this sample passes. Memory first, and at once: it is what other runs would lack."""
    if counts_memory and found.memory > limits.memory_bytes:
        return Breach(out_of_memory(limits, found.memory), Rung.KILL)
    if processes is not None and found.processes > processes:
        sentence = f"The agent had {found.processes} processes and threads; {processes} is the limit."
        return Breach(Cause(Reason.PROCESS_LIMIT, sentence), Rung.KILL)
    if limits.cpu_seconds is not None and found.cpu_seconds >= limits.cpu_seconds:
        sentence = f"The agent and its processes used {found.cpu_seconds:.1f} s of {limits.cpu_seconds} s of CPU time."
        return Breach(Cause(Reason.CPU_LIMIT, sentence), Rung.TERM)
    return None


def out_of_memory(limits: Limits, memory: int) -> Cause:
    """`memory`: what was measured, in bytes."""
    sentence = f"The agent and its processes used {size(memory)} of memory; {size(limits.memory_bytes)} is the limit."
    return Cause(
        Reason.OUT_OF_MEMORY, f"{sentence} Give the job more (--memory, or a larger --type), or have it need less."
    )
