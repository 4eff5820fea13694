"""When a job should be due, worked out by enumeration from the standard library's zones and nothing of ours.

Only the small language that the simulator writes: five fields of `*`, `*/n` and lists of numbers, or `@every Nm`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def due(expr: str, zone: str, dst: str, first: date, days: int) -> tuple[datetime, ...]:
    """Every instant (UTC) of a cron expression on the wall dates from `first` on, in order."""
    found = {at for number in range(days) for at in _on(expr, zone, dst, first + number * DAY)}
    return tuple(sorted(found))


@lru_cache(maxsize=65536)
def _on(expr: str, zone: str, dst: str, day: date) -> tuple[datetime, ...]:
    minute, hour, by_day, month, weekday = expr.split()
    there = ZoneInfo(zone)
    once = dst == "once" and not (minute.startswith("*") or hour.startswith("*"))
    if not _names_day(day, by_day, month, weekday):
        return ()
    walls = [datetime(day.year, day.month, day.day, h, m) for h in _values(hour, 24) for m in _values(minute, 60)]
    return tuple(at for wall in walls for at in _instants(wall, there, once))


def grid(anchor: datetime, every: timedelta, after: datetime, until: datetime) -> list[datetime]:
    """The instants of an interval in (after, until]."""
    start = anchor.replace(microsecond=0)
    number = (after - start) // every - 1
    found = []
    while (at := start + number * every) <= until:
        if at > after:
            found.append(at)
        number += 1
    return found


def _names_day(on: date, day: str, month: str, weekday: str) -> bool:
    if on.month not in _values(month, 13):
        return False
    by_day, by_weekday = on.day in _values(day, 32), on.isoweekday() % 7 in _values(weekday, 7)
    return by_day or by_weekday if "*" not in (day, weekday) else by_day and by_weekday


def _values(field: str, end: int) -> list[int]:
    if field == "*":
        return list(range(end))
    if field.startswith("*/"):
        return list(range(0, end, int(field[2:])))
    return [int(part) for part in field.split(",")]


def _instants(wall: datetime, zone: ZoneInfo, once: bool) -> list[datetime]:
    """The instants at which a clock in `zone` shows `wall`, or with `once` the single one that stands for it."""
    readings = {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    shown = sorted(at for at in readings if at.astimezone(zone).replace(tzinfo=None) == wall)
    if not once:
        return shown
    return shown[:1] or [_jump(min(readings), zone)]


def _jump(before: datetime, zone: ZoneInfo) -> datetime:
    """The minute at which the clock jumps, searched from just before it."""
    offset = before.astimezone(zone).utcoffset()
    while before.astimezone(zone).utcoffset() == offset:
        before += MINUTE
    return before
