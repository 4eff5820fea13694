"""When a job is due: cron expressions, descriptors and intervals, in any time zone.

The language is robfig/cron's (Go): five fields, or six with the second first; `@daily` and its kin; `@every 30m`; a
prefix `TZ=Zone ` or `CRON_TZ=Zone `. Ours are: 7 is Sunday too; empty items in a list, and schedules that can never be
due, are refused. The search is croniter's, which only ever sees expressions in canonical form and wall times.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache, partial
from typing import Literal

from croniter import croniter

from supervisor.timing.cronfields import CronFields, ScheduleError, parse_fields
from supervisor.timing.duration import DurationError, parse_go_duration
from supervisor.timing.wallclock import Step, next_exact, next_once
from supervisor.timing.zone import ZoneError, find_zone

__all__ = ["MAX_CHARS", "Schedule", "ScheduleError", "parse"]

MAX_CHARS = 256

_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EVERY = "@every "
_PREFIXES = ("TZ=", "CRON_TZ=")
_SHORTEST = timedelta(seconds=1)
# 29 February skips 2100, so eight years pass between two of them; croniter counts calendar years.
_YEARS = 9
_FIELDS = 5
"""Of an expression without seconds."""
_YEAR_2000 = datetime(2000, 1, 1)
_EVERY_MONTH_HAS = 28
"""Days at least."""


Search = Callable[[tzinfo, datetime], datetime | None]


@dataclass(frozen=True)
class Schedule:
    """A checked schedule. Made by `parse`, never changed, shared by all jobs that say the same."""

    expr: str  #: as given
    timezone: str | None  #: from the argument or the prefix; None: the zone of `after`
    dst: Literal["once", "exact"]
    fields: CronFields | None  #: None for an interval
    every: timedelta | None  #: the interval in whole seconds, at least one; None for a cron expression
    raised: bool  #: the interval asked for was below a second (or below zero) and became one second
    _zone: tzinfo | None = field(repr=False, compare=False)
    _search: Search = field(repr=False, compare=False)

    def next(self, after: datetime) -> datetime | None:
        """The first instant later than `after` at which this is due, in the zone of `after`; None: never again.

        An interval counts from `after` itself, less its fraction of a second; `next_on_grid` keeps a rhythm.
        """
        try:
            due = self._search(self._zone or after.tzinfo or UTC, _instant(after))
            return due if due is None or after.tzinfo is UTC else due.astimezone(after.tzinfo)
        except OverflowError:  # beyond the year 9999
            return None

    def next_on_grid(self, anchor: datetime, after: datetime) -> datetime:
        """The first of `anchor` + k intervals (k any whole number) later than `after`, in the zone of `after`.

        With the anchor stored, neither a restart nor a late start shifts the rhythm.
        """
        if self.every is None:
            raise ScheduleError(f"The schedule {self.expr!r} is no interval: only @every keeps a grid.")
        try:
            start, origin = _instant(after), _instant(anchor).replace(microsecond=0)
            return (origin + ((start - origin) // self.every + 1) * self.every).astimezone(after.tzinfo)
        except OverflowError as error:
            raise ScheduleError(f"The schedule {self.expr!r} is next due beyond the year 9999: shorten it.") from error

    def period(self, after: datetime) -> timedelta | None:
        """From the next occurrence to the one after it; None when there are no two."""
        if self.every is not None:
            return self.every
        first = self.next(after)
        second = None if first is None else self.next(first)
        return None if first is None or second is None else second.astimezone(UTC) - first.astimezone(UTC)


def parse(expr: str, *, timezone: str | None = None, dst: Literal["once", "exact"] = "once") -> Schedule:
    """The schedule that `expr` describes, or ScheduleError: a sentence for whoever wrote it.

    `timezone`: an IANA name; None: the prefix's zone, or else the zone of the time that `next` is asked about.
    `dst`: what a clock change does to schedules that name times of day ("at 02:30"). once: a time that the clock jumps
    over is due at the end of the jump, a time that comes twice is due the first time. exact: due whenever the clock
    shows it. Schedules whose minute or hour begins with a wildcard, or with seconds, are a rhythm and always exact.

    As in robfig, `@every` drops fractions of a second, and what is then below one second, zero and negative included,
    becomes one second; `Schedule.raised` says so, for whoever stores jobs to refuse it.
    """
    if dst not in ("once", "exact"):
        raise ScheduleError(f"The clock change rule (dst) {dst!r} is unknown: use 'once' or 'exact'.")
    return _parse(expr, timezone, dst)


@lru_cache(maxsize=4096)
def _parse(expr: str, timezone: str | None, dst: Literal["once", "exact"]) -> Schedule:
    _check_text(expr)
    prefix, body = _split_prefix(expr)
    if prefix is not None and timezone is not None:
        raise ScheduleError(
            f"The schedule {expr!r} names a time zone, and the time zone {timezone!r} is given as well: give it once."
        )
    # robfig, like Go, takes an empty name for UTC.
    name = timezone if prefix is None else prefix or "UTC"
    try:
        zone = None if name is None else find_zone(name)
    except ZoneError as error:
        raise ScheduleError(str(error)) from error
    if body.startswith(_EVERY):
        asked = _interval(body)
        every = max(asked, _SHORTEST)
        return Schedule(expr, name, dst, None, every, every > asked, zone, partial(_after_interval, every))
    fields = parse_fields(_spelled_out(body))
    rule = next_once if dst == "once" and fields.fixed else next_exact
    return Schedule(expr, name, dst, fields, None, False, zone, _Gap(partial(rule, _stepper(expr, fields))))


class _Gap:
    """A search that remembers the gap between two occurrences which it found last: whoever asks from within it again,
    for another job of the same schedule, has its end for an answer."""

    def __init__(self, search: Search) -> None:
        self._search = search
        self._last: tuple[tzinfo, datetime, datetime] | None = None  # one object: threads may share a Schedule

    def __call__(self, zone: tzinfo, after: datetime) -> datetime | None:
        last = self._last
        if last is not None and last[0] is zone and last[1] <= after < last[2]:
            return last[2]
        due = self._search(zone, after)
        if due is not None:
            self._last = (zone, after, due)
        return due


def _after_interval(every: timedelta, _zone: tzinfo, after: datetime) -> datetime:
    return after.replace(microsecond=0) + every


def _check_text(expr: str) -> None:
    if len(expr) > MAX_CHARS:
        raise ScheduleError(f"The schedule {expr[:20]!r}... is longer than {MAX_CHARS} characters: shorten it.")
    if not (expr.isascii() and expr.isprintable()):
        raise ScheduleError(f"The schedule {expr!r} has characters other than plain letters, digits, signs and blanks.")
    if not expr.strip():
        raise ScheduleError(f"The schedule {expr!r} is empty: write five fields, like '*/30 * * * *', or @every 30m.")


def _split_prefix(expr: str) -> tuple[str | None, str]:
    for prefix in _PREFIXES:
        if expr.startswith(prefix):
            name, _, body = expr.removeprefix(prefix).partition(" ")
            if not body.strip():
                raise ScheduleError(
                    f"The schedule {expr!r} has a time zone and no fields: add them, like 'TZ=UTC 0 7 * * *'."
                )
            return name, body.strip()
    return None, expr


def _spelled_out(body: str) -> str:
    if not body.startswith("@"):
        return body
    if body not in _DESCRIPTORS:
        raise ScheduleError(
            f"The descriptor {body!r} is unknown: use {', '.join(_DESCRIPTORS)} or @every 30m, as written here."
        )
    return _DESCRIPTORS[body]


def _interval(body: str) -> timedelta:
    try:
        return parse_go_duration(body.removeprefix(_EVERY))
    except DurationError as error:
        raise ScheduleError(f"The interval of {body!r} cannot be read. {error}") from error


def _stepper(expr: str, fields: CronFields) -> Step:
    """The search over wall times; croniter stays behind it."""
    canonical = fields.canonical
    # Without a field of seconds the next one is the same for all seconds of a minute.
    by_minute = len(canonical.split()) == _FIELDS

    def step(wall: datetime) -> datetime | None:
        return _following(canonical, wall.replace(second=0) if by_minute else wall)

    if min(fields.day.values) > _EVERY_MONTH_HAS and step(_YEAR_2000) is None:
        raise ScheduleError(
            f"The schedule {expr!r} never fires: no month in the month field {fields.month.text!r} "
            f"has a day in the day of month field {fields.day.text!r}."
        )
    return step


@lru_cache(maxsize=8192)
def _following(canonical: str, wall: datetime) -> datetime | None:
    """The first wall time after `wall`. Remembered: many jobs say the same, and each is asked several times a turn."""
    try:
        # A copy, because croniter keeps its position in itself and a search may be used by several threads.
        found: datetime = copy(_search(canonical)).get_next(datetime, start_time=wall)
    except (ValueError, OverflowError):  # no match within the horizon, or beyond the year 9999
        return None
    return found


@lru_cache(maxsize=4096)
def _search(canonical: str) -> croniter:
    return croniter(canonical, _YEAR_2000, max_years_between_matches=_YEARS)


def _instant(moment: datetime) -> datetime:
    """The moment in UTC; OverflowError beyond the year 9999."""
    if moment.tzinfo is not UTC and moment.utcoffset() is None:
        raise ScheduleError(f"The time {moment.isoformat()} has no time zone: add one, like +00:00.")
    if moment.year < 2:  # it may have no instant, or no wall time in another zone
        raise ScheduleError(f"The time {moment.isoformat()} lies before the year 2: give a later one.")
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
