"""The table of all jobs: more about each where the terminal is wide, and all of it in a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from supervisor.cli.escape import shortened
from supervisor.cli.looks import MARKS, STYLES
from supervisor.cli.render import Cell, Column, columns, on_terminal, show_table
from supervisor.cli.times import relative, roughly, span, stamp
from supervisor.status import Status

if TYPE_CHECKING:
    from supervisor.models import CronJob
    from supervisor.reports.listed import Listed
    from supervisor.reports.past import Past

_PROMPT_CHARS = 60
_REASON_CHARS, _REASON_LEAST, _WIDE = 30, 16, 110
Row = tuple["CronJob | Listed", datetime, "Past | None"]
"""A job, when it is due next, and how its runs went; None: its history is damaged."""


def show(rows: Sequence[Row], now: datetime) -> None:
    """Print it. How often each ran is told in a pipe alone."""
    whole = not on_terminal()
    show_table(_columns(whole), [_row(*row, now, whole) for row in rows])


def when(job: CronJob | Listed) -> str:
    """The schedule as it was given, shortly."""
    return f"at {stamp(job.at)}" if job.at is not None else job.cron_expr


def paused(job: CronJob | Listed) -> str:
    """That it is, and why."""
    return f"paused: {job.pause_reason}" if job.pause_reason else "paused"


def _columns(whole: bool) -> list[Column]:
    found = [
        Column("ID", needs=90),
        Column("NAME", shrinks=True),
        Column("SCHEDULE", shrinks=True),
        Column("NEXT", shrinks=True, least=13),
        Column("LAST", shrinks=True, least=30),
        Column("AGENT", needs=110),
        Column("PROMPT", shrinks=True, needs=110),
    ]
    return [*found[:5], Column("RUNS", right=True), *found[5:]] if whole else found


def _row(job: CronJob | Listed, due: datetime, past: Past | None, now: datetime, whole: bool) -> list[Cell | str]:
    return [
        job.id if whole else job.id[:8],
        job.name or ("-" if whole else Cell(job.id[:8], "dim")),
        when(job),
        Cell(relative(due, now)) if job.enabled else Cell(_paused(job, whole), "yellow"),
        _last(past, now, whole),
        *([str(past.runs if past else 0)] if whole else []),
        job.agent,
        shortened(job.prompt, _PROMPT_CHARS),
    ]


def _paused(job: CronJob | Listed, whole: bool) -> str:
    why = paused(job)
    return why if whole else shortened(why, _REASON_CHARS if columns() >= _WIDE else _REASON_LEAST)


def _last(past: Past | None, now: datetime, whole: bool) -> Cell:
    if past is None:
        return Cell("damaged", "red")
    if past.going is not None and not whole:
        passed = span((now - past.since).total_seconds())
        return Cell(f"{MARKS[past.going]} {past.going.value} for {passed}", STYLES[past.going])
    if past.status is None:
        return Cell("-")
    if whole:
        return Cell(f"{past.ending} {relative(past.at, now)}", STYLES[past.status])
    why = "" if past.status is Status.COMPLETED else f" {past.ending}"
    return Cell(f"{MARKS[past.status]}{why} {roughly(past.at, now)}", STYLES[past.status])
