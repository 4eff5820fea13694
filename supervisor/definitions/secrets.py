"""The values of secrets: one file each, its owner's alone, read at the start of each attempt that was granted one.

A file holds nothing but the value, so that its modification time is when it was set. What is written is read back to
nobody: a value leaves this store only in the request of an attempt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from supervisor.errors import InvalidError, NotFoundError
from supervisor.sentences import shown
from supervisor.stores.home import Home
from supervisor.stores.lock import HomeLock
from supervisor.stores.store import failure, read_bytes, remove_leftovers, sync_dir, write_atomic

NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
LEAST_BYTES = 8
"""White space around it not counted. Anything shorter stands by chance in what an agent writes, and would be masked."""
MOST_BYTES = 64 << 10


class SecretStore:
    """The secrets of one home."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def set(self, name: str, value: str) -> None:
        """Store or replace a value, durably. Raises InvalidError, in words without the value, and StoreError."""
        check_name(name)
        data = _checked(name, value)
        with HomeLock(self._home).writing():
            # What a killed writer left holds a value too.
            remove_leftovers(self._home.secrets)
            write_atomic(self._path(name), data)

    def remove(self, name: str) -> None:
        """Delete a value. Raises NotFoundError, StoreError."""
        check_name(name)
        with HomeLock(self._home).writing():
            remove_leftovers(self._home.secrets)
            try:
                self._path(name).unlink()
            except FileNotFoundError:
                raise NotFoundError(_missing(name)) from None
            except OSError as error:
                raise failure("removed", self._path(name), error) from None
            sync_dir(self._home.secrets)

    def read(self, name: str) -> str:
        """The value. Raises NotFoundError, and StoreError where the file is not one of ours."""
        check_name(name)
        try:
            data = read_bytes(self._path(name), MOST_BYTES)
        except FileNotFoundError:
            raise NotFoundError(_missing(name)) from None
        try:
            return _checked(name, data.decode()).decode()
        except UnicodeDecodeError:
            raise InvalidError(f"The file of the secret {name} is damaged. {_how_to_set(name)}") from None

    def set_at(self, name: str) -> datetime:
        """When its value was set. Raises NotFoundError."""
        check_name(name)
        try:
            return datetime.fromtimestamp(self._path(name).lstat().st_mtime, UTC)
        except OSError:
            raise NotFoundError(_missing(name)) from None

    def names(self) -> list[str]:
        """All that are set. Raises StoreError."""
        return sorted(self._names())

    def _names(self) -> Iterator[str]:
        try:
            yield from (path.name for path in self._home.secrets.iterdir() if NAME.fullmatch(path.name))
        except FileNotFoundError:
            return
        except OSError as error:
            raise failure("read", self._home.secrets, error) from None

    def _path(self, name: str) -> Path:
        return self._home.secrets / name


def check_name(name: str) -> None:
    """Raise InvalidError unless it is a name of a secret."""
    if not NAME.fullmatch(name):
        raise InvalidError(
            f"The name {shown(name)} cannot be a secret's: use up to 64 of A-Z, 0-9 and _, not a digit first."
        )


def _checked(name: str, value: str) -> bytes:
    """The bytes to store. No sentence here holds any of them."""
    try:
        data = value.encode()
    except UnicodeEncodeError:
        raise InvalidError(f"The value of {name} is not valid Unicode text. Encode it, in base64 for one.") from None
    if b"\0" in data:
        raise InvalidError(f"The value of {name} holds a NUL byte. Encode it, in base64 for one.")
    if len(value.strip().encode()) < LEAST_BYTES:
        raise InvalidError(f"The value of {name} is shorter than {LEAST_BYTES} bytes. Give a longer one.")
    if len(data) > MOST_BYTES:
        raise InvalidError(
            f"The value of {name} has {len(data)} bytes; at most {MOST_BYTES} are taken. "
            "Let jobs read a file (--read-path)."
        )
    return data


def _missing(name: str) -> str:
    return f"The secret {name} is not set. {_how_to_set(name)}"


def _how_to_set(name: str) -> str:
    return f"Set it with: cronward secret set {name}"
