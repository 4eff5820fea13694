"""What a run left that tools outside would execute, as `logs` and `show` say it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from shared.findings import Planted, PlantedWhy
from supervisor.cli.escape import escape
from supervisor.models import CronRun

_SHOWN = 20
_WORDS: dict[PlantedWhy, str] = {
    "repository": "git obeys it",
    "tool": "tools obey it",
    "set-id": "runs with the rights of its owner",
    "link": "leads out of there",
    "special": "is a pipe, a socket or a device",
    "sparse": "is far larger than what it holds",
    "closed": "cannot be looked into",
    "executable": "can be executed",
}


def facts(run: CronRun) -> Iterator[tuple[str, str]]:
    """New or changed files that may act outside the cell. Nothing where there are none."""
    if run.planted is None:
        return
    lines = [f"{escape(plant.path)} {_WORDS[plant.why]}" for plant in run.planted.found[:_SHOWN]]
    lines += _rest(run.planted)
    if lines:
        yield "look at", "\n".join(lines)


def notice(runs: Sequence[CronRun]) -> str:
    """That the newest of these runs that left such things did; empty where none did."""
    run = next((run for run in runs if run.planted is not None and run.planted.count), None)
    if run is None or run.planted is None:
        return ""
    count = run.planted.count
    files = f"{count} file{'s' * (count != 1)}"
    return f"Run {run.id[:8]} left {files} that tools would run or obey. Look before you do: cronward logs {run.id[:8]}"


def _rest(planted: Planted) -> Iterator[str]:
    """What is not in the list."""
    more = planted.count - min(len(planted.found), _SHOWN)
    if more > 0:
        yield f"and {more} more like these" + (" (--json names more)" if len(planted.found) > _SHOWN else "")
    if not planted.whole:
        yield f"Only {planted.seen} files were looked at: there may be more."
