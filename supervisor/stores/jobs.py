"""The store of definitions: one file a job, read by anyone of the owner's, written by who holds the home's lock.

Who holds the lock for life (the supervisor) has an index in memory, so that a change costs the same however many jobs
there are, and reads a definition when it is asked for. Anyone else reads the disk at each question, and therefore sees
what other processes changed.
"""

from __future__ import annotations

import itertools
import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType

from supervisor.errors import CronwardError, InvalidError, NotFoundError, RefusedError, StoreError
from supervisor.models import CronJob
from supervisor.sentences import shown, suggestion
from supervisor.stores import jobfile, transaction
from supervisor.stores.disk import REAL, Disk
from supervisor.stores.home import Home
from supervisor.stores.jobindex import JobIndex, Known
from supervisor.stores.lately import Lately
from supervisor.stores.lock import HomeLock
from supervisor.stores.store import Damage, DamagedError, UnreadableError, file_of, remove_leftovers, set_aside
from supervisor.stores.sums import state_at
from supervisor.timing.timed import Timed

PREFIX_CHARS = 4
CANDIDATES = 5
NAMES_LOOKED_AT = 1000
"""For one that is like a wrong name: to compare all of 100,000 would take seconds."""
Files = Mapping[Path, bytes]
Jobs = list[CronJob]  # inside the class, `list` is the seed's operation
logger = logging.getLogger("cronward.jobs")


def new_id() -> str:
    """An id for a job or a run: a UUID, version 4."""
    return str(uuid.uuid4())


