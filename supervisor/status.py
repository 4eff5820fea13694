"""The table of states: where a run may stand, what may follow, and which end each reason means.

Nothing else decides that: a change of a run that is not in the table cannot be made (`models.CronRun.moved`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from shared.reasons import Reason


class Status(StrEnum):
    """Where a run stands. The last five are final."""

    QUEUED = "queued"
    RUNNING = "running"
    STOPPING = "stopping"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"

    @property
    def final(self) -> bool:
        """Whether nothing can follow."""
        return not ALLOWED[self]


# The only ways a run may change. `stopping` never becomes completed: the first cause wins.
ALLOWED: Mapping[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.SKIPPED, Status.CANCELED, Status.FAILED}),
    Status.RUNNING: frozenset({Status.STOPPING, Status.COMPLETED, Status.FAILED, Status.SKIPPED, Status.UNKNOWN}),
    Status.STOPPING: frozenset({Status.FAILED, Status.CANCELED, Status.UNKNOWN}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELED: frozenset(),
    Status.SKIPPED: frozenset(),
    Status.UNKNOWN: frozenset(),
}

_CANCELED = {
    Reason.CANCELED_BY_USER,
    Reason.JOB_REMOVED,
    Reason.JOB_DISABLED,
    Reason.REPLACED,
    Reason.SUPERVISOR_STOPPED,
}
_SKIPPED = {
    Reason.OVERLAP,
    Reason.MISSED,
    Reason.EXPIRED,
    Reason.HOST_BUSY,
    Reason.NOTHING_TO_DO,
    Reason.BUDGET_EXCEEDED,
}


def final_status(reason: Reason) -> Status:
    """The status that a run ends in for this reason."""
    if reason is Reason.OK:
        return Status.COMPLETED
    if reason is Reason.SUPERVISOR_DIED:
        return Status.UNKNOWN
    if reason in _CANCELED:
        return Status.CANCELED
    return Status.SKIPPED if reason in _SKIPPED else Status.FAILED


class TransitionError(Exception):
    """A run was told to become what the table of states does not allow."""


class EndedError(TransitionError):
    """On disk a run has ended already, in another way: what is there counts."""
