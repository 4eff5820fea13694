"""Watches what a run writes to disk: by how much its directories grow, and what their file systems have left.

No quota is needed, and none is to be had without root. Going through a directory takes long where it is large, so it is
done a few milliseconds at a time, and begun anew only when the file system has lost some of its free space: that is one
cheap call, and the first sign. What the first count finds unchanged since the start is what was there before.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence

from runner.census import ENTRY, Census
from runner.ending import Cause
from runner.sizes import size
from shared.messages import Limits
from shared.reasons import Reason
from shared.record import NamedTuple

# Of each look, which comes every 100 ms: 4 % of a CPU, and half of one while the limit may be passed already.
SLICE, HURRY = 0.004, 0.05
# While bubblewrap builds the cell there is nothing else to do, so a small directory is counted before the agent starts.
FIRST, LAST = 0.01, 0.1
# What others free hides what the run writes, so it is counted now and then whatever the file system says: at most once
# a second, and for at most a fiftieth of the time.
SELDOM, REST = 1.0, 50
STEP_LEAST, STEPS = 1 << 20, 64
# The cell's own, in memory.
PRIVATE = ("/tmp", "/dev/shm", "/home/agent")
FILES_LEAST = 10_000
CLOCK_REALTIME_COARSE = 5  # by which the kernel dates changes


class Free(NamedTuple):
    """What file systems have left: bytes, and files that could still be made."""

    size: int
    files: int

    def fallen(self, before: Free) -> int:
        """By how many bytes, a file counting as a census counts one."""
        return max(before.size - self.size, (before.files - self.files) * ENTRY)


class Growth:
    """`places`: open directories that the run may write to. `pids`: the processes of its cell. Times are
    time.monotonic's; `peak` in bytes."""

    def __init__(self, places: Sequence[int], limits: Limits, pids: Callable[[], Iterable[int]]) -> None:
        self._places, self._limits, self._pids = places, limits, pids
        self._since = time.clock_gettime_ns(CLOCK_REALTIME_COARSE)
        self._at_start = self._at_count = self._free()
        self._count: Census | None = None
        self._before: int | None = None
        self._due, self._cost = 0.0, 0.0
        self._now = self.peak = 0
        self._step = max(STEP_LEAST, (limits.disk_bytes or 0) // STEPS)

    def begin(self, clock: Callable[[], float]) -> None:
        """Before the agent is started."""
        if self._places and self._limits.disk_bytes is not None:
            self._go_on(clock, FIRST)

    def look(self, clock: Callable[[], float]) -> Cause | None:
        """One look: the limit that is passed, if one is."""
        if not self._places:
            return None
        return self._floor() or self._limit(clock)

    def settle(self, clock: Callable[[], float]) -> Cause | None:
        """When nothing of the run is left: the last count, where it does not take long."""
        if not self._places or self._limits.disk_bytes is None:
            return None
        if self._before is not None:
            self._count = None
        self._pids = tuple
        self._go_on(clock, LAST)
        return self._passed()

    def _floor(self) -> Cause | None:
        floor = self._limits.disk_floor_bytes
        if not floor:
            return None
        for place in self._places:
            found = os.fstatvfs(place)
            if found.f_bavail * found.f_frsize < floor:
                left = size(found.f_bavail * found.f_frsize)
                sentence = f"Where the run writes, {left} of disk are left, and {size(floor)} must stay."
                return Cause(Reason.DISK_LIMIT, f"{sentence} Make room there, or lower disk_floor.")
        return None

    def _limit(self, clock: Callable[[], float]) -> Cause | None:
        if self._limits.disk_bytes is None:
            return None
        fallen = self._free().fallen(self._at_count)
        if self._count is None and fallen < self._step and clock() < self._due:
            return None
        hurried = self._before is None or self._now + fallen > self._limits.disk_bytes
        self._go_on(clock, HURRY if hurried else SLICE)
        return self._passed()

    def _go_on(self, clock: Callable[[], float], seconds: float) -> None:
        if self._count is None:
            self._count, self._cost = Census(self._places, self._since), 0.0
            self._at_count = self._free()
        count, began = self._count, clock()
        done = count.go_on(lambda: clock() - began > seconds)
        if done:
            count.add_deleted(self._pids())
            self._before = count.old if self._before is None else self._before
        self._note(count, done=done)
        ended = clock()
        self._cost += ended - began
        if done:
            self._count, self._due = None, ended + max(SELDOM, REST * self._cost)

    def _note(self, count: Census, *, done: bool) -> None:
        """What a count has found so far. One that is not done knows too little, never too much."""
        grown = count.new if self._before is None else count.total - self._before
        if done and count.hidden:  # all that the file system lost, then
            grown = max(grown, self._free().fallen(self._at_start))
        self._now = max(0, grown) if done else max(self._now, grown)
        self.peak = max(self.peak, self._now)

    def _passed(self) -> Cause | None:
        limit = self._limits.disk_bytes
        if limit is None or self._now <= limit:
            return None
        sentence = f"The run wrote {size(self._now)} more to disk than there was before; {size(limit)} is the limit."
        return Cause(Reason.DISK_LIMIT, f"{sentence} Give the job a larger one (--disk), or make it write less.")

    def _free(self) -> Free:
        """Of all file systems that are written to, each once."""
        found = {os.fstat(place).st_dev: os.fstatvfs(place) for place in self._places}.values()
        return Free(sum(each.f_bfree * each.f_frsize for each in found), sum(each.f_ffree for each in found))


def crowded(init: int, limits: Limits, proc: str = "/proc") -> Cause | None:
    """Whether a private file system holds more files than its size would with pages in them. Each takes 1 KiB of the
    kernel's memory, which nobody's size shows, and bubblewrap cannot bound their number."""
    most = max(FILES_LEAST, limits.tmp_bytes // 4096)
    for path in PRIVATE:
        try:
            found = os.statvfs(f"{proc}/{init}/root{path}")
        except OSError:  # it is ending
            return None
        if found.f_files - found.f_ffree > most:
            sentence = f"There are more than {most} files in its private {path}. Give the job a larger one (--tmp)."
            return Cause(Reason.DISK_LIMIT, sentence)
    return None
