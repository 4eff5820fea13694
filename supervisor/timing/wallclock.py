"""From times on a wall clock to instants, over the changes of the clock.

A wall clock jumps: forwards over times that no clock shows that day (a gap), and backwards, so that it shows some times
twice (two readings of one time). Here a schedule is a function from a wall time to the next one it names; the two rules
say what a gap and a second reading do to it:

- exact: it is due whenever the clock shows a time it names, so not in a gap, and in both readings.
- once:  each time it names is due once: those in a gap together at its end, the others in the first reading.

Instants are in UTC throughout: Python compares two times of one zone by their wall times alone.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo

Step = Callable[[datetime], datetime | None]

_SECOND = timedelta(seconds=1)


def next_once(step: Step, zone: tzinfo, after: datetime) -> datetime | None:
    """The first instant after `after` at which the schedule is due by the rule "once"; both in UTC."""
    wall = step(_shown(after, zone))
    while wall is not None:
        early, late = _readings(wall, zone)
        due = early if early <= late else _change(zone, late, early)
        if due > after:  # else: `after` lies in the second reading, and this was due in the first
            return due
        wall = step(wall)
    return None


def next_exact(step: Step, zone: tzinfo, after: datetime) -> datetime | None:
    """The first instant after `after` at which the schedule is due by the rule "exact"; both in UTC."""
    shown = _shown(after, zone)
    early, late = _readings(shown, zone)
    if early <= after < late:
        # In a first reading: times already past come again. Look at what is left of it, then at all of the second.
        back = _change(zone, after.replace(microsecond=0), late)
        wall = step(shown)
        if wall is not None and (due := _readings(wall, zone)[0]) < back:
            return due
        after, shown = back - _SECOND, _shown(back, zone) - _SECOND
    return _existing(step, zone, shown, after)


def _existing(step: Step, zone: tzinfo, shown: datetime, after: datetime) -> datetime | None:
    """The first reading later than `after` of a time named after `shown`, gaps left out."""
    wall = step(shown)
    while wall is not None:
        early, late = _readings(wall, zone)
        if early > late:  # in a gap: nothing before its end exists
            wall = step(_shown(_change(zone, late, early), zone) - _SECOND)
            continue
        for due in (early, late):
            if due > after:
                return due
        wall = step(wall)
    return None


def _shown(instant: datetime, zone: tzinfo) -> datetime:
    """What the clock shows, to the second."""
    return instant.astimezone(zone).replace(tzinfo=None, microsecond=0)


def _readings(wall: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """The instants of fold 0 and 1 (PEP 495): equal for ordinary times, ascending for repeated, descending in gaps."""
    aware = wall.replace(tzinfo=zone)
    return aware.replace(fold=0).astimezone(UTC), aware.replace(fold=1).astimezone(UTC)


def _change(zone: tzinfo, low: datetime, high: datetime) -> datetime:
    """The instant of the clock change in (low, high], both whole seconds; zoneinfo keeps its list to itself."""
    before = low.astimezone(zone).utcoffset()
    while high - low > _SECOND:
        middle = low + (high - low) // _SECOND // 2 * _SECOND
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high
