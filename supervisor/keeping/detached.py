"""A supervisor that nobody has to keep in a terminal: started where none runs, and cut off from whoever started it.

Made for a line in a crontab. Of several starters at once one starts it, by a lock of theirs; the home's own lock stays
the supervisor's, who takes it as ever. A supervisor that holds the home and does not answer is named, never ended: to
take a run for dead because its supervisor is slow would run it twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from supervisor.config import Config
from supervisor.control.client import Client, NotRunningError
from supervisor.daemon import load, supervise
from supervisor.errors import CronwardError, StoreError, UnreachableError
from supervisor.logs.logbook import begin_with, log_file, open_file
from supervisor.stores.home import Home
from supervisor.stores.lock import is_held, read_info

STARTS_WITHIN = 60.0
"""Seconds that a supervisor gets to keep time: it takes up where a killed one left off first."""
FREE_WITHIN = 8.0
"""Seconds that the home's lock may be held without a supervisor that answers: an edit, or one that ends or begins."""
_POLL_SECONDS = 0.05
_ANSWER_BYTES = 64 << 10
log = logging.getLogger("cronward")


@dataclass(frozen=True, slots=True)
class Standing:
    """The supervisor that keeps time now. `started`: it did not before. `log`: where one that is started writes."""

    pid: int
    started: bool
    log: str = ""


def ensure(home: Home, config_path: Path | None) -> Standing:
    """See to it that a supervisor keeps time in this home. Raises UnreachableError where one is there and does not
    answer, and whatever keeps a new one from starting."""
    pid = _answering(home)
    if pid is not None:
        return Standing(pid, started=False)
    named = config_path or Path(os.environ.get("CRONWARD_CONFIG") or "")
    config_path = named.absolute() if named != Path() else None  # it will work in another directory
    config = load(home, config_path)  # what is wrong with it is said here, and nothing is made yet
    home.create()
    log = log_file(home, config)
    open_file(log, config).close()
    with _alone(home):
        pid = _awaited(home)
        if pid is not None:
            return Standing(pid, started=False)
        return Standing(_start(home, config_path, log, config), started=True, log=str(log))


def _answering(home: Home) -> int | None:
    try:
        return int(Client(home).status()["pid"])
    except NotRunningError:
        return None


@contextlib.contextmanager
def _alone(home: Home) -> Iterator[None]:
    """The only one of its kind, while it starts one. Raises UnreachableError if another one takes too long."""
    try:
        fd = os.open(home.root / "ensure.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{home.root / 'ensure.lock'} cannot be opened: {error.strerror}.") from None
    try:
        deadline = time.monotonic() + STARTS_WITHIN
        while not _locked(fd):
            if time.monotonic() > deadline:
                raise UnreachableError(
                    f"Another --ensure has been starting a supervisor in {home.root} for long. "
                    f"See: {home.root / 'supervisor.log'}"
                )
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _awaited(home: Home) -> int | None:
    """The pid of one that begins to answer; None once nobody holds the home."""
    deadline = time.monotonic() + FREE_WITHIN
    while True:
        pid = _answering(home)
        if pid is not None or not is_held(home.lock):
            return pid
        if time.monotonic() > deadline:
            break
        time.sleep(_POLL_SECONDS)
    info = read_info(home)
    who = "A process" if info is None else f"The supervisor {info.pid}"
    raise UnreachableError(
        f"{who} holds the home {home.root} and answers no request; nothing was started. "
        f"See what it says: {home.root / 'supervisor.log'}, or the journal. End it if it hangs, and try again."
    )


def _start(home: Home, config_path: Path | None, log: Path, config: Config) -> int:
    """Fork one off, and hear from it that it keeps time; its pid. Raises what kept it from that."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    hear, say = os.pipe()
    child = os.fork()
    if not child:
        _detach(home, config_path, say, lambda: open_file(log, config, whole=True))
    os.close(say)
    try:
        os.waitpid(child, 0)
        said = _heard(hear)
    finally:
        os.close(hear)
    if "pid" in said:
        return int(said["pid"])
    error = CronwardError(said.get("error") or f"The supervisor did not begin to keep time. See {log}")
    error.exit_code = int(said.get("exit_code", 1))
    raise error


def _heard(hear: int) -> dict[str, str]:
    deadline, data = time.monotonic() + STARTS_WITHIN, b""
    while select.select([hear], [], [], max(0.0, deadline - time.monotonic()))[0]:
        more = os.read(hear, _ANSWER_BYTES)
        data += more
        if not more:
            break
    found: dict[str, str] = json.loads(data) if data.endswith(b"}") else {}
    return found


# ---- in the process that becomes the supervisor; it never returns to its starter's code


def _detach(home: Home, config_path: Path | None, say: int, log_file: Callable[[], logging.Handler]) -> NoReturn:
    """Of a session of its own that it does not lead, so that it never gets a terminal; nothing inherited but `say`."""
    code = 1
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.umask(0o077)
        os.chdir("/")
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.closerange(3, say)
        os.closerange(say + 1, os.sysconf("SC_OPEN_MAX"))
        begin_with(log_file())
        code = _supervise(home, config_path, lambda **words: _tell(say, words))
    except BaseException:
        log.exception("the supervisor cannot go on")
    finally:
        logging.shutdown()
        os._exit(code)


def _supervise(home: Home, config_path: Path | None, tell: Callable[..., None]) -> int:
    try:
        return supervise(home, config_path, ready=lambda: tell(pid=str(os.getpid())))
    except CronwardError as error:
        log.error("%s", error)
        tell(error=str(error), exit_code=str(error.exit_code))
        return error.exit_code


def _tell(say: int, words: dict[str, str]) -> None:
    """Once: who hears it closes the other end."""
    with contextlib.suppress(OSError):
        os.write(say, json.dumps(words).encode("ascii"))
        os.close(say)
