"""Whether anything grows: fifty runs a minute in real cells, for an hour; memory, descriptors, threads, disk.

    python -m benchmarks.soak                 an hour
    python -m benchmarks.soak --minutes 5     shorter
    python -m benchmarks.soak --smoke         a few seconds

Ten jobs are due every twelve seconds each. Every agent notes the run that it is in a file, so that what ran is known
from outside: the supervisor's log, its records and these notes have to agree.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil

from benchmarks.measuring import machine
from benchmarks.supervised import Supervised, eventually, supervised

JOBS = 10
EVERY, SMOKES_EVERY = 12, 2
BLOCK = 512
NOTE = """/bin/sh -c 'echo "$CRONWARD_RUN_ID" >>ran'"""
# Few are kept, so that an hour has many rounds of retention; how busy the neighbours are decides nothing here.
CONFIG = "history = 20\nmax_memory_pressure = 0\ngrace_seconds = 1\n"
DUE = re.compile(r"run (\S+): due, the occurrence of (\S+) of job ([\w.-]+)")
OVER = re.compile(r"event=run\.ended run=(\S+) .*?status=(\S+)")


@dataclass(frozen=True, slots=True)
class Sample:
    """The supervisor and its home at one instant."""

    minute: float
    rss_kib: float
    pss_kib: float
    descriptors: float
    threads: float
    disk_kib: float
    files: float
    children: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Quantity:
    """What has to be flat: how much more at the end than in the middle is still flat, as a share and in all."""

    what: str
    of: Callable[[Sample], float]
    share: float
    more: float


QUANTITIES = (
    Quantity("memory, PSS KiB", lambda one: one.pss_kib, 0.02, 512),
    Quantity("memory, RSS KiB", lambda one: one.rss_kib, 0.02, 512),
    Quantity("descriptors", lambda one: one.descriptors, 0.0, 2),
    Quantity("threads", lambda one: one.threads, 0.0, 1),
    Quantity("disk of the home, KiB", lambda one: one.disk_kib, 0.05, 1024),
    Quantity("files of the home", lambda one: one.files, 0.05, 50),
    Quantity("children", lambda one: one.children, 0.0, 1),
)


def add_jobs(kept: Supervised, every: int, until: datetime) -> None:
    """Each at its own seconds of the minute, so that fifty runs a minute come one after the other."""
    life = {"timezone": "UTC", "until": until.isoformat()}
    for number in range(JOBS):
        seconds = ",".join(str((number + start) % 60) for start in range(0, 60, every))
        work_dir = str(kept.work_dir(str(number)))
        draft = {"name": f"soak-{number}", "prompt": "soak", "command": NOTE, "cron_expr": f"{seconds} * * * * *"}
        kept.client.add_job({**draft, **life, "work_dir": work_dir, "retries": 0})


def is_idle(kept: Supervised) -> bool:
    """Whether nothing runs and nothing waits. What waits is not to be paused away: that would cancel it."""
    status = kept.client.status()
    return not status["running"] and not status["queue"]


def sample(kept: Supervised, began: float) -> Sample:
    process = psutil.Process(kept.process.pid)
    memory, cpu = process.memory_full_info(), process.cpu_times()
    sizes = list(blocks(kept.home))
    return Sample(
        minute=(time.monotonic() - began) / 60,
        rss_kib=memory.rss / 1024,
        pss_kib=memory.pss / 1024,
        descriptors=process.num_fds(),
        threads=process.num_threads(),
        disk_kib=sum(sizes) / 1024,
        files=len(sizes),
        children=len(process.children()),
        cpu_seconds=cpu.user + cpu.system,
    )


def blocks(top: Path) -> Iterator[int]:
    """What each file and directory below takes on disk, in bytes. What goes meanwhile takes nothing."""
    for folder, _, names in os.walk(top):
        for name in (".", *names):
            try:
                yield Path(folder, name).lstat().st_blocks * BLOCK
            except FileNotFoundError:
                continue


def watch(kept: Supervised, seconds: float, each: float) -> list[Sample]:
    """Samples for so long, one line of each third minute as it comes."""
    began, found = time.monotonic(), [sample(kept, time.monotonic())]
    while (now := time.monotonic()) < began + seconds:
        time.sleep(min(each, began + seconds - now))
        found.append(sample(kept, began))
        if found[-1].minute // 3 > found[-2].minute // 3:
            print("  ".join(f"{each.what} {each.of(found[-1]):.0f}" for each in QUANTITIES), flush=True)
    return found


def third(samples: list[Sample], number: int) -> list[Sample]:
    size = max(1, len(samples) // 3)
    return samples[number * size : (number + 1) * size] or samples[-1:]


def slope(samples: list[Sample], of: Callable[[Sample], float]) -> float:
    """Per hour, over the last two thirds: what is filled once is full by then."""
    late = samples[len(samples) // 3 :]
    if len(late) < 2:
        return 0.0
    return statistics.linear_regression([one.minute / 60 for one in late], [of(one) for one in late]).slope


def show(samples: list[Sample]) -> bool:
    """The table: medians of the thirds. Whether all of it is flat: the last third's median beside the middle one's."""
    print(f"{'':26} {'first':>10} {'middle':>10} {'last':>10} {'most':>10} {'an hour':>10}")
    flat = True
    for each in QUANTITIES:
        first, middle, last = (statistics.median(map(each.of, third(samples, number))) for number in range(3))
        kept = last <= middle * (1 + each.share) + each.more
        flat = flat and kept
        most, grows = max(map(each.of, samples)), slope(samples, each.of)
        print(
            f"{each.what:26} {first:10.0f} {middle:10.0f} {last:10.0f} {most:10.0f} {grows:+10.1f}"
            f"  {'flat' if kept else 'GROWS'}"
        )
    return flat


@dataclass(frozen=True, slots=True)
class Accounts:
    """What ran, by the log and by the agents' own notes."""

    due: dict[str, tuple[str, str]]
    ends: Counter[tuple[str, str]]
    noted: Counter[str]

    def problems(self) -> Iterator[str]:
        twice = [pair for pair, count in Counter(self.due.values()).items() if count > 1]
        yield from (f"occurrence {pair} has more than one run" for pair in twice)
        for run_id in self.due:
            ended = [status for (run, status), count in self.ends.items() for _ in range(count) if run == run_id]
            if ended != ["completed"]:
                yield f"run {run_id} ended as {ended}"
            if self.noted[run_id] != 1:
                yield f"the agent of run {run_id} ran {self.noted[run_id]} times"
        yield from (f"run {run_id} was noted and never due" for run_id in self.noted if run_id not in self.due)


