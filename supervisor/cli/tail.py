"""Files that may still grow, shown from where they were read last, and never more than a piece of one in memory."""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import typer

from supervisor.cli import render
from supervisor.cli.escape import escape_lines
from supervisor.errors import StoreError

_PIECE = 64 << 10


class Tail:
    """One file of text. Its heading comes before its first text."""

    def __init__(self, path: Path, heading: str) -> None:
        self._path = path
        self._heading = heading
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.ended_line = True

    def more(self, *, last: bool) -> bool:
        """Show what is new; whether there was anything, now or before. `last`: no more will come."""
        for data in pieces(self._path, self._offset):
            if self._heading and not self._offset:
                render.say(self._heading)
            self._offset += len(data)
            self._say(self._decoder.decode(data))
        if last:
            self._say(self._decoder.decode(b"", final=True))
            if not self.ended_line:
                typer.echo()
                self.ended_line = True
        return self._offset > 0

    def _say(self, text: str) -> None:
        if text:
            typer.echo(escape_lines(text), nl=False)
            self.ended_line = text.endswith("\n")


def size_of(path: Path) -> int:
    """How long it is; 0 where there is none."""
    with suppress(OSError):
        return path.lstat().st_size
    return 0


def texts(path: Path) -> Iterator[str]:
    """The whole of it as text."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for data in pieces(path, 0):
        yield decoder.decode(data)
    yield decoder.decode(b"", final=True)


def pieces(path: Path, offset: int) -> Iterator[bytes]:
    """The file from `offset` to where it ends now; nothing where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"The file {path} cannot be read: {error.strerror}.") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise StoreError(f"{path} is no regular file.")
        file.seek(offset)
        # Up to the length that it has now: one that grows faster than it is shown must not hold this reader for ever.
        left = found.st_size - offset
        while left > 0 and (data := file.read(min(_PIECE, left))):
            left -= len(data)
            yield data
