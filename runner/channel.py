"""The runner's end of the protocol: lines from the supervisor, messages to it, and nothing that blocks.

Imported before the request is there, so it imports nothing that costs.
"""

from __future__ import annotations

import fcntl
import os
import select

from shared import wire
from shared.record import Any

# Out of the way of the numbers that a cell's descriptors get (see spawn).
FIRST_FREE = 64


def claim() -> Channel:
    """Take the protocol's descriptors away from 0 and 1, where anything might print or read, before anything can."""
    requests, messages = (fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE) for number in (0, 1))
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.dup2(null, 1)
    if null > 2:
        os.close(null)
    return Channel(requests, messages)


class Channel:
    """What the supervisor says, line by line, and what it is told."""

    def __init__(self, requests: int, messages: int) -> None:
        self.requests, self.messages = requests, messages
        self.ended = False
        self._splitter = wire.LineSplitter()
        self._lines: list[bytes] = []
        self._unsaid = bytearray()
        os.set_blocking(messages, False)

    def read_line(self) -> bytes | None:
        """The next line, waited for; None at the end. Raises ProtocolError."""
        while not self._lines and not self.ended:
            self._read()
        return self._lines.pop(0) if self._lines else None

    def take_lines(self) -> list[bytes]:
        """What lines there are after one read. Raises ProtocolError; sets `ended` when the supervisor is gone."""
        self._read()
        lines, self._lines = self._lines, []
        return lines

    def _read(self) -> None:
        data = os.read(self.requests, 1 << 16)
        self.ended = not data
        self._lines += self._splitter.feed(data)

    def say(self, message: dict[str, Any]) -> None:
        """Queue a message and send what the pipe takes. A supervisor that is gone is no error here."""
        self._unsaid += wire.encode(message)
        self.flush()

    @property
    def behind(self) -> bool:
        """Whether the supervisor has not taken everything yet."""
        return bool(self._unsaid)

    def flush(self) -> None:
        try:
            while self._unsaid:
                del self._unsaid[: os.write(self.messages, self._unsaid)]
        except BlockingIOError:
            return
        except OSError:  # EPIPE: nobody will ever read it
            self._unsaid.clear()

    def finish(self, within: float) -> bool:
        """Send the rest, waiting at most `within` seconds each time the pipe is full. Whether all of it is sent."""
        poll = select.poll()
        poll.register(self.messages, select.POLLOUT)
        self.flush()
        while self._unsaid and poll.poll(within * 1000):
            self.flush()
        return not self._unsaid
