"""The store of definitions: one file a job, read by anyone of the owner's, written by who holds the home's lock.

Who holds the lock for life (the supervisor) is answered from memory, so that a change costs the same however many jobs
there are. Anyone else reads the disk at each question, and therefore sees what other processes changed.
"""

from __future__ import annotations

import bisect
import itertools
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from supervisor import transaction
from supervisor.disk import REAL, Disk
from supervisor.errors import CronwardError, InvalidError, NotFoundError, RefusedError, StoreError
from supervisor.home import Home
from supervisor.lock import HomeLock
from supervisor.models import FORMAT_VERSION, CronJob
from supervisor.sentences import sentence, shown, suggestion
from supervisor.store import (
    Damage,
    DamagedError,
    UnreadableError,
    failure,
    file_of,
    read_json,
    remove_leftovers,
    set_aside,
)

FILE_BYTES = 8 << 20  # prompt and schema of 256 KiB each, every character escaped, and the rest
PREFIX_CHARS = 4
CANDIDATES = 5
NAMES_LOOKED_AT = 1000
"""For one that is like a wrong name: to compare all of 100,000 would take seconds."""
Files = Mapping[Path, bytes]
Jobs = list[CronJob]  # inside the class, `list` is the seed's operation


def new_id() -> str:
    """An id for a job or a run: a UUID, version 4."""
    return str(uuid.uuid4())


class _Index:
    """Definitions as they lie in memory, with what they are found by."""

    def __init__(self) -> None:
        self.jobs: dict[str, CronJob] = {}
        self.names: dict[str, str] = {}
        self.ids: list[str] = []
        self.damaged: dict[str, Damage] = {}

    def put(self, job: CronJob) -> None:
        self.drop(job.id)
        self.jobs[job.id] = job
        bisect.insort(self.ids, job.id)
        if job.name:
            self.names.setdefault(job.name, job.id)

    def drop(self, job_id: str) -> None:
        job = self.jobs.pop(job_id, None)
        if job is None:
            return
        del self.ids[bisect.bisect_left(self.ids, job_id)]
        if self.names.get(job.name) == job_id:
            del self.names[job.name]

    def beginning_with(self, prefix: str) -> Jobs:
        after = itertools.islice(self.ids, bisect.bisect_left(self.ids, prefix), None)
        return [self.jobs[job_id] for job_id in itertools.takewhile(lambda each: each.startswith(prefix), after)]


