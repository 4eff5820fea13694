"""How every benchmark here asks and tells: interleaved rounds, medians, and a floor beside each of our figures.

What else a machine does hits all questions of a round alike, so a ratio says more than a time.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from shared.messages import ExecuteRequest
from shared.record import replace
from supervisor.config import Config
from supervisor.trials.doctor import trial

SECONDS = 40.0


class Row(NamedTuple):
    """One question's answer, in milliseconds. `bound`: the most that ours may be; None: there is no goal."""

    what: str
    ours: float
    floor: float
    goal: str = ""
    bound: float | None = None


def ratio(what: str, ours: float, floor: float, most: float) -> Row:
    return Row(what, ours, floor, f"<= {most:g}x", floor * most)


class Asked(NamedTuple):
    """The median of what each question answered."""

    median: dict[str, float]
    rounds: int


def interleaved(questions: Mapping[str, Callable[[], float]], rounds: int, seconds: float = SECONDS) -> Asked:
    """Ask one after the other in every round. A busy machine gets as many rounds as fit the time, one at least."""
    taken: dict[str, list[float]] = {name: [] for name in questions}
    until, done = time.monotonic() + seconds, 0
    while done < rounds and (not done or time.monotonic() < until):
        for name, ask in questions.items():
            taken[name].append(ask())
        done += 1
    return Asked({name: statistics.median(answers) for name, answers in taken.items()}, done)


def show(title: str, rows: list[Row], rounds: int) -> None:
    """Print the table, the machine above it."""
    print(f"{title}: medians of {rounds} interleaved rounds")
    print(machine())
    print(f"{'':44} {'ours ms':>9} {'floor ms':>9} {'ratio':>7}  goal")
    for row in rows:
        met = "" if row.bound is None else "  met" if row.ours <= row.bound else "  NOT met"
        print(f"{row.what:44} {row.ours:9.1f} {row.floor:9.1f} {row.ours / row.floor:6.2f}x  {row.goal}{met}")
    print()


def machine() -> str:
    """What the figures are of."""
    load = ", ".join(f"{number:.1f}" for number in os.getloadavg())
    return f"{cpu()}, {os.cpu_count()} cores, {platform.release()}, Python {platform.python_version()}, load {load}"


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def request(folder: Path, *argv: str, work_dir: Path | None = None, **limits: float) -> ExecuteRequest:
    """An attempt at `argv` as a job of the type light would have it; as root, by an ordinary uid of its own."""
    usual = trial(folder, Config())
    agent = replace(usual.agent, argv=argv)
    cell = replace(usual.cell, work_dir=str(work_dir) if work_dir is not None else None)
    return replace(usual, agent=agent, cell=cell, limits=replace(usual.limits, **limits))
