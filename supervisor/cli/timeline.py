"""The command that draws runs over time."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from supervisor.cli import render
from supervisor.cli.options import AsJson, OneJob
from supervisor.cli.place import Place, place_of

if TYPE_CHECKING:
    from supervisor.cli.gantt import Piece
    from supervisor.models import CronRun

MARKS = {
    "completed": "#",
    "failed": "x",
    "unknown": "?",
    "canceled": "/",
    "skipped": "o",
    "running": ">",
    "stopping": ">",
    "queued": "~",
}
WAIT = "."
_USUAL, _LEAST_SHOWN = "24h", timedelta(minutes=10)
_LABEL_LEAST, _LABEL_MOST, _LEAST_CHART, _GAP = 8, 24, 20, 2


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(timeline)


def timeline(
    ctx: typer.Context,
    job: OneJob = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From then on: 8h, 7d, or like --at. Default: the first run in 24h."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw which runs went on when. A line for each job, more where its runs overlap.

    \b
    Example: cronward timeline
    Example: cronward timeline --since 7d morning
    """
    from supervisor.cli.instant import parse_since

    place = place_of(ctx)
    now = place.now
    start = parse_since(_USUAL if since is None else since, now)
    runs = _runs(place, job, start)
    if as_json:
        render.show_json({"since": _iso(start), "until": _iso(now), "runs": [_record(place, run, now) for run in runs]})
    elif not runs:
        render.say("Nothing ran in that time.")
    else:
        shown = start if since is not None else _first(runs, start, now)
        _draw(place, runs, shown.astimezone(), now.astimezone())


def _runs(place: Place, job: str | None, since: datetime) -> list[CronRun]:
    """Those that had not ended by then, in the order in which they began."""
    from supervisor.stores.history import began, ended

    of = None if job is None else _job_id(place, job)
    found = [run for each in place.runs.recent(since) if of in (None, each.job_id) for run in each.runs]
    return sorted((run for run in found if not run.status.final or ended(run) >= since), key=began)


def _first(runs: Sequence[CronRun], start: datetime, now: datetime) -> datetime:
    """Where to begin if nobody says: else the runs of a new home are all drawn in the last column."""
    from supervisor.stores.history import began

    return max(start, min(*map(began, runs), now - _LEAST_SHOWN))


def _job_id(place: Place, reference: str) -> str:
    from supervisor.errors import NotFoundError

    try:
        return place.jobs.find(reference).id
    except NotFoundError:
        if reference in place.runs.job_ids():  # of a removed job its history stays
            return reference
        raise


def _draw(place: Place, runs: Sequence[CronRun], since: datetime, now: datetime) -> None:
    from supervisor.cli.cells import clipped, even, padded, width
    from supervisor.cli.escape import escape
    from supervisor.cli.gantt import Span, axis, lanes

    rows: dict[str, list[CronRun]] = {}
    for run in runs:
        rows.setdefault(run.job_id, []).append(run)
    wide = shutil.get_terminal_size().columns
    names = {job_id: even(escape(_name(of))) for job_id, of in rows.items()}
    label = max(map(width, names.values()))
    if render.on_terminal():
        label = min(label, _LABEL_MOST, max(_LABEL_LEAST, wide // 3))
    span = Span(since, now, max(_LEAST_CHART, wide - label - _GAP))
    margin = " " * (label + _GAP)
    render.show_lines(f"{margin}{line}".rstrip() for line in axis(span))
    for job_id, of in rows.items():
        title = padded(clipped(names[job_id], label), label) + " " * _GAP
        for lane in lanes((_bar(place, run, now) for run in of), span):
            render.show_lines([title + _coloured(lane)])
            title = margin
    render.show_lines(["", *_legend(runs, wide)])


def _name(runs: Sequence[CronRun]) -> str:
    return runs[-1].job_name or runs[-1].job_id


def _bar(place: Place, run: CronRun, now: datetime) -> list[Piece]:
    """Its attempts one after the other, and the back-offs between them."""
    from supervisor.cli.gantt import Piece
    from supervisor.models import NEVER
    from supervisor.stores.history import began

    begun = run.started_at if run.started_at != NEVER else began(run)
    end = run.finished_at if run.finished_at != NEVER else now
    if run.status.final and run.started_at == NEVER:
        return [Piece(end, end, MARKS[run.status])]
    parts = _attempts(place, run, begun, end)
    bar = [Piece(begun, end, WAIT if len(parts) > 1 else MARKS[run.status])]
    for start, stop in parts[:-1]:
        bar.append(Piece(start, stop, MARKS["failed"]))
    if len(parts) > 1:
        waits = run.retry_at is not None and not run.status.final
        last = MARKS["failed"] if waits else MARKS[run.status]
        bar.append(Piece(*parts[-1], last))
    return bar


def _attempts(place: Place, run: CronRun, begun: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """When each began and ended, by the files that it left; nothing where these are gone, or it was one."""
    if run.attempt < 2:
        return []
    parts = []
    for attempt in range(1, run.attempt + 1):
        folder = place.home.log_dir(run.id, attempt)
        try:
            start = datetime.fromtimestamp((folder / "request.json").lstat().st_mtime, begun.tzinfo)
            found = (folder / "result.json").lstat()
        except OSError:
            return []
        over = found.st_size > 0
        stop = datetime.fromtimestamp(found.st_mtime, begun.tzinfo) if over else end
        parts.append((min(max(start, begun), end), min(max(stop, begun), end)))
    return parts


def _coloured(lane: str) -> str:
    from itertools import groupby

    from supervisor.cli.looks import STYLES

    styles = {MARKS[status]: style for status, style in STYLES.items()}
    return "".join(render.styled("".join(part), styles.get(mark, "")) for mark, part in groupby(lane))


def _legend(runs: Sequence[CronRun], wide: int) -> list[str]:
    """What the marks mean that can be there."""
    from supervisor.cli.cells import width

    retried = any(run.attempt > 1 for run in runs)
    there = {run.status.value for run in runs} | ({"failed"} if retried else set())
    words = [f"{mark} {name}" for name, mark in MARKS.items() if name in there and name != "stopping"]
    lines = [""]
    for word in [*words, *([f"{WAIT} waiting to be tried again"] if retried else [])]:
        if lines[-1] and width(f"{lines[-1]}  {word}") > wide:
            lines.append("")
        lines[-1] += f"  {word}" if lines[-1] else word
    return lines


def _record(place: Place, run: CronRun, now: datetime) -> Mapping[str, Any]:
    from supervisor.models import NEVER

    started = run.started_at != NEVER
    end = run.finished_at if run.finished_at != NEVER else now
    return {
        "run_id": run.id,
        "job_id": run.job_id,
        "job": run.job_name,
        "status": run.status.value,
        "reason": run.reason.value if run.reason else None,
        "started_at": _iso(run.started_at) if started else None,
        "finished_at": _iso(run.finished_at) if run.finished_at != NEVER else None,
        "attempts": list(_attempt_records(_attempts(place, run, run.started_at, end) if started else [])),
    }


def _attempt_records(parts: Iterable[tuple[datetime, datetime]]) -> Iterator[dict[str, Any]]:
    for number, (start, stop) in enumerate(parts, 1):
        yield {"attempt": number, "from": _iso(start), "to": _iso(stop)}


def _iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
