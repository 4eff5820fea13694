"""What systemd is told about a supervisor that it started: ready, alive, stopping. sd_notify(3), in a few lines.

One datagram a message. Nothing is ever waited for: a full queue, or nobody there, costs a message and no run.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping
from dataclasses import dataclass

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_MICROSECONDS = 1_000_000
_LONGEST_DAYS = 365


@dataclass(frozen=True, slots=True)
class Systemd:
    """Whoever listens. Where nobody does, `address` is empty and nothing is sent."""

    address: bytes = b""
    watchdog_seconds: float | None = None
    """In what time it has to hear `alive`, or it ends us; None: it does not look."""

    @classmethod
    def taken_from(cls, environ: MutableMapping[str, str], pid: int) -> Systemd:
        """As the variables say, which are taken out: no child of ours may speak for us."""
        where, every, whom = (environ.pop(name, "") for name in VARIABLES)
        address = _address(where)
        meant = whom in ("", str(pid))  # a watchdog may be another process's, of which we are a child
        return cls(address, _seconds(every) if address and meant else None)

    def ready(self, status: str) -> None:
        """We keep time and answer."""
        self._say("READY=1", f"STATUS={status}")

    def alive(self) -> None:
        """The loop turns."""
        if self.watchdog_seconds is not None:
            self._say("WATCHDOG=1")

    def stopping(self, within_seconds: float) -> None:
        """We end, and that may take so long, whatever the unit says."""
        self._say("STOPPING=1", "STATUS=draining", f"EXTEND_TIMEOUT_USEC={round(within_seconds * _MICROSECONDS)}")

    def _say(self, *words: str) -> None:
        if not self.address:
            return
        message = "\n".join(" ".join(word.splitlines()) for word in words)
        with contextlib.suppress(OSError), _datagram() as channel:
            channel.sendto(message.encode("utf-8", "backslashreplace"), socket.MSG_DONTWAIT, self.address)


def _datagram() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)  # close-on-exec, as all that Python opens


def _address(where: str) -> bytes:
    """A path, or the name of an abstract socket, which is written with `@` for its first byte of zero."""
    if where.startswith("/"):
        return os.fsencode(where)
    return b"\0" + os.fsencode(where[1:]) if where.startswith("@") and where != "@" else b""


def _seconds(microseconds: str) -> float | None:
    if not (microseconds.isascii() and microseconds.isdigit()) or len(microseconds) > 18:
        return None
    seconds = int(microseconds) / _MICROSECONDS
    return seconds if 0 < seconds <= _LONGEST_DAYS * 86400 else None
