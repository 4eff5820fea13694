"""A disk that dies in the middle of a write, or is full, when the simulation says so. What gets through is real."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

from supervisor.errors import StoreError
from supervisor.stores.disk import Disk


class Crash(BaseException):
    """The supervisor was killed at this instant. No handler of ours may stop it."""


class SimDisk(Disk):
    """`seen` hears of each line that is durable, `replaced` of each file that was replaced."""

    def __init__(self, rng: Random, seen: Callable[[Path, bytes], None], replaced: Callable[[Path], None]) -> None:
        self._rng, self._seen, self._replaced = rng, seen, replaced
        self.full = False
        self.atomic = True
        self.dies_in: int | None = None
        """How many writes from now; None: it does not."""

    def append(self, path: Path, line: bytes) -> int:
        dying = self._dies()
        if dying == "before":
            raise Crash
        if dying == "torn" or (self.full and not dying):
            self._tear(path, line)
        if dying == "torn":
            raise Crash
        self._need_room(path)
        offset = super().append(path, line)
        self._seen(path, line)
        if dying:
            raise Crash
        return offset

    def replace(self, path: Path, data: bytes) -> None:
        dying = self._dies()
        if dying == "torn":
            # What a killed writer leaves: part of a temporary file, unless it is one that writes in place.
            torn = path if not self.atomic else path.with_name(f".{path.name}.torn.tmp")
            torn.write_bytes(data[: self._rng.randrange(len(data))])
        if dying in ("before", "torn"):
            raise Crash
        self._need_room(path)
        super().replace(path, data)
        self._replaced(path)
        if dying:
            raise Crash

    def remove(self, path: Path) -> None:
        dying = self._dies()
        if dying in ("before", "torn"):
            raise Crash
        super().remove(path)
        if dying:
            raise Crash

    def sync_dir(self, directory: Path) -> None:
        """Nothing: in memory a removal is durable at once."""

    def _need_room(self, path: Path) -> None:
        if self.full:
            raise StoreError(f"{path} cannot be written: No space left on device.")

    def _tear(self, path: Path, line: bytes) -> None:
        """Half a line gets there, and nobody can cut it off again."""
        with path.open("ab") as file:
            file.write(line[: self._rng.randrange(len(line))])

    def _dies(self) -> str:
        """At which point of this write: before it, with half of it done, after it; empty: at none."""
        if self.dies_in is None:
            return ""
        self.dies_in -= 1
        if self.dies_in >= 0:
            return ""
        self.dies_in = None
        return self._rng.choice(("before", "torn", "after"))
