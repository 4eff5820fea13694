"""What lies below the directories that a run writes to, added up bit by bit while the run goes on.

Blocks count, not lengths: a sparse file takes what it takes. Each entry counts as at least 4 KiB, because names and
inodes run out as well. What is linked twice, and what is large and may be moved while we look, counts once.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from runner import kernel
from runner.meter import parse_stat
from shared.tree import FOLDER, Found, Tree

ENTRY = 4096
LARGE = 1 << 20
MOST_KNOWN = 100_000
MOST_DESCRIPTORS = 10_000
# Of one process. The threads of a usual one share theirs.
MOST_TABLES = 16


class Census:
    """One count. `since`: in nanoseconds; what was changed after it is `new`, the rest `old`, both in bytes.
    `hidden`: whether something was not seen that the run may have hidden."""

    def __init__(self, tops: Sequence[int], since: int) -> None:
        self.old = self.new = 0
        self.hidden = False
        self.devices = {os.fstat(top).st_dev for top in tops}
        self._since, self._uid = since, os.geteuid()
        self._known: set[tuple[int, int]] = set()
        self._entries = self._all(tops)

    @property
    def total(self) -> int:
        return self.old + self.new

    def go_on(self, enough: Callable[[], bool]) -> bool:
        """Count until it is `enough` for now. Whether all is counted."""
        for found in self._entries:
            self._count(found)
            if enough():
                return False
        return True

    def add_deleted(self, pids: Iterable[int], proc: str = "/proc") -> None:
        """And what has no name any more, but is still open in one of these processes."""
        left = MOST_DESCRIPTORS
        for thread in (thread for pid in pids for thread in self._with_tables(f"{proc}/{pid}/task")):
            names = self._descriptors(thread)
            left -= len(names)
            if left < 0:
                self.hidden = True
                return
            for name in names:
                self._add_deleted(f"{thread}/fd/{name}")

    def _with_tables(self, tasks: str) -> Iterator[str]:
        """The threads of a process whose descriptors are all that it has. Each may have a table of its own, and the
        first one may have ended, so that its process seems to have none open."""
        known: list[int] = []
        with suppress(OSError):
            for thread in map(int, os.listdir(tasks)):
                if all(kernel.have_own_files(thread, other) for other in known):
                    if len(known) >= MOST_TABLES:
                        self.hidden = True
                        return
                    known.append(thread)
                    yield f"{tasks}/{thread}"

    def _descriptors(self, thread: str) -> list[str]:
        """Nothing where it is gone, or ending: what has no memory any more is root's, by the kernel's rule. Where else
        they may not be seen, a process has made itself undumpable."""
        with suppress(OSError):
            try:
                return os.listdir(f"{thread}/fd")
            except PermissionError:
                with open(f"{thread}/stat", "rb", buffering=0) as file:
                    self.hidden = self.hidden or parse_stat(file.read(4096)).size > 0
        return []

    def _add_deleted(self, path: str) -> None:
        try:
            found = os.stat(path)
        except OSError:  # closed meanwhile
            return
        if stat.S_ISREG(found.st_mode) and not found.st_nlink and found.st_dev in self.devices and self._first(found):
            self.new += found.st_blocks * 512

    def _all(self, tops: Sequence[int]) -> Iterator[Found]:
        for top in tops:
            with Tree(top) as tree:
                yield from tree
                self.hidden = self.hidden or tree.cut

    def _count(self, found: Found) -> None:
        seen = found.stat
        size = max(seen.st_blocks * 512, ENTRY)
        if not found.is_folder:
            self.devices.add(seen.st_dev)
            if (size >= LARGE or seen.st_nlink > 1) and not self._first(seen):
                size = ENTRY
        if seen.st_ctime_ns > self._since:
            self.new += size
            # One that its owner, who we are, may not look into: made so by the run, while it holds it open.
            if found.is_folder and seen.st_uid == self._uid and seen.st_mode & 0o500 != 0o500:
                self.hidden = True
        else:
            self.old += size

    def _first(self, found: os.stat_result) -> bool:
        file = (found.st_dev, found.st_ino)
        if file in self._known:
            return False
        if len(self._known) < MOST_KNOWN:
            self._known.add(file)
        return True


def open_places(paths: Iterable[str], mountinfo: str = "/proc/self/mountinfo") -> list[int]:
    """The directories among them, opened, with every other file system that is mounted below one of them."""
    wanted = list(paths)
    with open(mountinfo, encoding="utf-8", errors="surrogateescape") as file:
        mounts = [unescape(fields[4]) for line in file if len(fields := line.split(" ")) > 4] if wanted else []
    found: list[int] = []
    for path in wanted:
        for place in (path, *(mount for mount in mounts if mount.startswith(f"{path.rstrip('/')}/"))):
            try:
                descriptor = os.open(place, FOLDER)
            except OSError:
                continue
            device = os.fstat(descriptor).st_dev
            if place != path and any(os.fstat(known).st_dev == device for known in found):
                os.close(descriptor)  # a part of what is counted already
            else:
                found.append(descriptor)
    return found


def unescape(path: str) -> str:
    """As mountinfo writes it: blanks and backslashes by their octal numbers."""
    import re

    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)
