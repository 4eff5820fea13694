"""A file that the supervisor logs to: its owner's alone, rotated, bounded."""

from __future__ import annotations

import io
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path

from supervisor.logs.logline import Logfmt


class LogFile(RotatingFileHandler):
    """One file and the older ones beside it, `.1` the newest of those."""

    def __init__(self, path: Path, size: int, older: int, *, whole: bool = False) -> None:
        """`size` in bytes. `whole`: what is written to standard output and error goes there too. Raises OSError."""
        self._whole = whole
        super().__init__(path, maxBytes=size, backupCount=older, encoding="ascii")
        self.setFormatter(Logfmt())
        self._take_over()

    def _open(self) -> io.TextIOWrapper:
        opened = open(self.baseFilename, "a", encoding="ascii", opener=_own)  # noqa: SIM115 - the handler's, to close
        os.fchmod(opened.fileno(), 0o600)
        return opened

    def doRollover(self) -> None:  # noqa: N802 - the library's name
        super().doRollover()
        self._take_over()

    def _take_over(self) -> None:
        """Be standard output and standard error."""
        if not self._whole:
            return
        assert self.stream is not None  # it is opened with the handler, and again at each rotation
        for descriptor in (1, 2):
            os.dup2(self.stream.fileno(), descriptor)


def _own(path: str, flags: int) -> int:
    # Not through a link: the file may lie where others can write.
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
