"""What each history comes to, noted beside it by whoever writes it: never needed, only faster than reading it whole.

A note holds for one state of its history's file, which is told by inode, size and times. A crash, a copy that was put
back, an edit by hand, even a changed permission make another state, of which the history itself is read. So a note is
not synced, and written in place: what tears it is found out by its checksum.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from supervisor.vocabulary import FORMAT_VERSION

State = tuple[int, int, int, int]
VERSION = 2
"""A note has this one and that of histories: it holds for none of another form."""
NOTE_BYTES = 1 << 16
"""A longer one is not read: room for more is not made as fast as a note is read, and 600 bytes are usual."""
READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY | os.O_NONBLOCK


class Size(NamedTuple):
    """How much of it there is: what its next writer needs to know."""

    lines: int
    """Below its header."""
    runs: int
    """Kept ones that are over."""
    skips: int


class Note(NamedTuple):
    """What a history comes to."""

    summary: dict[str, Any]
    """A `Summary`, as JSON has it."""
    live: list[list[str]]
    """Of each of its runs that has not ended, oldest first: how it stands, and since when it goes on or was due."""
    size: Size


def state_of(found: os.stat_result) -> State:
    """What a note holds for. The time of the inode's change cannot be set by anybody."""
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def state_at(path: Path) -> State | None:
    """The state of what lies there, a link itself and not what it names; None where there is nothing to be seen."""
    try:
        return state_of(path.lstat())
    except OSError:
        return None


def read(path: str | Path, state: State) -> Note | None:
    """The note in this file, if there is one and it holds for this state."""
    try:
        fd = os.open(path, READ)
    except OSError:
        return None
    try:
        checksum, _, body = os.read(fd, NOTE_BYTES).partition(b"\n")[0].partition(b" ")
    except OSError:
        return None
    finally:
        os.close(fd)
    if checksum != _checksum(body):
        return None
    try:
        found = json.loads(body)
        holds = found["version"] == [VERSION, FORMAT_VERSION] and tuple(found["state"]) == state
        if not holds or not _are_live(found["live"]):
            return None
        return Note(found["summary"], found["live"], Size(*map(int, found["size"])))
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return None


def _are_live(found: object) -> bool:
    """Nearly always there are none."""
    return found == [] or (type(found) is list and all(type(each) is list and len(each) == 2 for each in found))


def write(path: Path, state: State, summary: bytes, live: Iterable[tuple[str, str]], size: Size) -> None:
    """Note this; `summary` is JSON already, in ASCII. Where it cannot be noted, the history will be read."""
    head = f'"version":[{VERSION},{FORMAT_VERSION}],"state":{list(state)},"size":{list(size)}'
    body = b'{%b,"live":%b,"summary":%b}' % (head.encode("ascii"), json.dumps(list(live)).encode("ascii"), summary)
    line = _checksum(body) + b" " + body + b"\n"
    with suppress(OSError):
        fd = os.open(path, _WRITE, 0o600)
        try:
            # Never truncated first: ext4 would write out what follows as soon as it is closed. What is left of a longer
            # note lies behind the newline.
            os.pwrite(fd, line, 0)
        finally:
            os.close(fd)


def remove(path: Path) -> None:
    """Its history is gone."""
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _checksum(body: bytes) -> bytes:
    return b"%08x" % zlib.crc32(body)
