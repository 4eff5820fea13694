"""How the runs of a job went so far, as far as a list shows it: out of the note on its history, where that holds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.reasons import Reason
from supervisor.status import Status
from supervisor.stores import sums
from supervisor.vocabulary import NEVER

if TYPE_CHECKING:
    from supervisor.models import CronRun
    from supervisor.stores.home import Home
    from supervisor.stores.summary import Summary


@dataclass(frozen=True, slots=True)
class Past:
    """What a `Summary` says, in few words."""

    runs: int = 0
    status: Status | None = None
    """How the run that ended last did so; None: none has."""
    reason: Reason | None = None
    at: datetime = NEVER
    """When that was."""
    going: Status | None = None
    """How the newest run stands that has not ended."""
    since: datetime = NEVER
    """When that one started, or was due."""

    @property
    def ending(self) -> str:
        """Its reason; of one that completed, that."""
        if self.reason is not None and self.status is not Status.COMPLETED:
            return self.reason.value
        return self.status.value if self.status else "-"


def of(found: Summary, live: Sequence[CronRun] = ()) -> Past:
    """What this summary says, and the runs beside it that have not ended.

    A file that an earlier version began says only when the newest run started.
    """
    at = found.last_run if found.last_end == NEVER else found.last_end
    going, begun = (live[-1].status, since(live[-1])) if live else (None, NEVER)
    return Past(found.run_count, found.last_status, found.last_reason, at, going, begun)


def since(run: CronRun) -> datetime:
    """When it started, else when it was due."""
    return run.started_at if run.started_at != NEVER else run.scheduled_at


def noted(home: Home, job_ids: Iterable[str]) -> list[Past | None]:
    """What is known of these jobs without reading their histories; None: that is to be read."""
    runs, notes = str(home.runs), str(home.sums)
    return [_noted(f"{runs}/{job_id}.jsonl", f"{notes}/{job_id}") for job_id in job_ids]


def _noted(history: str, path: str) -> Past | None:
    try:
        state = sums.state_of(os.stat(history, follow_symlinks=False))
    except FileNotFoundError:
        return Past()
    except OSError:
        return None
    note = sums.read(path, state)
    try:
        return None if note is None else _out_of(note.summary, note.live)
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _out_of(summary: dict[str, Any], live: list[list[str]]) -> Past:
    status, reason = summary["last_status"], summary["last_reason"]
    ended, begun = (datetime.fromisoformat(summary[name]) for name in ("last_end", "last_run"))
    return Past(
        runs=int(summary["run_count"]),
        status=None if status is None else Status(status),
        reason=None if reason is None else Reason(reason),
        at=begun if ended == NEVER else ended,
        going=Status(live[-1][0]) if live else None,
        since=datetime.fromisoformat(live[-1][1]) if live else NEVER,
    )
