"""How bytes get to disk and back: whole or not at all, owner-only, and never more than was asked for.

Two ways of writing, each with one rule for a crash at any instant. A definition is a whole file: temporary file, fsync,
rename, fsync of the directory; either the old or the new one is there. A history is appended to: one line, one
fdatasync; a line without its newline never counted and is cut away by the next writer.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shlex
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from supervisor.errors import StoreError

READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK  # NONBLOCK: a FIFO must not hang us
NOT_A_FILE = (errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENODEV, errno.ENOTDIR)
TAIL_BLOCK = BLOCK = 1 << 16
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class DamagedError(StoreError):
    """A file is not what we wrote. It is kept, and never taken for empty."""

    code = "damaged"


class UnreadableError(DamagedError):
    """Its owner's permission is missing. What it holds may be whole, so it is neither moved nor replaced."""


class NewerError(StoreError):
    """A later version of cronward wrote this; it is left alone."""

    code = "newer"


@dataclass(frozen=True, slots=True)
class Damage:
    """A file that could not be read, wholly or in part, and what became of it."""

    path: Path
    problem: str
    """A sentence."""
    moved_to: Path | None = None
    stays: bool = False
    """Whether it is left where it is, to be made readable there."""

    @property
    def told(self) -> str:
        """With what can be done. Where it only lacks a permission, the sentence says so already."""
        mend = "Mend it there, or move it away; a supervisor that starts puts it into damaged/."
        return self.problem if self.stays else f"{self.problem} {mend}"

    def __str__(self) -> str:
        return f"{self.problem} It is kept as {self.moved_to}." if self.moved_to else self.problem


def write_atomic(path: Path, data: bytes) -> None:
    """Replace `path` as a whole, durably. Raises StoreError; then the old file, if any, is untouched."""
    temporary = path.with_name(f".{path.name[:100]}.{os.urandom(8).hex()}.tmp")
    try:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise failure("written", path, error) from None
    try:
        try:
            os.fchmod(fd, 0o600)  # that of open is still subject to the umask
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise failure("written", path, error) from None
    sync_dir(path.parent)


def append_line(path: Path, line: bytes) -> int:
    """Append one line (with its newline) to an existing file, durably, and say at which byte it begins.

    A torn tail that a crash left is cut first. Raises StoreError; then the line does not count.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        raise failure("written", path, error) from None
    try:
        size = cut_torn_tail(fd)
        try:
            write_all(fd, line)
            os.fdatasync(fd)
        except OSError:
            _take_back(fd, size)
            raise
    except OSError as error:
        raise failure("written", path, error) from None
    finally:
        os.close(fd)
    return size


def _take_back(fd: int, size: int) -> None:
    """Cut the file to this size again. What cannot be cut is to be a torn tail, which never counts.

    Half of a line is one. A whole line that could not be synced has its newline, and loses that.
    """
    with suppress(OSError):
        try:
            os.ftruncate(fd, size)
        except OSError:
            # While a descriptor is for appending, Linux appends what is written at a place as well.
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) & ~os.O_APPEND)
            end = os.fstat(fd).st_size
            if end > size:
                os.pwrite(fd, b" ", end - 1)


def cut_torn_tail(fd: int) -> int:
    """Cut what follows the last newline. Returns the size that is left, in bytes."""
    size = end = os.fstat(fd).st_size
    if not size or os.pread(fd, 1, size - 1) == b"\n":  # nothing is torn, nearly always
        return size
    while end > 0:
        start = max(0, end - TAIL_BLOCK)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    if end != size:
        os.ftruncate(fd, end)
    return end


def write_all(fd: int, data: bytes) -> None:
    """Write everything, however often the kernel takes only a part. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def open_regular(path: Path) -> int:
    """A descriptor for reading. Raises FileNotFoundError, DamagedError where it is no regular file, or StoreError."""
    try:
        fd = os.open(path, READ)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in NOT_A_FILE:
            raise DamagedError(f"{path} is not a regular file.") from None
        if error.errno in (errno.EACCES, errno.EPERM):
            repair = f"Make it its owner's to read: chmod 600 {shlex.quote(str(path))}"
            raise UnreadableError(f"{path} cannot be read: {error.strerror}. {repair}") from None
        raise failure("read", path, error) from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise DamagedError(f"{path} is not a regular file.")
    return fd


