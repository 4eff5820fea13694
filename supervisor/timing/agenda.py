"""What is due next: a heap of (due, job), where a job has one entry that counts; what is due by now and waits for its
turn; and what is left out for a while."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from supervisor.timing.clock import Moment

SLACK = 64
"""Replaced entries that a heap may always have, so that a short one is not rebuilt at each edit."""


NOTICED_A_TURN = 1024
"""Entries that are seen to be due in one turn, at 2 µs each."""


class Entry(NamedTuple):  # compared in C: a heap asks often
    """A job's next occurrence, and when to act on it (later than the occurrence by the job's jitter)."""

    due: datetime
    job_id: str
    occurrence: datetime


class Due(NamedTuple):
    """An entry that is due."""

    entry: Entry
    noticed: datetime
    """When that was seen. Of many at one instant most are acted upon turns later."""


@dataclass(frozen=True, slots=True, order=True)
class _Aside:
    until: float
    entry: Entry

    @property
    def job_id(self) -> str:
        return self.entry.job_id


_Item = TypeVar("_Item", Entry, _Aside)


class _Heap(Generic[_Item]):
    """One item of each job. Those that were replaced stay in it until there are too many: a change costs O(log n)."""

    def __init__(self) -> None:
        self._heap: list[_Item] = []
        self._current: dict[str, _Item] = {}

    def put(self, item: _Item) -> None:
        self._current[item.job_id] = item
        heapq.heappush(self._heap, item)
        if len(self._heap) > 2 * len(self._current) + SLACK:
            self._heap = sorted(self._current.values())  # a sorted list is a heap

    def drop(self, job_id: str) -> None:
        self._current.pop(job_id, None)

    def of(self, job_id: str) -> _Item | None:
        return self._current.get(job_id)

    def first(self) -> _Item | None:
        while self._heap and self._current.get(self._heap[0].job_id) is not self._heap[0]:
            heapq.heappop(self._heap)
        return self._heap[0] if self._heap else None

    def items(self) -> list[_Item]:
        return list(self._current.values())


class Agenda:
    """The jobs' entries. What is due is an instant; how long something is set aside, a duration: the wall clock may be
    set meanwhile, which must not make it longer."""

    def __init__(self) -> None:
        self._entries, self._aside = _Heap[Entry](), _Heap[_Aside]()
        self._due: dict[str, Due] = {}
        self._noticed: datetime | None = None

    def put(self, entry: Entry) -> None:
        """Make this the job's next occurrence."""
        self._due.pop(entry.job_id, None)
        self._aside.drop(entry.job_id)
        self._entries.put(entry)

    def set_aside(self, entry: Entry, until: float) -> None:
        """Make this the job's next occurrence, but leave it out until then, in monotonic seconds."""
        self._due.pop(entry.job_id, None)
        self._entries.drop(entry.job_id)
        self._aside.put(_Aside(until, entry))

    def drop(self, job_id: str) -> None:
        """Forget the job."""
        self._due.pop(job_id, None)
        self._entries.drop(job_id)
        self._aside.drop(job_id)

    def notice(self, now: Moment) -> None:
        """See what is due by now, earliest first. When that was is kept, however long it takes to act upon it."""
        self._put_off(now.wall)
        while (aside := self._aside.first()) is not None and aside.until <= now.mono:
            self.put(aside.entry)
        for _ in range(NOTICED_A_TURN):
            entry = self._entries.first()
            if entry is None or entry.due > now.wall:
                break
            self._entries.drop(entry.job_id)
            self._due[entry.job_id] = Due(entry, now.wall)

    def _put_off(self, wall: datetime) -> None:
        """Where the clock was set back, what was due may be to come again, and must not hide what comes before it."""
        if self._noticed is not None and wall < self._noticed:
            for due in [due for due in self._due.values() if due.entry.due > wall]:
                self.put(due.entry)
        self._noticed = wall

    def take_due(self, most: int) -> list[Due]:
        """At most `most` of what was noticed, the first one first, taken out."""
        found = list(islice(self._due.values(), most))
        for due in found:
            del self._due[due.entry.job_id]
        return found

    def next_due(self) -> datetime | None:
        """When the next entry is due, of those that are not set aside."""
        entry = next((due.entry for due in self._due.values()), None) or self._entries.first()
        return None if entry is None else entry.due

    def next_again(self) -> float | None:
        """When the next of those that are set aside is to be looked at again, in monotonic seconds."""
        aside = self._aside.first()
        return None if aside is None else aside.until

    def earliest(self) -> datetime | None:
        """When the first of all is or was due, whether it is set aside or not. Looks at all that is set aside."""
        dues = [aside.entry.due for aside in self._aside.items()]
        return min(dues if (due := self.next_due()) is None else [due, *dues], default=None)

    def of(self, job_id: str) -> Entry | None:
        """The job's entry."""
        if (due := self._due.get(job_id)) is not None:
            return due.entry
        aside = self._aside.of(job_id)
        return self._entries.of(job_id) if aside is None else aside.entry