class CronStore:
    """The definitions of one home."""

    def __init__(self, home: Home | Path | str, wait_seconds: float = 10.0, disk: Disk = REAL) -> None:
        """`wait_seconds`: how long a change waits for another process that is changing the home."""
        self.home, self._disk = Home.of(home), disk
        self._lock = HomeLock(self.home, wait_seconds)
        self._index = _Index()
        self._stamp: tuple[int, int] | None = None

    @property
    def damaged(self) -> list[Damage]:
        """What the last look at the disk could not read. Nothing of it was overwritten."""
        return [self._index.damaged[name] for name in sorted(self._index.damaged)]

    def add(self, job: CronJob) -> CronJob:
        """Store a new definition. Raises RefusedError where its id or its name is taken, InvalidError, StoreError."""
        with self._writing() as index:
            if job.id in index.jobs:
                raise RefusedError(
                    f"There is a job with the id {job.id} already; it was not changed. Edit it, or leave the id out."
                )
            return self._put(index, job)

    def get(self, job_id: str) -> CronJob | None:
        """The definition with exactly this id. Raises DamagedError where its file cannot be read."""
        if self._remembered():
            found, damage = self._index.jobs.get(job_id), self._index.damaged.get(job_id)
            if found is None and damage is not None and damage.moved_to is None:
                raise DamagedError(damage.problem)
            return found
        path = file_of(self.home.jobs, job_id, ".json")
        return _load(path) if path else None

    def find(self, reference: str) -> CronJob:
        """The job meant by an id, a name, or the beginning of an id (4 characters or more).

        Raises NotFoundError, or InvalidError naming the candidates where several ids begin so.
        """
        index = self._look()
        job = index.jobs.get(reference) or index.jobs.get(index.names.get(reference, ""))
        if job:
            return job
        found = index.beginning_with(reference) if len(reference) >= PREFIX_CHARS else []
        if not found:
            raise self._lost(index, reference)
        if len(found) > 1:
            names = ", ".join(candidate.id for candidate in found[:CANDIDATES])
            more = f" and {len(found) - CANDIDATES} more" if len(found) > CANDIDATES else ""
            raise InvalidError(f"{shown(reference)} may mean {names}{more}. Give more of the id.")
        return found[0]

    def update(self, job: CronJob) -> CronJob:
        """Replace a definition. Raises NotFoundError where it is gone, RefusedError where its new name is taken."""
        with self._writing() as index:
            self._existing(index, job.id)
            return self._put(index, job)

    def change(
        self, jobs: Sequence[CronJob], removed: Sequence[str] = (), beside: Files = MappingProxyType({})
    ) -> Jobs:
        """Store these definitions, new ones and others in the place of what they were, and remove some: all or none.

        `beside`: further files of the home that belong to the change. Returns the jobs as stored. Raises as `add` and
        `delete` do.
        """
        with self._writing() as index:
            gone = {self._existing(index, job_id).id for job_id in removed}
            self._check_names(index, jobs, gone)
            made = [(_path(self.home, job.id), *_encoded(job)) for job in jobs]
            contents = {**beside, **{path: data for path, data, _ in made}}
            transaction.change(self.home, contents, [_path(self.home, job_id) for job_id in sorted(gone)], self._disk)
            for job_id in gone:
                index.drop(job_id)
            for _, _, stored in made:
                index.put(stored)
            self._lock.changed()
            return [stored for _, _, stored in made]

    def delete(self, job_id: str) -> CronJob:
        """Remove a definition and return what it was. Raises NotFoundError where there is none."""
        with self._writing() as index:
            job = self._existing(index, job_id)
            self._disk.remove(_path(self.home, job_id))
            index.drop(job_id)
            self._lock.changed()
            self._disk.sync_dir(self.home.jobs)
            return job

    def quarantine(self) -> list[Damage]:
        """Move damaged files to `damaged/`, and remove what killed writers left. Returns what was damaged.

        What only lacks the permission to be read stays where it is.
        """
        with self._writing() as index:
            remove_leftovers(self.home.jobs)
            remove_leftovers(self.home.imported)
            moved: list[Damage] = []
            for name, damage in index.damaged.items():
                if damage.moved_to is None:
                    target = None if damage.stays else set_aside(damage.path, self.home.damaged)
                    moved.append(Damage(damage.path, damage.problem, target, damage.stays))
                    index.damaged[name] = moved[-1]
            return moved

    def list(self) -> Jobs:
        """All definitions, oldest first. What cannot be read is in `damaged`. Raises NewerError, StoreError."""
        return sorted(self._look().jobs.values(), key=lambda job: (job.created_at, job.id))

    def _remembered(self) -> bool:
        return self._lock.held and self._stamp == self._lock.stamp

    def _look(self) -> _Index:
        if not self._remembered():
            # The stamp first: a change that comes while we read makes us read again.
            stamp = self._lock.stamp if self._lock.held else None
            self._index = _read(self.home, self._index.damaged)
            self._stamp = stamp
        return self._index

    @contextmanager
    def _writing(self) -> Iterator[_Index]:
        with self._lock.writing():
            index = self._look()
            try:
                yield index
            except StoreError:
                # A rename may have happened although its directory could not be synced: the disk decides.
                self._stamp = None
                raise
            self._stamp = self._lock.stamp

    def _put(self, index: _Index, job: CronJob) -> CronJob:
        other = index.names.get(job.name) if job.name else None
        if other not in (None, job.id):
            raise RefusedError(f"There is a job called {shown(job.name)} already ({other}). Choose another name.")
        self._check_whole(index, job)
        data, stored = _encoded(job)
        path = _path(self.home, job.id)
        self._disk.replace(path, data)
        index.put(stored)
        self._lock.changed()
        return stored

    def _check_names(self, index: _Index, jobs: Sequence[CronJob], gone: set[str]) -> None:
        moving = gone | {job.id for job in jobs}
        taken = {name: job_id for name, job_id in index.names.items() if job_id not in moving}
        for job in jobs:
            self._check_whole(index, job)
            other = taken.setdefault(job.name, job.id) if job.name else job.id
            if other != job.id:
                raise RefusedError(f"There is a job called {shown(job.name)} already ({other}). Choose another name.")

    def _check_whole(self, index: _Index, job: CronJob) -> None:
        damage = index.damaged.get(job.id)
        if damage is not None and damage.moved_to is None:
            raise DamagedError(f"{damage.problem} It is kept as it is; move it away, then try again.")

    def _lost(self, index: _Index, reference: str) -> CronwardError:
        """Why nothing is found: there is none, or its file cannot be read."""
        for job_id, damage in index.damaged.items():
            if damage.moved_to is None and len(reference) >= PREFIX_CHARS and job_id.startswith(reference):
                return DamagedError(damage.told)
        near = suggestion(reference, itertools.islice(index.names, NAMES_LOOKED_AT))
        return NotFoundError(f"There is no job {shown(reference)}.{near} `cronward list` shows those there are.")

    def _existing(self, index: _Index, job_id: str) -> CronJob:
        job = index.jobs.get(job_id)
        if job is None:
            raise NotFoundError(f"There is no job {shown(job_id)} (any more). `cronward list` shows those there are.")
        return job


