"""The cgroup v2 leaf of one attempt, as the runner uses it: put init in, read what the kernel counted, kill.

The supervisor makes the leaf, sets its limits and removes it. The runner itself stays outside, because the kernel ends
everything in a leaf that is out of memory, and somebody has to tell.
"""

from __future__ import annotations

import os
from contextlib import suppress

from runner.ending import Cause, Used
from runner.meter import Sample
from runner.refusal import RefusalError
from runner.sizes import size
from shared.messages import Limits
from shared.reasons import Reason
from shared.record import NamedTuple

# Not every kernel has each of them.
COUNTERS = (
    *("cpu.stat", "memory.current", "memory.events", "memory.peak"),
    *("pids.current", "pids.events", "pids.peak"),
)


class Counts(NamedTuple):
    """What only grows as long as the leaf is there: CPU time, forks refused, processes killed for memory."""

    cpu_seconds: float = 0.0
    refused: int = 0
    oom_kills: int = 0


class Leaf:
    """Opened whole before root is left behind: whoever opened a file may use it, and no agent's uid may open these.

    An attempt on a branch makes several cells in it, one after the other. Each has the limits for itself, so what
    counts is what was counted since it was put in. (Peaks cannot be set back before Linux 6.12: they are of all.)
    """

    def __init__(self, path: str) -> None:
        try:
            self._procs = os.open(f"{path}/cgroup.procs", os.O_RDWR | os.O_CLOEXEC)
            self._kill = os.open(f"{path}/cgroup.kill", os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise _refusal(error) from error
        self._counters: dict[str, int] = {}
        for name in COUNTERS:
            with suppress(FileNotFoundError):
                self._counters[name] = os.open(f"{path}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        self._before = Counts()

    def take(self, init: int) -> None:
        """Put the cell's init in, before there is anything below it. Raises RefusalError."""
        self._before = self._counts()
        try:
            os.write(self._procs, b"%d" % init)
            taken = os.pread(self._procs, 1 << 16, 0).split()
        except OSError as error:
            raise _refusal(error) from error
        if b"%d" % init not in taken:
            sentence = "The run's cgroup did not take the cell. No agent was started. Run: cronward doctor"
            raise RefusalError(Reason.SANDBOX_UNAVAILABLE, sentence)

    def kill(self) -> None:
        """End everything in it, at once."""
        with suppress(OSError):
            os.write(self._kill, b"1")

    def sample(self, _enough: int) -> Sample:
        """What it uses now, by the kernel's own counters."""
        return Sample(self._number("memory.current"), self._number("pids.current"), self._since().cpu_seconds)

    def used(self, seen: Used) -> Used:
        """The peaks: the kernel's where it keeps them (memory since Linux 5.19, processes since 6.11), else as seen."""
        since = self._since()
        return Used(
            memory=max(seen.memory, self._number("memory.peak")),
            processes=max(seen.processes, self._number("pids.peak")),
            cpu_seconds=max(seen.cpu_seconds, since.cpu_seconds),
            refused=since.refused,
            disk=seen.disk,
        )

    def out_of_memory(self, limits: Limits) -> Cause | None:
        """Why the kernel ended it, if it did."""
        if not self._since().oom_kills:
            return None
        sentence = f"The agent and its processes needed more than {size(limits.memory_bytes)} of memory, their limit."
        return Cause(
            Reason.OUT_OF_MEMORY, f"{sentence} Give the job more (--memory, or a larger --type), or have it need less."
        )

    def _since(self) -> Counts:
        """What was counted of this cell alone."""
        now, before = self._counts(), self._before
        cpu_seconds = now.cpu_seconds - before.cpu_seconds
        return Counts(cpu_seconds, now.refused - before.refused, now.oom_kills - before.oom_kills)

    def _counts(self) -> Counts:
        return Counts(
            parse_keyed(self._text("cpu.stat")).get("usage_usec", 0) / 1e6,
            parse_keyed(self._text("pids.events")).get("max", 0),
            parse_keyed(self._text("memory.events")).get("oom_kill", 0),
        )

    def _number(self, name: str) -> int:
        text = self._text(name).strip()
        return int(text) if text.isdigit() else 0

    def _text(self, name: str) -> bytes:
        """Empty where the kernel has no such file."""
        try:
            return os.pread(self._counters[name], 1 << 16, 0)
        except (KeyError, OSError):
            return b""


def parse_keyed(text: bytes) -> dict[str, int]:
    """Lines of a word and a number, as the kernel's `events` and `stat` files have them."""
    pairs = (line.split() for line in text.decode("ascii", "replace").splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


def _refusal(error: OSError) -> RefusalError:
    return RefusalError(
        Reason.SANDBOX_UNAVAILABLE,
        f"The run's cgroup cannot be used ({error.strerror}). No agent was started. Run: cronward doctor",
    )
