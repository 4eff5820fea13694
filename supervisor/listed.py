"""A definition as far as a list shows it, read without the models: to import these takes longer than to read a thousand
files. What does not look quite as we write it is left to the store, whose word counts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from supervisor import shapes
from supervisor.errors import StoreError
from supervisor.store import failure, read_bytes
from supervisor.terms import FORMAT_VERSION, NEVER

FILE_BYTES = 8 << 20
_SUFFIX = ".json"
_INSTANTS = ("at", "start", "until", "created_at", "changed_at", "anchor")


@dataclass(slots=True)
class Listed:
    """One job of a list. The fields, and what they are where a file does not say it, are those of `CronJob`."""

    id: str
    prompt: str
    name: str = ""
    cron_expr: str = ""
    at: datetime | None = None
    timezone: str | None = None
    dst: Literal["once", "exact"] = "once"
    agent: str = "local"
    jitter_secs: int = 0
    start: datetime | None = None
    until: datetime | None = None
    max_runs: int | None = None
    enabled: bool = True
    pause_reason: str = ""
    created_at: datetime = NEVER
    changed_at: datetime = NEVER
    anchor: datetime = NEVER


_SHOWN = tuple(Listed.__dataclass_fields__)


def read_all(directory: Path) -> list[Listed] | None:
    """All definitions, oldest first. None: the store is to say what is there, and what is wrong with it."""
    found: list[Listed] = []
    try:
        names = [name for name in _names(directory) if name.endswith(_SUFFIX) and not name.startswith(".")]
        for name in names:
            job = read(read_bytes(directory / name, FILE_BYTES), name.removesuffix(_SUFFIX))
            if job is None:
                return None
            found.append(job)
    except (StoreError, FileNotFoundError):
        return None
    return sorted(found, key=lambda job: (job.created_at, job.id))


def read(data: bytes, job_id: str) -> Listed | None:
    """The definition in a file that belongs to this id. None: the store is to read it."""
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if type(record) is not dict or not _ours(record) or record.get("id") != job_id or "prompt" not in record:
        return None
    known: dict[str, Any] = {name: record[name] for name in _SHOWN if name in record}
    for name in _INSTANTS:
        if known.get(name) is not None:
            known[name] = datetime.fromisoformat(known[name])
    return Listed(**known)


def _ours(record: dict[str, object]) -> bool:
    version = record.pop("version", None)
    return type(version) is int and version == FORMAT_VERSION and shapes.fits(record, shapes.DEFINITION)


def _names(directory: Path) -> list[str]:
    try:
        return [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise failure("read", directory, error) from None
