"""Several files changed as one: all of them or none, whatever is killed, whenever.

The new contents are written beside their places, each to a temporary file, and synced. Then one small file says which
of them are to be renamed and what is to be removed: with it the change has happened. Renaming needs next to no room,
so a disk that fills up meets it before that instant. Who is killed after it is followed by whoever takes the home's
lock next, and that one carries it out to the end before it does anything else.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from supervisor.errors import StoreError
from supervisor.stores.disk import REAL, Disk
from supervisor.stores.home import Home
from supervisor.stores.store import DamagedError, failure, read_json, set_aside, sync_dir, write_all

VERSION = 1
FILE_BYTES = 8 << 20


def change(home: Home, contents: Mapping[Path, bytes], removed: Iterable[Path] = (), disk: Disk = REAL) -> None:
    """Put these contents in the place of these files and remove the others. Only for who holds the home's lock.

    Raises StoreError. Then nothing has changed, unless it says that the rest follows at the next start.
    """
    complete(home, disk)
    staged = _staged(contents)
    record = {
        "version": VERSION,
        "renamed": [[_inside(home, temporary), _inside(home, path)] for path, temporary in staged.items()],
        "removed": [_inside(home, path) for path in removed],
    }
    try:
        disk.replace(home.pending, json.dumps(record).encode("ascii") + b"\n")
    except StoreError:
        # It may be there although its directory could not be synced; then it must not come true later.
        home.pending.unlink(missing_ok=True)
        _discard(staged.values())
        raise
    try:
        complete(home, disk)
    except StoreError as error:
        raise StoreError(f"{error} Part of the change is stored, and the rest follows at the next start.") from None


def complete(home: Home, disk: Disk = REAL) -> bool:
    """Carry out a change that somebody was killed in the middle of. Only for who holds the lock. Whether there was one.

    Raises StoreError where it cannot be done now.
    """
    try:
        record = read_json(home.pending, FILE_BYTES, VERSION)
        renamed = [(_path(home, temporary), _path(home, path)) for temporary, path in record["renamed"]]
        removed = [_path(home, path) for path in record["removed"]]
    except FileNotFoundError:
        return False
    except (DamagedError, KeyError, TypeError, ValueError):
        set_aside(home.pending, home.damaged)  # written whole or not at all: somebody else wrote this
        return False
    for temporary, path in renamed:
        _rename(temporary, path)
    for path in removed:
        disk.remove(path)
    for directory in {path.parent for path in (*(path for _, path in renamed), *removed)}:
        disk.sync_dir(directory)
    disk.remove(home.pending)
    disk.sync_dir(home.root)
    return True


def _staged(contents: Mapping[Path, bytes]) -> dict[Path, Path]:
    """The temporary file of each, synced."""
    staged: dict[Path, Path] = {}
    try:
        for path, data in contents.items():
            fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".tmp")
            staged[path] = Path(name)
            try:
                os.fchmod(fd, 0o600)
                write_all(fd, data)
                os.fsync(fd)
            finally:
                os.close(fd)
        for directory in {path.parent for path in contents}:
            sync_dir(directory)
    except OSError as error:
        _discard(staged.values())
        raise failure("written", path, error) from None
    except StoreError:
        _discard(staged.values())
        raise
    return staged


def _rename(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except FileNotFoundError:  # whoever was killed had come so far
        return
    except OSError as error:
        raise failure("written", path, error) from None


def _discard(files: Iterable[Path]) -> None:
    for path in files:
        with suppress(OSError):
            path.unlink()


def _inside(home: Home, path: Path) -> str:
    return str(path.relative_to(home.root))


def _path(home: Home, text: str) -> Path:
    parts: Sequence[str] = Path(text).parts
    if len(parts) != 2 or ".." in parts or text.startswith("/"):
        raise ValueError(text)
    return home.root / text
