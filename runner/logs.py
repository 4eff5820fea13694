"""The files of an attempt, opened before anything is confined, so that the confined need no path to them."""

from __future__ import annotations

import os

from runner.refusal import Reason, RefusalError
from shared.record import NamedTuple

NEW = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_RDWR
CHUNK = 1 << 16
FURTHER = {"network": "network.jsonl", "transcript": "transcript.jsonl", "gate": "gate", "check": "check"}


class Logs(NamedTuple):
    """Descriptors, but `state`: the real path of the directory, which no cell may show."""

    stdout: int
    stderr: int
    answer: int
    result: int
    directory: int
    state: str
    network: int = -1
    """The proxy's log; -1 where there is no proxy."""
    transcript: int = -1
    """-1: nothing is known of how its agent's output is read."""
    gate: int = -1
    check: int = -1
    """What they wrote; -1 where there is none."""


def open_logs(path: str, *more: str) -> Logs:
    """`more`: which of the further files there are to be, by the names of their fields.

    Raises RefusalError where the files cannot be made, or are there already: an attempt is never run twice."""
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stdout, stderr, answer, result = (
            os.open(name, NEW, 0o600, dir_fd=directory) for name in ("stdout", "stderr", "answer", "result.json")
        )
        found = {name: os.open(FURTHER[name], NEW, 0o600, dir_fd=directory) for name in more}
    except OSError as error:
        raise RefusalError(
            Reason.RUNNER_BROKE, f"The files of this attempt cannot be made in {path} ({error.strerror})."
        ) from error
    return Logs(stdout, stderr, answer, result, directory, os.path.realpath(path), **found)


def write_all(descriptor: int, data: bytes) -> None:
    """Raises OSError, on a full disk for one."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def head(descriptor: int, most: int) -> bytes:
    return os.pread(descriptor, most, 0)


def tail(descriptor: int, most: int) -> bytes:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, most, max(0, size - most))


def is_blank(descriptor: int) -> bool:
    """Whether it holds nothing but white space; read in pieces, for an answer may be large."""
    offset = 0
    while chunk := os.pread(descriptor, CHUNK, offset):
        # A character cut by the end of a piece becomes a replacement mark: not blank, and neither was the character,
        # but for the few wide spaces; so the pieces overlap by less than one character.
        if chunk.decode(errors="ignore").strip():
            return False
        offset += len(chunk) if len(chunk) < CHUNK else CHUNK - 3
    return True


def copy(source: int, target: int) -> None:
    size, offset = os.fstat(source).st_size, 0
    while offset < size:
        offset += os.sendfile(target, source, offset, size - offset)


def sync(logs: Logs, line: bytes) -> None:
    """The result, on disk when this returns. Raises OSError."""
    write_all(logs.result, line)
    os.fsync(logs.result)
    os.fsync(logs.directory)
