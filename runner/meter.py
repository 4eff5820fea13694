"""What the processes of one cell use, read from /proc.

They are found from the cell's init on, which is the ancestor of all of them: whoever loses its parent in there becomes
init's child. Reading a process that has just ended gives nothing; what took its place is seen at the next look.
"""

from __future__ import annotations

import os
from contextlib import suppress
from time import monotonic

from runner import kernel
from shared import kinship
from shared.record import NamedTuple

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
# The exact measure costs 16 ms for each GiB that each process maps: twenty processes that share one take 0.3 s.
EXACT_SECONDS = 0.5
# The tables of what a process maps are memory that is not among its own: at most one part in 512 of it, so that they
# are asked for only where they can come to anything.
VAST = 8 << 30


class Sample(NamedTuple):
    """One look. `memory` in bytes; `processes` with their threads, init among them, as the kernel's limit counts."""

    memory: int
    processes: int
    cpu_seconds: float


class Stat(NamedTuple):
    """Of /proc/PID/stat. Times in ticks: its own, and those of the children that it has waited for. `thread`: one that
    can be asked for its memory; where the first one has ended, another. `rss` with the page tables of a vast process.
    """

    thread: int
    ended: bool
    parent: int
    own: int
    reaped: int
    threads: int
    start: int
    size: int
    rss: int


class TreeMeter:
    """The tree below and including `init`, whose own memory and time are cronward's and not counted."""

    def __init__(self, init: int, proc: str = "/proc") -> None:
        self._init, self._proc = init, proc
        # The kernel's own list of children, where it keeps one (CONFIG_PROC_CHILDREN).
        self._listed = os.path.exists(f"{proc}/{init}/task/{init}/children")
        self._own: dict[tuple[int, int], int] = {}
        self._gone = 0

    def sample(self, enough: int) -> Sample:
        """What the tree uses now. Up to `enough` memory is not exact: shared pages count for each process."""
        stats = self._walk()
        inner = {pid: stat for pid, stat in stats.items() if pid != self._init}
        memory = sum(stat.rss for stat in inner.values())
        if memory > enough:
            memory = self._exact(inner)
        return Sample(memory, sum(stat.threads for stat in stats.values()), self._cpu(stats))

    def pids(self) -> list[int]:
        """Of all its processes now, init apart."""
        return [pid for pid in self._walk() if pid != self._init]

    def parent(self) -> int:
        """Init's parent; 0 where init is not to be seen."""
        stat = self._stat(self._init)
        return 0 if stat is None else stat.parent

    def _cpu(self, stats: dict[int, Stat]) -> float:
        """Two ways of counting, each blind for something: the kernel forgets what children used whose parent ignores
        SIGCHLD, and we never see a process that lives between two looks."""
        now = {(pid, stat.start): stat.own for pid, stat in stats.items() if pid != self._init}
        self._gone += sum(ticks for process, ticks in self._own.items() if process not in now)
        self._own = now
        waited_for = sum(stat.reaped for stat in stats.values())
        return (sum(now.values()) + max(self._gone, waited_for)) / TICKS

    def _exact(self, stats: dict[int, Stat]) -> int:
        """Each page once, however many share it. What cannot be read, or not in time, counts whole."""
        until, total = monotonic() + EXACT_SECONDS, 0
        for stat in stats.values():
            parent = stats.get(stat.parent)
            # Between vfork and exec a process is its parent once more; equal sizes are the cheap sign to look closer.
            if parent is not None and parent.size == stat.size and kernel.share_memory(stat.thread, parent.thread):
                continue
            exact = self._proportional(stat) if monotonic() < until else None
            total += stat.rss if exact is None else exact
        return total

    def _proportional(self, stat: Stat) -> int | None:
        """Its share of what it maps, in bytes; None: it may not be read."""
        try:
            with open(f"{self._proc}/{stat.thread}/smaps_rollup", "rb") as file:
                text = file.read(4096)
        except (FileNotFoundError, ProcessLookupError):
            return 0
        except OSError:
            return None
        return parse_proportional(text) + self._tables(stat)

    def _walk(self) -> dict[int, Stat]:
        if not self._listed:
            return self._scan()
        found: dict[int, Stat] = {}
        left = [self._init]
        while left:
            pid = left.pop()
            stat = None if pid in found else self._stat(pid)
            if stat is not None:
                found[pid] = stat
                left += self._children(pid, stat.threads)
        return found

    def _scan(self) -> dict[int, Stat]:
        """The same out of everybody's parents: five times as dear."""
        stats = {int(name): self._stat(int(name)) for name in os.listdir(self._proc) if name.isdigit()}
        below: dict[int, list[int]] = {}
        for pid, stat in stats.items():
            if stat is not None:
                below.setdefault(stat.parent, []).append(pid)
        found: dict[int, Stat] = {}
        left = [self._init]
        while left:
            pid = left.pop()
            if (stat := stats.get(pid)) is not None:
                found[pid] = stat
                left += below.get(pid, [])
        return found

    def _children(self, pid: int, threads: int) -> list[int]:
        """Children belong to the thread that forked them."""
        tasks = [str(pid)]
        children: list[int] = []
        with suppress(OSError):
            if threads > 1:
                tasks = os.listdir(f"{self._proc}/{pid}/task")
        for task in tasks:
            with suppress(OSError):
                children += kinship.listed(f"{self._proc}/{pid}/task/{task}/children")
        return children

    def _stat(self, pid: int) -> Stat | None:
        stat = self._read_stat(f"{self._proc}/{pid}/stat")
        if stat is None:
            return None
        if stat.ended and stat.threads > 1:  # what stands there of its memory is the first thread's: nothing
            living = self._living_thread(pid)
            stat = stat if living is None else stat._replace(thread=living.thread, size=living.size, rss=living.rss)
        return stat if stat.size < VAST else stat._replace(rss=stat.rss + self._tables(stat))

    def _living_thread(self, pid: int) -> Stat | None:
        with suppress(OSError):
            for task in os.listdir(f"{self._proc}/{pid}/task"):
                stat = self._read_stat(f"{self._proc}/{pid}/task/{task}/stat")
                if stat is not None and not stat.ended:
                    return stat
        return None

    def _read_stat(self, path: str) -> Stat | None:
        try:
            with open(path, "rb", buffering=0) as file:
                return parse_stat(file.read(4096))
        except OSError:
            return None

    def _tables(self, stat: Stat) -> int:
        """The page tables of a vast process, in bytes."""
        if stat.size < VAST:
            return 0
        try:
            with open(f"{self._proc}/{stat.thread}/status", "rb", buffering=0) as file:
                return kib(file.read(), b"VmPTE:")
        except OSError:
            return 0


