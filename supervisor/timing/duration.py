"""Durations as Go writes them: `30m`, `1h30m`, `1.5h`, `500ms`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from supervisor.errors import InvalidError

MAX_CHARS = 64

# Go counts nanoseconds in an int64 (about 292 years). The same limit keeps every accepted value far inside timedelta.
_MAX_NS = 2**63 - 1
_SECOND = 10**9
_GO_UNITS: Mapping[str, int] = {
    "ns": 1,
    "us": 10**3,
    "\u00b5s": 10**3,  # micro sign
    "\u03bcs": 10**3,  # Greek mu: keyboards give either
    "ms": 10**6,
    "s": _SECOND,
    "m": 60 * _SECOND,
    "h": 3600 * _SECOND,
}
_UNITS_WITH_DAYS: Mapping[str, int] = {**_GO_UNITS, "d": 24 * 3600 * _SECOND, "w": 7 * 24 * 3600 * _SECOND}
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]+)")


class DurationError(InvalidError, ValueError):
    """A duration that cannot be used; the text is a sentence for the person who wrote it."""


def parse_duration(text: str) -> timedelta:
    """The duration that a person typed: Go's grammar without a sign, `d` for 24 hours and `w` for 7 days. Nanoseconds
    are dropped."""
    total = _nanoseconds(text, _UNITS_WITH_DAYS)
    if text.startswith(("-", "+")):
        raise DurationError(f"The duration {text!r} has a sign: write it like 30m, 1h30m or 90s.")
    return timedelta(microseconds=total // 1000)


def parse_go_duration(text: str) -> timedelta:
    """Exactly what Go's time.ParseDuration takes: signs, no days. Rounded towards zero to whole seconds."""
    total = _nanoseconds(text, _GO_UNITS)
    whole = abs(total) // _SECOND
    return timedelta(seconds=whole if total >= 0 else -whole)


def in_go_units(text: str) -> str:
    """A duration that a person typed, as Go reads it: as it is, or with its days and weeks as hours."""
    duration = parse_duration(text)
    return format_duration(duration) if "d" in text or "w" in text else text


def format_duration(duration: timedelta) -> str:
    """The shortest such text, like `1h30m` or `1s500ms`; hours are the largest unit, so that `@every` takes it too."""
    left = duration // timedelta(microseconds=1)
    sign, left = ("-", -left) if left < 0 else ("", left)
    parts = []
    for unit in ("h", "m", "s", "ms", "us"):
        count, left = divmod(left, _GO_UNITS[unit] // 1000)
        if count:
            parts.append(f"{count}{unit}")
    return sign + ("".join(parts) or "0s")


def _nanoseconds(text: str, units: Mapping[str, int]) -> int:
    if len(text) > MAX_CHARS:
        raise DurationError(
            f"The duration {text[:20]!r}... is longer than {MAX_CHARS} characters: write it like 1h30m."
        )
    body = text[1:] if text.startswith(("-", "+")) else text
    total = 0 if body == "0" else sum(_parts(text, body, units))
    if total > _MAX_NS:
        raise DurationError(f"The duration {text!r} is longer than 292 years: use a shorter one.")
    return -total if text.startswith("-") else total


def _parts(text: str, body: str, units: Mapping[str, int]) -> list[int]:
    if not body:
        raise DurationError(f"The duration {text!r} is empty: write it like 30m, 1h30m or 90s.")
    amounts, position = [], 0
    while position < len(body):
        part = _PART.match(body, position)
        if part is None:
            raise DurationError(f"The duration {text!r} ends without a unit: write it like 30m, 1h30m or 90s.")
        whole, fraction, unit = part[1], part[2] or "", part[3]
        if not whole and not fraction:
            raise DurationError(f"The duration {text!r} has no number before {unit!r}: write it like 30m or 1h30m.")
        if unit not in units:
            raise DurationError(f"The duration {text!r} has the unknown unit {unit!r}: use {_listed(units)}.")
        amounts.append(int(whole or "0") * units[unit] + int(fraction or "0") * units[unit] // 10 ** len(fraction))
        position = part.end()
    return amounts


def _listed(units: Mapping[str, int]) -> str:
    return ", ".join(unit for unit in units if unit.isascii())
