"""One writer at a time: the lock on a home, and the file that says who holds it."""

from __future__ import annotations

import fcntl
import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from supervisor.errors import RefusedError, StoreError
from supervisor.stores.home import Home
from supervisor.stores.store import READ, read_json, write_atomic
from supervisor.stores.transaction import complete

INFO_VERSION = 1
INFO_BYTES = 64 * 1024
POLL_SECONDS = 0.01  # filelock polls; at its own 50 ms a waiter loses 30 ms after each release


class SupervisorInfo(BaseModel):
    """Who holds a home, as it says of itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = INFO_VERSION
    pid: int
    start_ticks: int
    """When the process began, in clock ticks since boot: unlike a date, it is the same after the clock was set."""
    started_at: AwareDatetime
    host: str
    boot_id: str
    cronward: str
    """The version of the program."""
    socket: str


@dataclass(slots=True)
class _Shared:
    """What all HomeLocks of one home in this process share: one lock, and what its holders know."""

    file: FileLock
    mutex: threading.RLock = field(default_factory=threading.RLock)
    epoch: int = 0
    changes: int = 0


_shared: dict[Path, _Shared] = {}


def _share(home: Home) -> _Shared:
    path = Path(os.path.realpath(home.root)) / home.lock.name  # two ways to one home are one lock
    if path not in _shared:
        # No soft fallback: a lock that is only a file's existence is one that a kill leaves behind for ever.
        file = FileLock(path, mode=0o600, thread_local=False, is_singleton=True, fallback_to_soft=False)
        _shared[path] = _Shared(file)
    return _shared[path]


class HomeLock:
    """The right to write in one home. All locks of a home within a process are one, and nest."""

    def __init__(self, home: Home, wait_seconds: float = 10.0) -> None:
        self._home = home
        self._wait_seconds = wait_seconds
        self._shared = _share(home)

    @property
    def held(self) -> bool:
        """Whether this process has it."""
        return self._shared.file.is_locked

    @property
    def stamp(self) -> tuple[int, int]:
        """Which hold this is, and how often `changed` was called: what was remembered under another may be stale."""
        return self._shared.epoch, self._shared.changes

    def changed(self) -> None:
        """Say that the definitions were changed, so that other stores of this process look again."""
        self._shared.changes += 1

    def acquire(self, timeout_seconds: float) -> None:
        """Take it, making the home where there is none. Raises RefusedError with who has it."""
        if not self.held:
            self._home.create()
        fresh = not self.held
        try:
            self._shared.file.acquire(timeout=max(0.0, timeout_seconds), poll_interval=POLL_SECONDS)
        except Timeout:
            raise RefusedError(self._refusal()) from None
        except OSError as error:
            raise StoreError(f"{self._home.lock} cannot be locked: {error.strerror}.") from None
        if fresh:
            self._shared.epoch += 1
            self._complete()

    def _complete(self) -> None:
        """What a killed holder had promised, before anybody reads or writes here."""
        try:
            complete(self._home)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give one hold back, once no other thread is in the middle of a change."""
        with self._shared.mutex:
            self._shared.file.release()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold it for one change, alone among the threads of this process as well."""
        with self._shared.mutex:
            if self.held:  # by a supervisor, for life: to take it once more would cost as much as the write itself
                yield
            else:
                with self:
                    yield

    def __enter__(self) -> Self:
        self.acquire(self._wait_seconds)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.release()

    def _refusal(self) -> str:
        info = _stored_info(self._home)
        if info is None:
            return f"Another process is changing {self._home.root}. Try again in a moment."
        began = info.started_at.astimezone().isoformat(" ", "seconds")
        return (
            f"A supervisor already runs in {self._home.root}: process {info.pid}, started {began}. "
            f"Talk to that one, or end it with `cronward stop`."
        )


def write_info(home: Home, *, started_at: datetime, cronward: str, socket: Path) -> SupervisorInfo:
    """Say who holds the home. Only for who does."""
    ticks = start_ticks(os.getpid())
    info = SupervisorInfo(
        pid=os.getpid(),
        start_ticks=-1 if ticks is None else ticks,
        started_at=started_at,
        host=platform.node(),
        boot_id=boot_id(),
        cronward=cronward,
        socket=str(socket),
    )
    write_atomic(home.info, info.model_dump_json(indent=2, ensure_ascii=True).encode() + b"\n")
    return info


def read_info(home: Home) -> SupervisorInfo | None:
    """Who holds the home now; None when nobody does, or nobody that can be believed."""
    info = _stored_info(home)
    return info if info is not None and is_held(home.lock) else None


def _stored_info(home: Home) -> SupervisorInfo | None:
    try:
        info = SupervisorInfo.model_validate(read_json(home.info, INFO_BYTES, INFO_VERSION))
    except (FileNotFoundError, StoreError, ValidationError):
        return None
    # A pid alone proves nothing: the number may belong to a later process by now.
    return info if info.boot_id == boot_id() and info.start_ticks == start_ticks(info.pid) else None


def is_held(lock: Path) -> bool:
    """Whether somebody holds the home's lock now."""
    try:
        fd = os.open(lock, READ)
    except OSError:
        return False
    try:
        # Shared, and only after the pid was found alive: two readers do not exclude each other, and a supervisor that
        # starts meets a reader's lock only in the instant after another one let go; it waits longer than that.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def boot_id() -> str:
    """Which boot of this machine this is; empty where the kernel does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def start_ticks(pid: int) -> int | None:
    """When this process began, in clock ticks since boot; None when there is none of that pid."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The second field is the program's name, in brackets, and may itself hold spaces and brackets.
    return int(stat.rpartition(b")")[2].split()[19])
