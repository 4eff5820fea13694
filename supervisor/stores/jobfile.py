"""A definition as a file: JSON for eyes and for other programs, read back whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from supervisor.errors import InvalidError
from supervisor.models import FORMAT_VERSION, CronJob
from supervisor.sentences import sentence, shown
from supervisor.stores.asciijson import to_ascii_json
from supervisor.stores.home import Home
from supervisor.stores.store import DamagedError, failure, read_bytes, versioned
from supervisor.vocabulary import DEFINITION_BYTES

SUFFIX = ".json"
_DIGEST_BYTES = 16
_BEGINNING = b'{\n  "version": %d,' % FORMAT_VERSION


class Stored(NamedTuple):
    """A definition, and what tells its file from any other."""

    job: CronJob
    digest: bytes


def path_of(home: Home, job_id: str) -> Path:
    """Where the definition of this id lies."""
    return home.jobs / f"{job_id}{SUFFIX}"


def encoded(job: CronJob) -> tuple[bytes, Stored]:
    """The file's bytes, and what reading them gives: what cannot be read back is not written. Raises InvalidError."""
    what = f"The job {shown(job.label)} cannot be stored"
    try:
        record = {"version": FORMAT_VERSION, **job.definition()}
        data = to_ascii_json(record, indent=2) + b"\n"
        stored = _as_written(data) or _decoded(json.loads(data))
    except ValidationError as error:
        raise InvalidError(sentence(error, what)) from None
    except (PydanticSerializationError, ValueError):
        raise InvalidError(f"{what}: it holds what JSON cannot carry.") from None
    if len(data) > DEFINITION_BYTES:
        raise InvalidError(f"{what}: it would need {len(data)} bytes, and {DEFINITION_BYTES} are allowed.")
    return data, Stored(stored, _digest(data))


def load(path: Path) -> Stored | None:
    """What this file holds; None where there is none. Raises DamagedError, NewerError, StoreError."""
    try:
        data = read_bytes(path, DEFINITION_BYTES)
        job = _as_written(data) or _decoded(_carried(versioned(data, path, FORMAT_VERSION), path))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise DamagedError(sentence(error, f"{path} is damaged", CronJob)) from None
    if f"{job.id}{SUFFIX}" != path.name:
        raise DamagedError(f"{path} holds another job, {job.id}.")
    return Stored(job, _digest(data))


def files(directory: Path) -> Iterator[Path]:
    """The files of definitions, in the order of their names. Raises StoreError."""
    try:
        names = sorted(path.name for path in directory.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise failure("read", directory, error) from None
    yield from (directory / name for name in names if name.endswith(SUFFIX) and not name.startswith("."))


def _as_written(data: bytes) -> CronJob | None:
    """What a file says that begins as ours do: checked whole, and without a detour over Python's own values, which
    takes a third of the time. None: that other way is to say what it is, or what is wrong with it."""
    if not data.startswith(_BEGINNING):
        return None
    try:
        return CronJob.model_validate_json(b"{" + data[len(_BEGINNING) :])
    except ValidationError:
        return None


def _carried(record: dict[str, Any], path: Path) -> dict[str, Any]:
    """The same record, if we could write it: what JSON lets pass may be no text, and would break whatever stores it."""
    try:
        to_ascii_json(record)
    except ValueError:  # or it is nested too deeply
        raise DamagedError(
            f"{path} is damaged: it holds what cannot be stored, such as half of a surrogate pair."
        ) from None
    return record


def _decoded(record: dict[str, Any]) -> CronJob:
    return CronJob.model_validate({key: value for key, value in record.items() if key != "version"})


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).digest()
