"""What stays in memory of definitions: what each is found by, and what says when it is due. The rest is on disk.

A definition in memory takes ten kilobytes, and of a hundred thousand jobs nearly all are idle.
"""

from __future__ import annotations

import bisect
import itertools
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from supervisor.stores.jobfile import Stored
from supervisor.stores.store import Damage
from supervisor.vocabulary import NEVER


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one without reading it. The fields are those of `CronJob`; `digest` is its file's."""

    id: str
    name: str
    enabled: bool
    cron_expr: str
    timezone: str | None
    dst: Literal["once", "exact"]
    at: datetime | None
    start: datetime | None
    until: datetime | None
    max_runs: int | None
    jitter_secs: int
    created_at: datetime
    changed_at: datetime
    anchor: datetime
    digest: bytes


def known(stored: Stored) -> Known:
    """What is to stay of this one. Many have the same schedule and zone: these are held once."""
    job = stored.job
    return Known(
        id=job.id,
        name=job.name,
        enabled=job.enabled,
        cron_expr=sys.intern(job.cron_expr),
        timezone=None if job.timezone is None else sys.intern(job.timezone),
        dst=job.dst,
        at=job.at,
        start=job.start,
        until=job.until,
        max_runs=job.max_runs,
        jitter_secs=job.jitter_secs,
        created_at=_in_utc(job.created_at),
        changed_at=_in_utc(job.created_at if job.changed_at == job.created_at else job.changed_at),
        anchor=_in_utc(job.anchor),
        digest=stored.digest,
    )


def _in_utc(at: datetime) -> datetime:
    """The instant in Python's own UTC, which is quicker to reckon with than what a validator makes of a file."""
    try:
        return NEVER if at == NEVER else at.astimezone(UTC)
    except OverflowError:  # a file that somebody changed by hand
        return at


class JobIndex:
    """The definitions of one home by id and by name, and what of them is damaged."""

    def __init__(self, damaged: dict[str, Damage] | None = None) -> None:
        self.damaged: dict[str, Damage] = {} if damaged is None else damaged
        self._jobs: dict[str, Known] = {}
        self._names: dict[str, str] = {}
        self._ids: list[str] = []

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._jobs

    def __iter__(self) -> Iterator[Known]:
        """All of them, in no order; whoever changes the index meanwhile has a copy."""
        return iter(self._jobs.values())

    def of(self, job_id: str) -> Known | None:
        """The one of this id."""
        return self._jobs.get(job_id)

    def called(self, name: str) -> str | None:
        """The id of the one of this name."""
        return self._names.get(name) if name else None

    def names(self) -> Iterator[str]:
        """All names that are taken."""
        return iter(self._names)

    def put(self, stored: Stored) -> None:
        """Take up a definition, in the place of what it was."""
        job = known(stored)
        before = self._jobs.get(job.id)
        if before is None:
            bisect.insort(self._ids, job.id)
        else:
            self._release(before)
        self._jobs[job.id] = job
        if job.name:
            self._names.setdefault(job.name, job.id)

    def drop(self, job_id: str) -> None:
        """Forget a definition."""
        job = self._jobs.pop(job_id, None)
        if job is not None:
            del self._ids[bisect.bisect_left(self._ids, job_id)]
            self._release(job)

    def _release(self, job: Known) -> None:
        if self._names.get(job.name) == job.id:
            del self._names[job.name]

    def beginning_with(self, prefix: str) -> list[str]:
        """The ids that begin so."""
        after = itertools.islice(self._ids, bisect.bisect_left(self._ids, prefix), None)
        return list(itertools.takewhile(lambda each: each.startswith(prefix), after))

    def is_damaged(self, job_id: str) -> Damage | None:
        """What is wrong with the file of this id, where it lies in its place and cannot be read."""
        damage = self.damaged.get(job_id)
        return damage if damage is not None and damage.moved_to is None else None

    def named(self, without: Iterable[str]) -> dict[str, str]:
        """Whose each name is, but for those of these jobs."""
        left_out = frozenset(without)
        return {name: job_id for name, job_id in self._names.items() if job_id not in left_out}
