"""What went through: a line for every connection, and the bytes of all of them together against one limit."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

MOST_CONNECTIONS = 10_000


def now_utc() -> datetime:
    return datetime.now(UTC)


class SpentError(Exception):
    """The attempt's bytes are used up."""


@dataclass(slots=True)
class Entry:
    """One connection. `verdict`: allowed, denied, failed (allowed, but it did not come about) or cut (allowed, and
    ended by a limit); `up`: bytes from the agent; `seconds` from its first byte to its end."""

    time: str = ""
    host: str = ""
    port: int = 0
    address: str = ""
    verdict: str = "failed"
    why: str = ""
    up: int = 0
    down: int = 0
    seconds: float = 0.0


class Ledger:
    """`descriptor`: where the lines go. `most_bytes`: what all connections together may carry."""

    def __init__(self, descriptor: int, most_bytes: int, now: Callable[[], datetime] = now_utc) -> None:
        self._descriptor, self._left, self._now = descriptor, most_bytes, now
        self.count = 0

    @property
    def spent(self) -> bool:
        return self._left <= 0

    def open(self) -> Entry:
        self.count += 1
        return Entry(time=self._now().isoformat(timespec="milliseconds"))

    def spend(self, count: int) -> None:
        """Raises SpentError before the bytes that are too many are passed on."""
        self._left -= count
        if self._left < 0:
            raise SpentError

    def close(self, entry: Entry) -> None:
        """Raises OSError: what cannot be logged must not go on."""
        line = json.dumps(asdict(entry), separators=(",", ":")).encode("ascii") + b"\n"
        view = memoryview(line)
        while view:
            view = view[os.write(self._descriptor, view) :]
