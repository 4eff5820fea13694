"""From what a person types for an instant to the instant."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo

from supervisor.errors import InvalidError
from supervisor.timing.duration import DurationError, parse_duration
from supervisor.timing.zone import find_zone

MAX_CHARS = 64
_FIRST_YEAR = 1971
_DAYS = re.compile(r"([0-9]{1,4})d")
_DATE = re.compile(r"[0-9]{4}-?[0-9W]|now$")


def parse_instant(text: str, zone: str | None, now: datetime) -> datetime:
    """RFC 3339, "2026-11-24 07:00" in `zone` (None: this host's), "now" or "+10m"; aware."""
    if len(text) > MAX_CHARS:
        raise InvalidError(f"The time {text[:20]!r}... is longer than {MAX_CHARS} characters: write it like +10m.")
    named = None if zone is None else find_zone(zone)
    if text == "now":
        return now.astimezone(named)
    if text.startswith("+"):
        return _from_now(text, now).astimezone(named)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidError(
            f"The time {text!r} cannot be read: write it like '2026-11-24 07:00', 2026-11-24T07:00:00Z or +10m."
        ) from error
    try:
        placed = found if found.tzinfo is not None else _placed(found, named)
        placed.astimezone(UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise InvalidError(f"The time {text!r} is out of range: use a year from 2 to 9998.") from error
    return placed


def parse_since(text: str, now: datetime) -> datetime:
    """An instant of the past: "8h" or "7d" ago, or as `parse_instant` reads it. Raises InvalidError."""
    days = _DAYS.fullmatch(text)
    try:
        found = now - (timedelta(days=int(days[1])) if days else parse_duration(text))
    except DurationError as error:
        if not _DATE.match(text):
            like = "write how long ago, like 8h or 7d, or when, like '2026-11-24 07:00'"
            raise InvalidError(f"The time {text[:20]!r} cannot be read: {like}.") from error
        found = parse_instant(text, None, now)
    except OverflowError as error:
        raise InvalidError(f"The time {text[:20]!r} lies before the year 1: use a shorter one.") from error
    if found.year < _FIRST_YEAR:
        raise InvalidError(f"The time {text!r} lies before {_FIRST_YEAR}: give one since then, like 8h or 7d.")
    if found > now:
        raise InvalidError(f"The time {text!r} is yet to come: give one that is past, like 8h or 7d.")
    return found


def _from_now(text: str, now: datetime) -> datetime:
    try:
        return now + parse_duration(text[1:])
    except DurationError as error:
        raise InvalidError(f"The time {text!r} cannot be read. {error}") from error
    except OverflowError as error:
        raise InvalidError(f"The time {text!r} lies beyond the year 9999: use a shorter one.") from error


def _placed(wall: datetime, zone: tzinfo | None) -> datetime:
    """A wall time as an instant; of a time that comes twice the first one."""
    found = wall.astimezone() if zone is None else wall.replace(tzinfo=zone)
    back = found.astimezone(UTC).astimezone(zone)
    if back.replace(tzinfo=None) != wall:
        raise InvalidError(f"The time {wall.isoformat(' ')} does not exist: the clocks jump over it; give another.")
    return found