class CronStore:
    """The definitions of one home."""

    def __init__(self, home: Home | Path | str, wait_seconds: float = 10.0, disk: Disk = REAL) -> None:
        """`wait_seconds`: how long a change waits for another process that is changing the home."""
        self.home, self._disk = Home.of(home), disk
        self._lock = HomeLock(self.home, wait_seconds)
        self._index, self._lately = JobIndex(), Lately()
        self._stamp: tuple[int, int] | None = None
        self.changed_by_hand: set[str] = set()
        """Jobs whose files somebody changed or removed while the lock was held here, as far as that was seen."""

    @property
    def damaged(self) -> list[Damage]:
        """What the last look at the disk could not read. Nothing of it was overwritten."""
        return [self._index.damaged[name] for name in sorted(self._index.damaged)]

    def add(self, job: CronJob) -> CronJob:
        """Store a new definition. Raises RefusedError where its id or its name is taken, InvalidError, StoreError."""
        with self._writing() as index:
            if job.id in index:
                raise RefusedError(
                    f"There is a job with the id {job.id} already; it was not changed. Edit it, or leave the id out."
                )
            return self._put(index, job)

    def get(self, job_id: str) -> CronJob | None:
        """The definition with exactly this id. Raises DamagedError where its file cannot be read, StoreError."""
        if self._remembered():
            return self._kept(job_id) if job_id in self._index or self._index.is_damaged(job_id) else None
        path = file_of(self.home.jobs, job_id, jobfile.SUFFIX)
        stored = jobfile.load(path) if path else None
        return None if stored is None else stored.job

    def has(self, job_id: str) -> bool:
        """Whether there is a definition of this id, be it damaged. Raises as `get` does where that is looked up."""
        if self._remembered():
            return job_id in self._index or self._index.is_damaged(job_id) is not None
        return self.get(job_id) is not None

    def find(self, reference: str) -> CronJob:
        """The job meant by an id, a name, or the beginning of an id (4 characters or more).

        Raises NotFoundError, or InvalidError naming the candidates where several ids begin so; as `get` does.
        """
        job = self.get(self._meant(reference))
        if job is None:
            raise self._lost(self._index, reference)
        return job

    def timing(self, job_id: str) -> Timed | None:
        """What says when the job is due. None: there is none. Raises as `get` does where that is not in memory."""
        return self._index.of(job_id) if self._remembered() else self.get(job_id)

    def known(self) -> Iterator[Known]:
        """What is known of each definition without reading it. Raises NewerError, StoreError."""
        return iter(self._look())

    def update(self, job: CronJob) -> CronJob:
        """Replace a definition. Raises NotFoundError where it is gone, RefusedError where its new name is taken."""
        with self._writing() as index:
            self._check_there(index, job.id)
            return self._put(index, job)

    def change(
        self, jobs: Sequence[CronJob], removed: Sequence[str] = (), beside: Files = MappingProxyType({})
    ) -> Jobs:
        """Store these definitions, new ones and others in the place of what they were, and remove some: all or none.

        `beside`: further files of the home that belong to the change. Returns the jobs as stored. Raises as `add` and
        `delete` do.
        """
        with self._writing() as index:
            for job_id in removed:
                self._check_there(index, job_id)
            gone = frozenset(removed)
            self._check_names(index, jobs, gone)
            made = [(jobfile.path_of(self.home, job.id), *jobfile.encoded(job)) for job in jobs]
            contents = {**beside, **{path: data for path, data, _ in made}}
            removal = [jobfile.path_of(self.home, job_id) for job_id in sorted(gone)]
            transaction.change(self.home, contents, removal, self._disk)
            for job_id in gone:
                index.drop(job_id)
            for _, _, stored in made:
                index.put(stored)
            self._lock.changed()
            return [stored.job for _, _, stored in made]

    def delete(self, job_id: str) -> CronJob:
        """Remove a definition and return what it was. Raises NotFoundError where there is none."""
        with self._writing() as index:
            self._check_there(index, job_id)
            job = self._kept(job_id)
            if job is None:
                raise _gone(job_id)
            self._disk.remove(jobfile.path_of(self.home, job_id))
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
        return sorted(self.each(), key=lambda job: (job.created_at, job.id))

    def each(self) -> Iterator[CronJob]:
        """The same one after the other, in no order: nobody has to hold a hundred thousand."""
        if not self._remembered():
            yield from self._read()
            return
        for known in list(self._index):
            with suppress(DamagedError):
                job = self._kept(known.id, remember=False)
                if job is not None:
                    yield job

    def _remembered(self) -> bool:
        return self._lock.held and self._stamp == self._lock.stamp

    def _look(self) -> JobIndex:
        if not self._remembered():
            for _ in self._read():
                pass
        return self._index

    def _read(self) -> Iterator[CronJob]:
        """All definitions as they lie on disk, all of them checked; at the end of it the index is theirs."""
        # The stamp first: a change that comes while we read makes us read again.
        stamp = self._lock.stamp if self._lock.held else None
        index = JobIndex({name: damage for name, damage in self._index.damaged.items() if damage.moved_to})
        for path in jobfile.files(self.home.jobs):
            try:
                stored = jobfile.load(path)
            except DamagedError as error:
                index.damaged[path.name.removesuffix(jobfile.SUFFIX)] = _damage(path, error)
            else:
                if stored is not None:
                    index.put(stored)
                    yield stored.job
        self._index, self._stamp = index, stamp

    def _kept(self, job_id: str, *, remember: bool = True) -> CronJob | None:
        """What its file says now. Where somebody changed it by hand, that counts as it would from the next start on."""
        index, path = self._index, jobfile.path_of(self.home, job_id)
        job = self._lately.get(path, job_id) if job_id in index else None
        if job is not None:
            return job
        read_from = state_at(path)
        try:
            stored = jobfile.load(path)
        except DamagedError as error:
            index.drop(job_id)
            index.damaged[job_id] = _damage(path, error)
            raise
        before = index.of(job_id)
        if stored is not None and remember:
            self._lately.put(read_from, stored.job)
        if stored is not None and before is not None and stored.digest == before.digest:
            return stored.job
        index.damaged.pop(job_id, None)
        self.changed_by_hand.add(job_id)
        if stored is None:
            logger.warning("The job %s is gone: somebody removed %s.", job_id, path)
            index.drop(job_id)
            return None
        logger.warning("Somebody changed %s: the job %s is what it says now.", path, job_id)
        index.put(stored)
        return stored.job

    def _meant(self, reference: str) -> str:
        index = self._look()
        if reference in index:
            return reference
        named = index.called(reference)
        if named is not None:
            return named
        found = index.beginning_with(reference) if len(reference) >= PREFIX_CHARS else []
        if not found:
            raise self._lost(index, reference)
        if len(found) > 1:
            names = ", ".join(found[:CANDIDATES])
            more = f" and {len(found) - CANDIDATES} more" if len(found) > CANDIDATES else ""
            raise InvalidError(f"{shown(reference)} may mean {names}{more}. Give more of the id.")
        return found[0]

    @contextmanager
    def _writing(self) -> Iterator[JobIndex]:
        with self._lock.writing():
            index = self._look()
            try:
                yield index
            except StoreError:
                # A rename may have happened although its directory could not be synced: the disk decides.
                self._stamp = None
                raise
            self._stamp = self._lock.stamp

    def _put(self, index: JobIndex, job: CronJob) -> CronJob:
        before = index.of(job.id)
        # A name that it has already is not taken now: where a file was copied by hand, both can still be changed.
        other = None if before is not None and before.name == job.name else index.called(job.name)
        if other not in (None, job.id):
            raise RefusedError(f"There is a job called {shown(job.name)} already ({other}). Choose another name.")
        self._check_whole(index, job)
        data, stored = jobfile.encoded(job)
        path = jobfile.path_of(self.home, job.id)
        self._disk.replace(path, data)
        index.put(stored)
        self._lately.put(state_at(path), stored.job)
        self._lock.changed()
        return stored.job

    def _check_names(self, index: JobIndex, jobs: Sequence[CronJob], gone: frozenset[str]) -> None:
        taken = index.named(without=[*gone, *(job.id for job in jobs)])
        for job in jobs:
            self._check_whole(index, job)
            other = taken.setdefault(job.name, job.id) if job.name else job.id
            if other != job.id:
                raise RefusedError(f"There is a job called {shown(job.name)} already ({other}). Choose another name.")

    def _check_whole(self, index: JobIndex, job: CronJob) -> None:
        damage = index.is_damaged(job.id)
        if damage is not None:
            raise DamagedError(f"{damage.problem} It is kept as it is; move it away, then try again.")

    def _lost(self, index: JobIndex, reference: str) -> CronwardError:
        """Why nothing is found: there is none, or its file cannot be read."""
        for job_id, damage in index.damaged.items():
            if damage.moved_to is None and len(reference) >= PREFIX_CHARS and job_id.startswith(reference):
                return DamagedError(damage.told)
        near = suggestion(reference, itertools.islice(index.names(), NAMES_LOOKED_AT))
        return NotFoundError(f"There is no job {shown(reference)}.{near} `cronward list` shows those there are.")

    def _check_there(self, index: JobIndex, job_id: str) -> None:
        if job_id not in index:
            raise _gone(job_id)


def _damage(path: Path, error: DamagedError) -> Damage:
    return Damage(path, str(error), stays=isinstance(error, UnreadableError))


def _gone(job_id: str) -> NotFoundError:
    return NotFoundError(f"There is no job {shown(job_id)} (any more). `cronward list` shows those there are.")
