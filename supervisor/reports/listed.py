"""A definition as far as a list shows it, read without the models: to import these takes longer than to read a thousand
files. What does not look quite as we write it is left to the store, whose word counts."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from supervisor.reports import shapes
from supervisor.stores.sums import READ
from supervisor.vocabulary import DEFINITION_BYTES, FORMAT_VERSION, NEVER

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
_DULL = tuple(name for name in shapes.DEFINITION if name not in _SHOWN)
_dull = itemgetter(*_DULL)


def read_all(directory: Path) -> list[Listed] | None:
    """All definitions, oldest first. None: the store is to say what is there, and what is wrong with it."""
    try:
        names = [name for name in os.listdir(directory) if name.endswith(_SUFFIX) and not name.startswith(".")]
    except OSError:
        return None
    reader, found = Reader(), list[Listed]()
    for name in names:
        job = reader.read(_bytes(f"{directory}/{name}"), name.removesuffix(_SUFFIX))
        if job is None:
            return None
        found.append(job)
    return sorted(found, key=lambda job: (job.created_at, job.id))


class Reader:
    """Reads one after the other: most of what they say is the same in all, and looked at once."""

    def __init__(self) -> None:
        self._vouched: tuple[object, ...] | None = None

    def read(self, data: bytes, job_id: str) -> Listed | None:
        """The definition in a file that belongs to this id. None: the store is to read it."""
        try:
            record = json.loads(data)
        except (ValueError, RecursionError):
            return None
        if type(record) is not dict or not self._ours(record) or record.get("id") != job_id or "prompt" not in record:
            return None
        known: dict[str, Any] = {name: record[name] for name in _SHOWN if name in record}
        for name in _INSTANTS:
            if known.get(name) is not None:
                known[name] = datetime.fromisoformat(known[name])
        return Listed(**known)

    def _ours(self, record: dict[str, object]) -> bool:
        version = record.pop("version", None)
        if type(version) is not int or version != FORMAT_VERSION:
            return False
        dull = (
            _dull(record)
            if len(record) == len(shapes.DEFINITION) and record.keys() == shapes.DEFINITION.keys()
            else None
        )
        if dull is not None and dull == self._vouched:
            return shapes.fits({name: record[name] for name in _SHOWN}, shapes.DEFINITION)
        if not shapes.fits(record, shapes.DEFINITION):
            return False
        self._vouched = dull
        return True


def _bytes(path: str) -> bytes:
    """What is in this file; nothing, where it is none of ours, which is no definition either."""
    try:
        fd = os.open(path, READ)
    except OSError:
        return b""
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size > DEFINITION_BYTES:
            return b""
        # As much as there is: to make room for the most that there may be costs more than to read.
        return os.read(fd, found.st_size)
    except OSError:
        return b""
    finally:
        os.close(fd)
