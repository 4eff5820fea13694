"""One JSON object a line, over a descriptor: how supervisor and runner frame what they say.

A line is at most `MAX_LINE` bytes, its newline included. Whoever breaks the framing is not listened to again: a
`ProtocolError` is raised once and the reader is of no more use, because after a cut line nobody can tell a message
from the middle of one (asyncio's readline hands out such fragments; measured).
"""

from __future__ import annotations

from shared.notation import dumps, loads
from shared.record import Any

MAX_LINE = 1 << 20


class ProtocolError(Exception):
    """The other side broke the framing; end it."""


def encode(message: dict[str, Any]) -> bytes:
    """One line, ASCII only, so that a log of it is safe to show. Raises ProtocolError when it is too long."""
    line = dumps(message).encode("ascii") + b"\n"
    if len(line) > MAX_LINE:
        raise ProtocolError(f"a message of {len(line)} bytes is longer than a line may be ({MAX_LINE}).")
    return line


def decode(line: bytes) -> dict[str, Any]:
    """The object on one line. Raises ProtocolError on anything that is not one."""
    try:
        message = loads(line)
    except (ValueError, RecursionError) as error:  # deep nesting, bad UTF-8 and huge integers end here as well
        raise ProtocolError(f"a line of {len(line)} bytes is not JSON: {error}") from None
    if not isinstance(message, dict):
        raise ProtocolError(f"a line holds a {type(message).__name__}, not an object.")
    return message


class LineSplitter:
    """Cuts a stream of bytes into lines and never holds more than one unfinished line."""

    def __init__(self, max_line: int = MAX_LINE) -> None:
        self._max_line = max_line
        self._parts: list[bytes] = []
        self._length = 0
        self._broken = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their newlines. Raises ProtocolError once a line is too long."""
        if self._broken:
            return []
        lines: list[bytes] = []
        *complete, rest = data.split(b"\n")
        for part in complete:
            self._take(part, lines)
            lines.append(b"".join(self._parts))
            self._parts, self._length = [], 0
        self._take(rest, lines)
        return lines

    def _take(self, part: bytes, lines: list[bytes]) -> None:
        self._length += len(part)
        if self._length >= self._max_line:
            self._broken, self._parts = True, []
            raise ProtocolError(
                f"a line is longer than {self._max_line} bytes (after {len(lines)} complete ones in this read)."
            )
        if part:
            self._parts.append(part)

    @property
    def unfinished(self) -> bool:
        """Whether the stream so far ends in the middle of a line."""
        return self._length > 0
