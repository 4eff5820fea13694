"""Since when nothing has kept time in a home: the last sign of life of a supervisor that is gone.

While it lives it touches `supervisor.json` once a minute, from the loop's own turns. In good order it leaves that as
`supervisor.last.json`, whose modification time is then its end. A killed one leaves `supervisor.json` behind, which
nobody believes any more, and its end lies within the minute after the last touch.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from supervisor.errors import InvalidError
from supervisor.models import CronJob
from supervisor.stores.home import Home
from supervisor.timing import occurrences

EACH_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class LastSign:
    """`at`: when time was surely still kept. `orderly`: it was told to end; else it was killed within the minute."""

    at: datetime
    orderly: bool


def give(home: Home) -> None:
    """Leave a sign of life. Where that fails, whatever is to be stored does too, and says so."""
    with contextlib.suppress(OSError):
        os.utime(home.info)


def leave(home: Home) -> None:
    """The last one: take back who holds the home, and keep when that ended. Only for who holds it."""
    with contextlib.suppress(OSError):
        os.utime(home.info)
        home.info.replace(home.last_info)


def of(home: Home) -> LastSign | None:
    """The latest there is; None: nothing ever kept time here. Only where nothing does."""
    found = [
        LastSign(datetime.fromtimestamp(path.stat().st_mtime, UTC), orderly)
        for path, orderly in ((home.info, False), (home.last_info, True))
        if path.is_file()
    ]
    return max(found, key=lambda sign: sign.at, default=None)


def due_since(jobs: Iterable[CronJob], since: datetime, now: datetime) -> int:
    """How many of these jobs were due after `since`, and nobody was there to start them."""
    return sum(_was_due(job, max(since, job.changed_at), now) for job in jobs if job.enabled)


def _was_due(job: CronJob, since: datetime, now: datetime) -> bool:
    # A job whose life was over by its number of runs counts too: to know it, its history would have to be read.
    try:
        following = occurrences.next_occurrence(job, since)
    except InvalidError:  # changed by hand; a supervisor would not start it either, and says why
        return False
    return following is not None and following <= now
