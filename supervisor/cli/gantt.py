"""Runs as bars over a time axis, in characters that every terminal has. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

_STEPS = (1, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7 * 1440, 14 * 1440, 28 * 1440, 91 * 1440, 364 * 1440)
"""Minutes between two ticks."""
_TICK_ROOM = 8
FREE = " "


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a bar; where two share a column the later one is seen. `mark`: one ASCII character."""

    start: datetime
    end: datetime
    mark: str


@dataclass(frozen=True, slots=True)
class Span:
    """What is drawn: so many columns for the time between two instants."""

    since: datetime
    until: datetime
    columns: int

    def column(self, at: datetime) -> int:
        """Where an instant lies; those outside lie at the edge."""
        share = (at - self.since) / max(self.until - self.since, timedelta(microseconds=1))
        return min(max(int(share * self.columns), 0), self.columns - 1)


def lanes(bars: Iterable[Sequence[Piece]], span: Span) -> list[str]:
    """The bars as lines of marks, each in the first line in which its columns are free."""
    found: list[list[str]] = []
    for bar in bars:
        cells = _cells(bar, span)
        lane = next((lane for lane in found if _fits(lane, cells)), None)
        if lane is None:
            lane = [FREE] * span.columns
            found.append(lane)
        for column, mark in cells.items():
            lane[column] = mark
    return ["".join(lane).rstrip() for lane in found]


def _cells(bar: Sequence[Piece], span: Span) -> dict[int, str]:
    found = {}
    for piece in bar:
        for column in range(span.column(piece.start), span.column(piece.end) + 1):
            found[column] = piece.mark
    return found


def _fits(lane: Sequence[str], cells: dict[int, str]) -> bool:
    """Whether nothing is hidden. One column may stand for several that look alike."""
    alone = len(cells) == 1
    return all(lane[column] == FREE or (alone and lane[column] == mark) for column, mark in cells.items())


def axis(span: Span) -> tuple[str, str]:
    """The times, in the zone of `span.since`, and the line below them with a tick for each."""
    times, line = [FREE] * span.columns, ["-"] * span.columns
    for tick in ticks(span):
        at, label = span.column(tick), _label(tick)
        if at + len(label) <= span.columns:
            times[at : at + len(label)] = label
        line[at] = "+"
    return "".join(times).rstrip(), "".join(line)


def ticks(span: Span) -> Iterator[datetime]:
    """Round instants, far enough apart for their labels."""
    minutes = (span.until - span.since) / timedelta(minutes=1) * _TICK_ROOM / span.columns
    step = timedelta(minutes=next((step for step in _STEPS if step >= minutes), _STEPS[-1]))
    midnight = span.since.replace(hour=0, minute=0, second=0, microsecond=0)
    tick = midnight + step * -((midnight - span.since) // step)
    while tick < span.until:
        yield tick
        tick += step


def _label(tick: datetime) -> str:
    """The date at midnight, and wherever it is the date that matters."""
    return tick.strftime("%d %b") if (tick.hour, tick.minute) == (0, 0) else tick.strftime("%H:%M")
