"""Under root: which job has which throw-away user id, kept on disk, because files outlive runs and supervisors.

What a run left in its work directory belongs to its user id. So the same job has the same id for life, it is on disk
before the id is first used, and no other job gets it before what was left has been reclaimed (see `reclaim`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from shared.messages import RunAs
from supervisor.config import LAST_UID, Config
from supervisor.errors import InvalidError, StoreError
from supervisor.models import FORMAT_VERSION, CronJob
from supervisor.spawning.requests import throw_away_uid
from supervisor.stores.asciijson import to_ascii_json
from supervisor.stores.store import DamagedError, read_json, write_atomic

FILE_BYTES = 64 << 20
MOST_PLACES = 64
"""Directories that are remembered of one job, which may be given another work directory at any time."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who has a user id, and where files of that id may lie."""

    job: str
    places: tuple[str, ...] = ()
    retired: bool = False
    """Its job is gone; what it left is still to be reclaimed."""


_OWNERS = TypeAdapter(dict[Annotated[int, Field(gt=0, le=LAST_UID)], Owner])


def places_of(job: CronJob) -> tuple[str, ...]:
    """Where on the host's disks the job may write."""
    return (*((job.work_dir,) if job.work_dir else ()), *job.write_paths)


class Uids:
    """The table of one home. Threads may share one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._owners: dict[int, Owner] | None = None
        self._of_job: dict[str, int] = {}
        """What each job has, so that an attempt does not look through those of all."""
        self._mutex = threading.Lock()

    def give(self, job: CronJob, config: Config) -> RunAs:
        """The user id of this job, on disk when this returns. Raises InvalidError where there is none, or the table is
        damaged; StoreError where it cannot be written."""
        with self._mutex:
            owners = self._read()
            uid = self._uid(owners, job, config)
            owner = owners.get(uid, Owner(job.id))
            places = tuple(dict.fromkeys((*owner.places, *places_of(job))))
            if len(places) > MOST_PLACES:
                raise InvalidError(f"The job has written to {MOST_PLACES} directories; add it anew as another one.")
            if owners.get(uid) != (owner := replace(owner, places=places)):
                self._write({**owners, uid: owner})
                self._of_job[job.id] = uid
            return RunAs(uid=uid, gid=uid)

    def would_give(self, job: CronJob, config: Config) -> RunAs:
        """As `give`, for a trial that leaves nothing behind: nothing is written. Raises InvalidError."""
        with self._mutex:
            uid = self._uid(self._read(), job, config)
            return RunAs(uid=uid, gid=uid)

    def retire(self, wanted: Callable[[str], bool]) -> dict[int, Owner]:
        """Those that no job has any more, marked on disk as such. Raises InvalidError, StoreError."""
        with self._mutex:
            owners = self._read()
            gone = {uid: replace(owner, retired=True) for uid, owner in owners.items() if self._is_over(owner, wanted)}
            if any(owners[uid] != owner for uid, owner in gone.items()):
                self._remember(self._write({**owners, **gone}))
            return gone

    def free(self, uids: Iterable[int]) -> None:
        """Nothing of these is left anywhere: any job may have them. Raises InvalidError, StoreError."""
        with self._mutex:
            freed = frozenset(uids)
            self._remember(self._write({uid: owner for uid, owner in self._read().items() if uid not in freed}))

    def _uid(self, owners: dict[int, Owner], job: CronJob, config: Config) -> int:
        uid = self._of_job.get(job.id)
        return throw_away_uid(job.id, config, owners.keys()).uid if uid is None else uid

    @staticmethod
    def _is_over(owner: Owner, wanted: Callable[[str], bool]) -> bool:
        return owner.retired or not wanted(owner.job)

    def _read(self) -> dict[int, Owner]:
        if self._owners is None:
            try:
                record = read_json(self._path, FILE_BYTES, FORMAT_VERSION)
                found = _OWNERS.validate_python(record.get("uids"))
            except FileNotFoundError:
                found = {}
            except (DamagedError, ValidationError):
                # Never taken for empty: somebody else's files would be given to the next job.
                raise InvalidError(
                    f"{self._path} is damaged, so it is not known whose files belong to which user id. Look who owns "
                    "what below the work directories, set uid_base to ids that own nothing, and move the file away."
                ) from None
            self._remember(found)
            return found
        return self._owners

    def _write(self, owners: dict[int, Owner]) -> dict[int, Owner]:
        # At each job's first run: json's own indenting took 20 ms for a thousand jobs.
        record = to_ascii_json({"version": FORMAT_VERSION, "uids": owners}, indent=1)
        try:
            write_atomic(self._path, record + b"\n")
        except StoreError:
            self._owners = None  # the disk decides
            raise
        self._owners = owners
        return owners

    def _remember(self, owners: dict[int, Owner]) -> None:
        self._owners = owners
        self._of_job = {owner.job: uid for uid, owner in reversed(owners.items()) if not owner.retired}
