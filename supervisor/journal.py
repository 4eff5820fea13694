"""Log lines as journald reads them from standard error: each with its priority in front, sd-daemon(3).

journald adds time, unit and process, and `journalctl -p warning` sorts by the priority. Anywhere else a line has the
time and the level in words.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

PLAIN = "%(asctime)s %(levelname)s %(message)s"
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


class JournalFormatter(logging.Formatter):
    """`<6>message`; every line of several has its own, or the rest would count as plain information."""

    def __init__(self) -> None:
        super().__init__("%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), _DEBUG)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines() or [""])


def formatter(environ: Mapping[str, str], descriptor: int) -> logging.Formatter:
    """The one for what is written to this descriptor."""
    return JournalFormatter() if is_journal(environ, descriptor) else logging.Formatter(PLAIN)