def read_bytes(path: Path, limit: int) -> bytes:
    """The whole file, if it has at most `limit` bytes. Raises as `open_regular` does; DamagedError when longer."""
    fd = open_regular(path)
    try:
        data = _read_all(fd, limit + 1)
    except OSError as error:
        raise failure("read", path, error) from None
    finally:
        os.close(fd)
    if len(data) > limit:
        raise DamagedError(f"{path} has more than the {limit} bytes that such a file may have.")
    return data


def _read_all(fd: int, most: int) -> bytes:
    """Up to the end. Without Python's buffered files, which cost as much as a small file's reading does."""
    data = os.read(fd, min(os.fstat(fd).st_size + 1, most))
    while len(data) < most and (more := os.read(fd, min(most - len(data), BLOCK))):
        data += more
    return data


def read_json(path: Path, limit: int, version: int) -> dict[str, Any]:
    """The object in this file, its version checked. Raises FileNotFoundError, DamagedError, NewerError, StoreError."""
    return versioned(read_bytes(path, limit), path, version)


def versioned(data: bytes, path: Path, version: int) -> dict[str, Any]:
    """The object in `data`, of this version or an older one. Raises DamagedError or NewerError; `path` is for them."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise DamagedError(f"{path} is not JSON.") from None
    if not isinstance(found, dict):
        raise DamagedError(f"{path} does not hold a JSON object.")
    has = found.get("version")
    if type(has) is not int or has < 1:
        raise DamagedError(f"{path} does not say which version it has.")
    if has > version:
        raise NewerError(
            f"{path} has version {has}, and this cronward knows versions up to {version}. "
            f"A later cronward wrote it; use that one. Nothing was changed."
        )
    return found


def sync_dir(directory: Path) -> None:
    """Make a rename, a link or an unlink in this directory durable. Raises StoreError."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise failure("written", directory, error) from None
    try:
        os.fsync(fd)
    except OSError as error:
        raise failure("written", directory, error) from None
    finally:
        os.close(fd)


def set_aside(path: Path, damaged: Path) -> Path:
    """Move a damaged file, whatever it is, to a name of its own in `damaged`. Raises StoreError."""
    target = _free_name(path, damaged)
    try:
        path.rename(target)
    except OSError as error:
        raise failure("set aside", path, error) from None
    sync_dir(damaged)
    sync_dir(path.parent)
    return target


def keep_copy(path: Path, damaged: Path) -> Path:
    """Keep today's content in `damaged` while the file stays, to be replaced as a whole by its good part.

    A second name for the same file: it costs nothing, so a full disk cannot prevent it. Raises StoreError.
    """
    target = _free_name(path, damaged)
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError as error:
        raise failure("set aside", path, error) from None
    sync_dir(damaged)
    return target


def remove_leftovers(directory: Path) -> None:
    """Remove temporary files that a killed writer left. Only for who holds the lock: nobody else writes here."""
    with suppress(OSError):
        for path in directory.glob(".*.tmp"):
            path.unlink(missing_ok=True)


def failure(what: str, path: Path, error: OSError) -> StoreError:
    """The sentence for a system call that failed."""
    hint = " Make room on that disk." if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else ""
    return StoreError(f"{path} cannot be {what}: {error.strerror}.{hint}")


def _free_name(path: Path, damaged: Path) -> Path:
    # Only the holder of the lock sets aside, so a name that is free now is free at the rename.
    number = 1
    while os.path.lexists(target := damaged / f"{path.name}.{number}"):
        number += 1
    return target


@lru_cache(maxsize=1024)
def file_of(directory: Path, name: str, suffix: str) -> Path | None:
    """The file that belongs to this id; None where the text is no id, and so cannot leave the directory."""
    return directory / f"{name}{suffix}" if IDENTIFIER.fullmatch(name) else None