def parse_stat(text: bytes) -> Stat:
    """By /proc/PID/stat, whose second field, the name, may hold anything."""
    first, _, rest = text.partition(b" ")
    fields = rest.rpartition(b") ")[2].split()
    number = [int(field) for field in fields[1:22]]
    return Stat(
        thread=int(first),
        ended=fields[0] in (b"Z", b"X"),
        parent=number[0],
        own=number[10] + number[11],
        reaped=number[12] + number[13],
        threads=number[16],
        start=number[18],
        size=number[19],
        rss=number[20] * PAGE,
    )


def parse_proportional(text: bytes) -> int:
    """The `Pss` line of smaps_rollup in bytes; 0 where there is none, as of a process that is ending."""
    return kib(text, b"Pss:")


def kib(text: bytes, key: bytes) -> int:
    """What the line that begins so says in KiB, in bytes; 0 where there is none. Names in there have no newline."""
    return next((int(line.split()[1]) << 10 for line in text.splitlines() if line.startswith(key)), 0)


def threads_of(uid: int, proc: str = "/proc") -> int:
    """How many processes and threads a user has, whosever they are: what RLIMIT_NPROC is compared with."""
    count = 0
    for name in os.listdir(proc):
        if name.isdigit():
            with suppress(OSError), open(f"{proc}/{name}/status", "rb", buffering=0) as file:
                status = dict(line.split(b":\t", 1) for line in file.read().splitlines() if b":\t" in line)
                count += int(status[b"Threads"]) if int(status[b"Uid"].split()[0]) == uid else 0
    return count
