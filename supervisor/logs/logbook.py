"""Beginning to log, once in a process: everything goes through one handler, and no defect goes past it."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

from supervisor.config import Config
from supervisor.errors import StoreError
from supervisor.logs.journal import handler
from supervisor.logs.logfile import LogFile
from supervisor.logs.logline import about
from supervisor.stores.home import Home

log = logging.getLogger("cronward")


def log_file(home: Home, config: Config) -> Path:
    """Where a supervisor that nobody keeps in a terminal writes what one in a terminal says on standard error."""
    return Path(config.supervisor_log) if config.supervisor_log else home.root / "supervisor.log"


def open_file(path: Path, config: Config, *, whole: bool = False) -> LogFile:
    """`whole`: also what is written past the logger, by a C library that fails. Raises StoreError."""
    try:
        return LogFile(path, config.supervisor_log_bytes, config.supervisor_log_files, whole=whole)
    except OSError as error:
        raise StoreError(f"The log {path} cannot be written: {error.strerror}. Set supervisor_log anew.") from None


def begin(config: Config) -> None:
    """Log to the file that is configured, else to the journal, else to standard error; unless this process does
    already. Raises StoreError."""
    if not logging.getLogger().handlers:
        begin_with(open_file(Path(config.supervisor_log), config) if config.supervisor_log else handler(os.environ, 2))


def begin_with(chosen: logging.Handler) -> None:
    """Log with this handler."""
    logging.basicConfig(handlers=[chosen], level=logging.INFO)
    # What cannot be logged (a full disk) would be told on standard error, with its values.
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    # So would what nobody catches.
    sys.excepthook = lambda _kind, error, _trace: _defect("The supervisor cannot go on.", error)
    threading.excepthook = lambda found: _defect("A thread broke.", found.exc_value)
    sys.unraisablehook = lambda found: _defect("What nobody waits for broke.", found.exc_value)


def _defect(what: str, error: BaseException | None) -> None:
    log.error(what, exc_info=error, extra=about("defect"))