def accounts(kept: Supervised) -> Accounts:
    log = kept.log.read_text()
    due = {run: (job, at) for run, at, job in DUE.findall(log)}
    ends = Counter((run, status) for run, status in OVER.findall(log))
    notes = sorted((kept.folder / "work").glob("*/ran"))
    return Accounts(due, ends, Counter(line for note in notes for line in note.read_text().split()))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--each", type=float, default=15.0, help="seconds between two samples")
    parser.add_argument("--smoke", action="store_true")
    parsed = parser.parse_args()
    minutes, each, every = (0.05, 0.5, SMOKES_EVERY) if parsed.smoke else (parsed.minutes, parsed.each, EVERY)
    print(f"Soak: {JOBS * 60 // every} runs a minute in cells, {minutes:g} minutes\n{machine()}", flush=True)
    with supervised(CONFIG) as kept:
        add_jobs(kept, every, datetime.now(UTC) + timedelta(minutes=minutes))
        samples = watch(kept, minutes * 60, each)
        eventually(lambda: is_idle(kept))
        found = accounts(kept)
    flat = show(samples)
    problems = list(found.problems())
    used = samples[-1].cpu_seconds - samples[0].cpu_seconds
    print(f"{len(found.due)} runs, each completed exactly once: {'no' if problems else 'yes'}")
    print(f"CPU of the supervisor: {used * 1000 / max(1, len(found.due)):.1f} ms a run\n")
    for problem in problems[:20]:
        print(problem)
    # A few seconds show whether it works, not whether it is flat.
    raise SystemExit(1 if problems or not (flat or parsed.smoke) else 0)


if __name__ == "__main__":
    main()
