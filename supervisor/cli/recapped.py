"""How a recap looks: one screen, and the same as JSON."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from supervisor.budgets.money import money
from supervisor.cli import offered, render
from supervisor.cli.cells import clipped, even, padded, wrapped
from supervisor.cli.escape import escape
from supervisor.cli.looks import STYLES
from supervisor.cli.page import warn_of_damage
from supervisor.cli.place import Place
from supervisor.cli.render import Style, say, show_lines, styled, warn
from supervisor.cli.times import clock, relative, span
from supervisor.models import CronRun
from supervisor.reports.needs import Need
from supervisor.reports.recap import Change, Due, Ends, Recap
from supervisor.status import Status

_JOBS, _LIVE, _NEEDS, _CHANGES, _FILES = 4, 5, 5, 5, 3
_LABEL, _COUNT, _INDENT = 10, 6, 2


def show(place: Place, found: Recap, opening: str | None) -> None:
    """All of it, fitted to a terminal; in a pipe no line is cut. `opening`: None, for a time that was named."""
    show_lines(_head(found, opening))
    for title, lines in (
        ("", [*_ends(found), *_going_on(found), *_cost(found)]),
        ("Changed", _changes(found)),
        ("Needs you", _needs(place, found)),
        ("Next", _due(found)),
    ):
        _section(title, list(lines))
    if found.incomplete:
        names = ", ".join(found.incomplete[:_JOBS]) + (" and others" if len(found.incomplete) > _JOBS else "")
        warn(f"More runs may have ended than are kept, and are not counted, of: {names}")
    if found.damaged:
        warn(f"{found.damaged} lines of histories cannot be read; see: cronward doctor")
    warn_of_damage(place)


def record(place: Place, found: Recap) -> dict[str, Any]:
    """Ready for JSON; docs/last-night.md says what is in it."""
    return {
        "since": _iso(found.since),
        "until": _iso(found.now),
        "keeping_time": found.keeping_time,
        "jobs": found.jobs,
        "ends": [{**asdict(each), "jobs": dict(each.jobs)} for each in found.ends],
        "going_on": [run.record() for run in found.going_on],
        "cost": asdict(found.cost),
        "changes": [asdict(each) for each in found.changes],
        "needs": [{**asdict(need), "command": command_of(place, need)} for need in found.needs],
        "due": [{**asdict(each), "at": _iso(each.at)} for each in found.due],
        "overdue": [{**asdict(each), "at": _iso(each.at)} for each in found.overdue],
        "incomplete": list(found.incomplete),
        "damaged": found.damaged,
    }


def command_of(place: Place, need: Need) -> str:
    """The command as it is to be typed, for the home that was named."""
    program = "cronward "
    if place.home_option is None or not need.command.startswith(program):
        return need.command
    return f"{program}--home {shlex.quote(place.home_option)} {need.command.removeprefix(program)}"


def _head(found: Recap, opening: str | None) -> Iterator[str]:
    since = f"{clock(found.since, found.now)}"
    yield styled(f"{opening} ({since})" if opening else f"Since {since}", "bold")


def _section(title: str, lines: Sequence[str]) -> None:
    if not lines:
        return
    if title:
        say("")
        show_lines([styled(title, "bold")])
    show_lines(lines)


def _row(label: str, count: int | str, text: str, style: Style) -> str:
    """A label in its colour, a number, and as much of a text as fits."""
    start = _INDENT + _LABEL + _COUNT + 2
    rest = clipped(_shown(text), render.columns() - start)
    number = padded(f"{count:,}" if isinstance(count, int) else count, _COUNT, right=True)
    return f"{' ' * _INDENT}{styled(padded(label, _LABEL), style)}{number}  {rest}".rstrip()


def _ends(found: Recap) -> Iterator[str]:
    if not found.ends:
        yield _line("No run has ended." if found.jobs else "No run has ended, and there are no jobs.")
    label = ""
    for each in found.ends:
        title = "missed" if each.reason is not None and each.reason.value == "missed" else each.status.value
        reason = (
            "" if each.reason is None or each.status is Status.COMPLETED or title == "missed" else each.reason.value
        )
        text = f"{reason}: {_jobs(each)}" if reason else _jobs(each)
        yield _row(title if title != label else "", each.count, text, STYLES[each.status])
        label = title


def _jobs(each: Ends) -> str:
    named = [f"{name} ({count})" if count > 1 else name for name, count in each.jobs[:_JOBS]]
    more = len(each.jobs) - _JOBS
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _going_on(found: Recap) -> Iterator[str]:
    label = "going on" if found.keeping_time else "left open"
    runs = [run for run in found.going_on if run.status is not Status.QUEUED]
    for run in runs[:_LIVE]:
        yield _row(label, "", _run_words(run, found.now), "cyan" if found.keeping_time else "red")
        label = ""
    queued = len(found.going_on) - len(runs)
    if queued:
        yield _row("queued", queued, "", "cyan")


def _run_words(run: CronRun, now: datetime) -> str:
    began = f"for {span((now - run.started_at).total_seconds())}, " if run.started_at.year > 1 else ""
    return f"{run.job_name or run.job_id}, {began}attempt {run.attempt} (run {run.id[:8]})"


def _cost(found: Recap) -> Iterator[str]:
    cost = found.cost
    if cost.usd or cost.input_tokens or cost.output_tokens:
        tokens = f"{cost.input_tokens:,} tokens in, {cost.output_tokens:,} out"
        assumed = f"; {cost.assumed} did not say all of it" if cost.assumed else ""
        yield _row("cost", "", f"{money(cost.usd)}, {tokens}{assumed}", "")


def _changes(found: Recap) -> Iterator[str]:
    shown = _most(_CHANGES)
    for change in found.changes[-shown:]:
        yield _line(f"{change.job}: {_what(change)}")
        if change.branch is not None:
            yield f"    {styled(escape(offered.command(change.branch)), 'cyan')}"
    if len(found.changes) > shown:
        yield _line(f"and {len(found.changes) - shown} more before that: cronward recap | less")


def _what(change: Change) -> str:
    parts = []
    if change.branch is not None:
        parts.append(f"branch {change.branch.name}, {_count(change.branch.commits, 'commit')}")
    if change.files:
        more = len(change.files) - _FILES
        names = ", ".join(change.files[:_FILES]) + (f" and {more} more" if more > 0 else "")
        parts.append(f"{_count(len(change.files), 'file')}: {names}")
    return "; ".join(parts)


def _needs(place: Place, found: Recap) -> Iterator[str]:
    shown = _most(_NEEDS)
    for need in found.needs[:shown]:
        text = _shown(f"{need.job} {need.words}".strip())
        for number, line in enumerate(_wrapped(text)):
            mark = styled("!", "red" if need.pressing else "yellow") if number == 0 else " "
            yield f"{mark} {line}"
        yield f"    {styled(escape(command_of(place, need)), 'cyan')}"
    if len(found.needs) > shown:
        yield f"  and {len(found.needs) - shown} more: cronward recap | less"


def _most(on_screen: int) -> int:
    """How many of a list are shown: one screen's share, and in a pipe all of them."""
    return on_screen if render.on_terminal() else sys.maxsize


def _wrapped(text: str) -> list[str]:
    return wrapped(text, render.columns() - _INDENT, 2) if render.on_terminal() else [" ".join(text.split())]


def _due(found: Recap) -> Iterator[str]:
    if found.overdue:
        first = found.overdue[0]
        jobs = _count(len(found.overdue), "job")
        yield _line(f"{jobs} not started although due, the first since {clock(first.at, found.now)}: {first.job}")
    yield from _times(found.due, found.now)


def _times(due: Iterable[Due], now: datetime) -> Iterator[str]:
    for each in due:
        yield _line(f"{padded(relative(each.at, now), 16)}{each.job}")


def _line(text: str) -> str:
    return " " * _INDENT + clipped(_shown(text), render.columns() - _INDENT)


def _shown(text: str) -> str:
    return even(escape(text)) if render.on_terminal() else escape(text)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
