"""Times and durations as people read them."""

from __future__ import annotations

from datetime import datetime

from supervisor.vocabulary import NEVER

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_WEEK = 7


def relative(at: datetime, now: datetime) -> str:
    """Like "in 3 h" or "5 min ago"; "-" for never."""
    if at == NEVER:
        return "-"
    seconds = (at - now).total_seconds()
    amount = span(abs(seconds))
    if amount == "0 s":
        return "now"
    return f"in {amount}" if seconds > 0 else f"{amount} ago"


def roughly(at: datetime, now: datetime) -> str:
    """The same of the past in one unit, where there is little room: "2 h ago"."""
    passed = (now - at).total_seconds()
    return f"{span(passed // _HOUR * _HOUR)} ago" if at != NEVER and passed >= _HOUR else relative(at, now)


def span(seconds: float) -> str:
    """A length of time, as roughly as people say it: "42 s", "25 min", "2 h 30 min", "14 h", "12 d"."""
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    if (minutes := round(seconds / _MINUTE)) < 60:
        return f"{minutes} min"
    if minutes < 10 * 60:
        hours, rest = divmod(minutes, 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    if (hours := round(seconds / _HOUR)) < 48:
        return f"{hours} h"
    return f"{round(seconds / _DAY)} d"


def stamp(at: datetime) -> str:
    """The instant on this host's clock, with its offset; "never" for never."""
    return "never" if at == NEVER else at.astimezone().isoformat(" ", "seconds")


def clock(at: datetime, now: datetime) -> str:
    """The instant on this host's clock as people say it: "07:15" today, "Sun 07:15" this week, else with its date."""
    here, today = at.astimezone(), now.astimezone()
    days = abs((today.date() - here.date()).days)
    if days == 0:
        return here.strftime("%H:%M")
    return here.strftime("%a %H:%M" if days < _WEEK else "%Y-%m-%d %H:%M")


def lasted(nanoseconds: int) -> str:
    """A duration as measured: "0.42 s", "12 s", "3 min 5 s", "2 h 10 min"."""
    seconds = nanoseconds / 1e9
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), _MINUTE)
    if minutes < 100:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def size(count: float) -> str:
    """Bytes: "512 B", "4.2 KiB", "310 MiB"."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
