"""Remove a directory that a run could write to: however deep it is, whatever lies in it, without following anything."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import count

PLACE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def remove_tree(path: str) -> bool:
    """Whether nothing is there any more. Nothing that could change it may live.

    `path` is absolute; links on its way are followed.

    What lies in an inner directory is moved up into `path` before that directory is removed. So at most two are open
    at a time, and a tree that is deeper than the limits of open files, recursion and paths goes like any other.
    """
    parent, name = os.path.split(path)
    with suppress(OSError):
        above = os.open(parent, READ)
        try:
            _remove(above, name)
        finally:
            os.close(above)
    return not os.path.lexists(path)


def _remove(above: int, name: str) -> None:
    with suppress(OSError):
        os.unlink(name, dir_fd=above)
        return
    top = _entered(name, above)
    try:
        _empty(top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=above)


def _entered(name: str, above: int) -> int:
    """A descriptor of a directory that its owner may have closed even to itself. Raises OSError."""
    place = os.open(name, PLACE, dir_fd=above)
    try:
        os.chmod(f"/proc/self/fd/{place}", 0o700)  # noqa: PTH101 - a descriptor's name, not a path
        return os.open(f"/proc/self/fd/{place}", READ)
    finally:
        os.close(place)


def _empty(top: int) -> None:
    """Until nothing is in it, or a whole round could remove nothing."""
    prefix, numbers = os.urandom(8).hex(), count()
    while names := os.listdir(top):
        removed = 0
        for name in names:
            with suppress(OSError):
                os.unlink(name, dir_fd=top)
                removed += 1
                continue
            with suppress(OSError):
                inner = _entered(name, top)
                try:
                    _move_up(inner, top, prefix, numbers)
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=top)
                removed += 1
        if not removed:
            return


def _move_up(inner: int, top: int, prefix: str, numbers: count[int]) -> None:
    for name in os.listdir(inner):
        with suppress(OSError):
            os.unlink(name, dir_fd=inner)
            continue
        # To move a directory is to change the `..` in it, which takes the right to write there.
        os.close(_entered(name, inner))
        os.rename(name, f"{prefix}-{next(numbers)}", src_dir_fd=inner, dst_dir_fd=top)
