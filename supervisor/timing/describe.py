"""A schedule in plain English words."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from supervisor.timing.cronfields import CronFields
from supervisor.timing.schedule import Schedule

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = tuple("January February March April May June July August September October November December".split())  # noqa: SIM905
_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_LISTED_TIMES = 4  # more clock times than these read better as "every ... of hour ..."


def describe(schedule: Schedule) -> str:
    """For example "every 30 minutes" or "at 07:00 on Monday to Friday (Europe/Berlin)"."""
    if schedule.fields is not None:
        words = " ".join(
            part for part in (_times(schedule.fields), _days(schedule.fields), _months(schedule.fields)) if part
        )
    else:
        words = _interval(schedule.every or timedelta())
    return words if schedule.timezone is None else f"{words} ({schedule.timezone})"


def _interval(every: timedelta) -> str:
    left, parts = int(every.total_seconds()), []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(_counted(count, unit))
    if len(parts) == 1:
        return "every " + parts[0].removeprefix("1 ")
    return "every " + " ".join(parts)


def _times(fields: CronFields) -> str:
    second, minute, hour = fields.second.values, fields.minute.values, fields.hour.values
    if len(second) * len(minute) * len(hour) <= _LISTED_TIMES:
        every_day = "every day " if fields.any_day and fields.month.full else ""
        return f"{every_day}at {_clock_times(fields)}"
    if second != {0}:
        parts = [_rhythm(second, 60, "second") or f"at second {_listed(second)}"]
        parts += [] if fields.minute.full else [f"of minute {_listed(minute)}"]
        return " ".join(parts + _hours(fields))
    if rhythm := _rhythm(minute, 60, "minute"):
        return " ".join([rhythm, *_hours(fields)])
    if rhythm := _rhythm(hour, 24, "hour"):
        return rhythm if minute == {0} else f"{rhythm} at minute {_listed(minute)}"
    return " ".join([f"at minute {_listed(minute)}", *_hours(fields)])


def _clock_times(fields: CronFields) -> str:
    second, minute, hour = (sorted(part.values) for part in (fields.second, fields.minute, fields.hour))
    seconds = [""] if second == [0] else [f":{s:02}" for s in second]
    return _joined([f"{h:02}:{m:02}{s}" for h in hour for m in minute for s in seconds])


def _hours(fields: CronFields) -> list[str]:
    return [] if fields.hour.full else [f"of hour {_listed(fields.hour.values)}"]


def _days(fields: CronFields) -> str:
    if fields.any_day:
        return ""
    parts = []
    if not fields.day.full:
        parts.append(f"on day {_listed(fields.day.values)} of the month")
    if not fields.weekday.full:
        # Monday first, so that a weekend reads as one.
        parts.append("on " + _listed([(value - 1) % 7 for value in fields.weekday.values], _WEEKDAYS))
    return " or ".join(parts)


def _months(fields: CronFields) -> str:
    return "" if fields.month.full else "in " + _listed([value - 1 for value in fields.month.values], _MONTHS)


def _rhythm(values: Collection[int], cycle: int, unit: str) -> str:
    """ "every 15 minutes", or nothing when the values are not evenly spread over the cycle, from 0 on."""
    step = cycle // len(values)
    if step == cycle or set(values) != set(range(0, cycle, step)):
        return ""
    return f"every {_counted(step, unit)}" if step > 1 else f"every {unit}"


def _listed(values: Collection[int], names: tuple[str, ...] = ()) -> str:
    """Ascending, three or more in a row as "a to b"."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    words = []
    for run in runs:
        named = [names[value] if names else str(value) for value in run]
        words += [f"{named[0]} to {named[-1]}"] if len(run) > 2 else named
    return _joined(words)


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"
