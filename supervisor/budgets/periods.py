"""The days and months that budgets are about: the calendar's, as the clocks of the host's zone show it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo

from supervisor.timing.wallclock import next_once

_DAY = timedelta(days=1)


def day_of(now: datetime, zone: tzinfo) -> date:
    """The day that it is there."""
    return now.astimezone(zone).date()


def next_day(now: datetime, zone: tzinfo) -> datetime:
    """The instant at which the next day begins there, shown in that zone; where no clock shows 0:00, just after."""
    return _begin(day_of(now, zone) + _DAY, now, zone)


def next_month(now: datetime, zone: tzinfo) -> datetime:
    """The same for the next month."""
    first = day_of(now, zone).replace(day=1)
    return _begin((first + 31 * _DAY).replace(day=1), now, zone)


def _begin(day: date, now: datetime, zone: tzinfo) -> datetime:
    midnight = datetime(day.year, day.month, day.day)
    found = next_once(lambda shown: midnight if shown < midnight else None, zone, now.astimezone(UTC))
    assert found is not None  # it lies ahead: `day` is later than today
    return found.astimezone(zone)
