"""What is due next: a heap of (due, job), where a job has one entry that counts."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from datetime import datetime

SLACK = 64
"""Replaced entries that a heap may always have, so that a short one is not rebuilt at each edit."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A job's next occurrence, and when to act on it (later than the occurrence by the job's jitter)."""

    due: datetime
    job_id: str
    occurrence: datetime


class Agenda:
    """Entries that an edit has replaced stay in the heap until there are too many of them: a change costs O(log n)."""

    def __init__(self) -> None:
        self._heap: list[Entry] = []
        self._current: dict[str, Entry] = {}

    def put(self, entry: Entry) -> None:
        """Make this the job's next occurrence."""
        self._current[entry.job_id] = entry
        heapq.heappush(self._heap, entry)
        if len(self._heap) > 2 * len(self._current) + SLACK:
            self._heap = sorted(self._current.values())  # a sorted list is a heap

    def drop(self, job_id: str) -> None:
        """Forget the job."""
        self._current.pop(job_id, None)

    def take_due(self, now: datetime, most: int) -> list[Entry]:
        """What is due by `now`, earliest first, taken out; at most `most` entries, the others stay."""
        found: list[Entry] = []
        while len(found) < most and (entry := self._first()) is not None and entry.due <= now:
            heapq.heappop(self._heap)
            del self._current[entry.job_id]
            found.append(entry)
        return found

    def next_due(self) -> datetime | None:
        """When the next entry is due."""
        entry = self._first()
        return None if entry is None else entry.due

    def of(self, job_id: str) -> Entry | None:
        """The job's entry."""
        return self._current.get(job_id)

    def _first(self) -> Entry | None:
        while self._heap and self._current.get(self._heap[0].job_id) is not self._heap[0]:
            heapq.heappop(self._heap)
        return self._heap[0] if self._heap else None
