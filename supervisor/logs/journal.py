"""Log lines as journald has them: entries with fields of their own, in journald's native protocol.

`journalctl CRONWARD_RUN=ID` then finds a run, `-p warning` sorts by the priority, and what else is known of the
process journald adds itself. Where its socket is not there (a container that was given the stream alone), a line has
its priority in front instead, sd-daemon(3).
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
from collections.abc import Mapping
from pathlib import Path

from supervisor.logs.logline import Logfmt, escaped, facts_of, sentence_of, trace_of

SOCKET = Path("/run/systemd/journal/socket")
WAIT_MS = 50
"""How long one line may wait for a journald that is behind."""
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7


def is_journal(environ: Mapping[str, str], descriptor: int) -> bool:
    """Whether this descriptor leads to journald. The variable alone does not say so: it is inherited, and standard
    error may have been redirected since."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM", "") == f"{found.st_dev}:{found.st_ino}"


class Prefixed(Logfmt):
    """`<6>ts=… msg="…"`."""

    def format(self, record: logging.LogRecord) -> str:
        return f"<{priority(record)}>{super().format(record)}"


class Journal(logging.Handler):
    """Sends each record as one entry. A journald that hangs costs lines, which the next entry counts, and no time."""

    def __init__(self, path: Path = SOCKET) -> None:
        """Raises OSError: it is not there."""
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._lost = 0
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._socket.setblocking(False)
        self._path = str(path)

    def emit(self, record: logging.LogRecord) -> None:
        data = entry(record, self._lost)
        if self._sent(data) or (not self._lost and self._awaited() and self._sent(data)):
            self._lost = 0
        else:
            self._lost += 1

    def close(self) -> None:
        self._socket.close()
        super().close()

    def _sent(self, data: bytes) -> bool:
        try:
            self._socket.send(data)
        except BlockingIOError:
            return False
        except OSError:  # journald was started anew
            with contextlib.suppress(OSError):
                self._socket.connect(self._path)
                self._socket.send(data)
                return True
            return False
        return True

    def _awaited(self) -> bool:
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        return bool(poll.poll(WAIT_MS))


def priority(record: logging.LogRecord) -> int:
    """As syslog counts."""
    return next((number for level, number in _PRIORITIES if record.levelno >= level), _DEBUG)


def entry(record: logging.LogRecord, lost: int = 0) -> bytes:
    """The record in journald's protocol: KEY=VALUE lines, which hold because no value has a line end.

    `lost`: how many before it were not taken.
    """
    fields = {"MESSAGE": sentence_of(record), "PRIORITY": str(priority(record)), "SYSLOG_IDENTIFIER": "cronward"}
    fields |= {f"CRONWARD_{key.upper()}": value for key, value in facts_of(record).items()}
    trace = trace_of(record)
    fields |= {"CRONWARD_TRACE": trace} if trace else {}
    fields |= {"CRONWARD_LOST": str(lost)} if lost else {}
    return "".join(f"{key}={escaped(value)}\n" for key, value in fields.items()).encode("ascii")


def handler(environ: Mapping[str, str], descriptor: int, path: Path = SOCKET) -> logging.Handler:
    """To journald, if this descriptor, that of standard error, leads there; else to standard error."""
    stream = logging.StreamHandler()
    stream.setFormatter(Logfmt())
    if is_journal(environ, descriptor):
        with contextlib.suppress(OSError):
            return Journal(path)
        stream.setFormatter(Prefixed())
    return stream
