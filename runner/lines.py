"""A stream of bytes, in pieces as they come, to whole lines. What is longer than a line may be is left out."""

from __future__ import annotations

LINE_MOST = 1 << 20


class Lines:
    """`left_out`: how many lines were too long; `held`: bytes of a line that has no end yet, at most `most`."""

    def __init__(self, most: int = LINE_MOST) -> None:
        self._most = most
        self._begun = bytearray()
        self._skipping = False
        self.left_out = 0

    @property
    def held(self) -> int:
        return len(self._begun)

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are whole now, without their ends."""
        *ended, rest = data.split(b"\n")
        if ended and (self._begun or self._skipping):
            ended[0] = self._finished(ended[0])
        self._begin(rest)
        if max(map(len, ended), default=0) > self._most:  # it came in one piece
            self.left_out += sum(len(line) > self._most for line in ended)
            return [line for line in ended if len(line) <= self._most]
        return ended

    def finish(self) -> list[bytes]:
        """A last line that has no end."""
        last = self._finished(b"")
        return [last] if last else []

    def _finished(self, end: bytes) -> bytes:
        """The line that was begun. An empty one in the place of one that is left out: nobody reads those."""
        self._begin(end)
        line = bytes(self._begun)
        self._begun, self._skipping = bytearray(), False
        return line

    def _begin(self, data: bytes) -> None:
        if self._skipping:
            return
        self._begun += data
        if len(self._begun) > self._most:
            self._begun, self._skipping = bytearray(), True
            self.left_out += 1
