"""Which logs of ended runs are kept and which go: by age, by bytes, never what belongs to a live run. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from supervisor.definitions.sizes import format_size
from supervisor.models import NEVER

ENDS_AT_LEAST = 200
ENDS_A_LOG = 4


@dataclass(frozen=True, slots=True)
class Log:
    """The directory of one run below `logs`. `bytes`: what it takes on disk."""

    run_id: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Rules:
    """How long and how much. 0: for ever, any."""

    log_days: int
    log_bytes: int


@dataclass(frozen=True, slots=True)
class Doomed:
    """A log that goes, and why, in words."""

    log: Log
    why: str


def doomed(
    logs: Iterable[Log], ended: Mapping[str, datetime], live: Set[str], rules: Rules, now: datetime
) -> list[Doomed]:
    """What goes, oldest first. `ended`: when each kept run that is over ended; `live`: runs that are not over.

    A directory of neither is of a run whose record went already: nobody can ask for it any more.
    """
    found = sorted((log for log in logs if log.run_id not in live), key=lambda log: ended.get(log.run_id, NEVER))
    gone: list[Doomed] = []
    left = sum(log.bytes for log in found)
    oldest = before(rules.log_days, now)
    for log in found:
        why = _why(log, ended, oldest, left, rules)
        if why:
            gone.append(Doomed(log, why))
            left -= log.bytes
    return gone


def ends_until_next(left: int) -> int:
    """After how many more runs it is time to look again, where so many logs were left.

    To look costs what there is, so the cost for each run stays the same however much is kept. Between two looks the
    logs take a quarter more, or a little, at most.
    """
    return max(ENDS_AT_LEAST, left // ENDS_A_LOG)


def before(days: int, now: datetime) -> datetime:
    """What ended earlier than this is too old. 0 days: nothing is."""
    return now - timedelta(days=days) if days else NEVER


def _why(log: Log, ended: Mapping[str, datetime], oldest: datetime, left: int, rules: Rules) -> str:
    if log.run_id not in ended:
        return "its run is not kept any more"
    if ended[log.run_id] < oldest:
        return f"it is older than {rules.log_days} days"
    if rules.log_bytes and left > rules.log_bytes:
        return f"all logs together are larger than {format_size(rules.log_bytes)}"
    return ""
