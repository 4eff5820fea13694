"""Files that a command is given: bounded, and never waited for."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from supervisor.errors import InvalidError, NotFoundError


def read_given(name: str, what: str, limit: int) -> bytes:
    """The bytes of this file; `-`: of standard input. Raises NotFoundError, or InvalidError where it is no file that
    can be read, or has more than `limit` bytes. `what`: as the sentence calls it."""
    try:
        data = sys.stdin.buffer.read(limit + 1) if name == "-" else _read(Path(name), what, limit)
    except FileNotFoundError:
        raise NotFoundError(f"There is no {what} {name!r}: look at the path, or give - for standard input.") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise InvalidError(f"The {what} {name!r} cannot be read: {why}.") from None
    if len(data) > limit:
        raise InvalidError(f"The {what} {name!r} has more than {limit >> 20} MiB, which is the most that is read.")
    return data


def _read(path: Path, what: str, limit: int) -> bytes:
    # A FIFO or a device would be waited for, or never end.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise InvalidError(f"The {what} {str(path)!r} is no regular file. Name one, or give - and send it in.")
        return file.read(limit + 1)