def _path(home: Home, job_id: str) -> Path:
    return home.jobs / f"{job_id}.json"


def _encoded(job: CronJob) -> tuple[bytes, CronJob]:
    """The file's bytes, and the job as reading them will give it: what cannot be read back is not written."""
    what = f"The job {shown(job.label)} cannot be stored"
    try:
        record = {"version": FORMAT_VERSION, **job.definition()}
        json.dumps(record, ensure_ascii=False).encode("utf-8")  # refuses half a surrogate pair, as other readers do
        data = json.dumps(record, indent=2, allow_nan=False).encode("ascii") + b"\n"
        stored = _decoded(json.loads(data))
    except ValidationError as error:
        raise InvalidError(sentence(error, what)) from None
    except (PydanticSerializationError, ValueError):
        raise InvalidError(f"{what}: it holds what JSON cannot carry.") from None
    if len(data) > FILE_BYTES:
        raise InvalidError(f"{what}: it would need {len(data)} bytes, and {FILE_BYTES} are allowed.")
    return data, stored


def _decoded(record: dict[str, Any]) -> CronJob:
    return CronJob.model_validate({key: value for key, value in record.items() if key != "version"})


def _load(path: Path) -> CronJob | None:
    try:
        job = _decoded(read_json(path, FILE_BYTES, FORMAT_VERSION))
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise DamagedError(sentence(error, f"{path} is damaged", CronJob)) from None
    if job.id != path.name.removesuffix(".json"):
        raise DamagedError(f"{path} holds another job, {job.id}.")
    return job


def _read(home: Home, before: dict[str, Damage]) -> _Index:
    index = _Index()
    index.damaged = {name: damage for name, damage in before.items() if damage.moved_to}
    for path in _files(home.jobs):
        try:
            job = _load(path)
        except DamagedError as error:
            index.damaged[path.name.removesuffix(".json")] = Damage(
                path, str(error), stays=isinstance(error, UnreadableError)
            )
        else:
            if job:
                index.put(job)
    return index


def _files(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == ".json" and not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise failure("read", directory, error) from None
