"""A real supervisor with many jobs and random faults for a real hour, run by hand:

    python -m tests.crash.hour --jobs 200 --minutes 60 --seed 1

It prints its figures at the end, and exits with 1 if a promise was broken.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from supervisor.errors import CronwardError
from tests.crash.audit import Audit
from tests.crash.filling import drain, fill
from tests.crash.harvest import GONE_WITHIN, harvest
from tests.crash.reign import NeverReadyError, Reign
from tests.crash.smalldisk import SmallDisk, small_disk
from tests.crash.sown import MINUTE, SECOND, Sown, interval, minutes, retrying
from tests.driver import adopting_orphans, eventually
from tests.passage import let_through

SETTINGS = {
    "CRONWARD_MAX_CONCURRENT": "12",
    "CRONWARD_HISTORY": "100000",
    "CRONWARD_DISABLE_AFTER_FAILURES": "0",
    "CRONWARD_GRACE_SECONDS": "1",
    "CRONWARD_DISK_FLOOR": "0",  # a disk is to be met that really is full
}
DISK_SIZE = 1 << 30


def sow(draw: random.Random, count: int, folder: Path) -> list[Sown]:
    """Jobs that are due every one to five minutes, most at odd seconds, some all at once at the full minute."""
    made = []
    for number in range(count):
        step = draw.choice((1, 2, 3, 4, 5))
        second = 0 if draw.random() < 0.1 else draw.randrange(60)
        rhythm = interval(step * MINUTE) if draw.random() < 0.3 else minutes(step, second)
        deed = draw.choices(
            ("ends at once", "works for a while", "fails first", "always fails", "is killed first", "hangs"),
            (70, 10, 8, 4, 6, 2),
        )[0]
        policy = {"overlap": draw.choice(("skip", "queue", "replace", "allow")), **retrying(draw)}
        policy["catch_up"] = draw.choice(("once", "skip", "all"))
        policy["timeout_secs"] = 5 if deed == "hangs" else 300
        seconds = draw.choice((3, 10, 70))
        made.append(Sown(f"h{number:03}", rhythm, folder / "work" / f"{number:03}", policy, deed, seconds))
    return made


@dataclass
class Hour:
    """The state of such a run."""

    draw: random.Random
    reign: Reign
    disk: SmallDisk
    jobs: list[Sown]
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    troubled: list[tuple[datetime, datetime]] = field(default_factory=list)
    sizes: list[tuple[int, int]] = field(default_factory=list)
    """Resident bytes and descriptors of each supervisor, at its start and at its end."""

    def add_all(self) -> None:
        for job in self.jobs:
            job.prepare()
            job.added(self.reign.client.add_job(job.draft()).model_dump(mode="json"))

    def measure(self) -> None:
        assert self.reign.process is not None
        try:
            process = psutil.Process(self.reign.process.pid)
            self.sizes.append((process.memory_info().rss, process.num_fds()))
        except psutil.Error:
            return

    def play(self, seconds: float, between: float) -> None:
        until = time.monotonic() + seconds
        self.measure()
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(self.draw.expovariate(1 / between), left))
            names, weights = zip(*FAULTS.items(), strict=True)
            name = self.draw.choices(names, weights)[0]
            self.faults[name] += 1
            began = now()
            try:
                getattr(self, name)()
            except CronwardError as error:
                self.faults[f"{name}: {type(error).__name__}"] += 1
            if name in TROUBLE:
                self.troubled.append((began, now() + 5 * SECOND))
            self.look()

    def look(self) -> None:
        """The supervisor is there, and nobody of a dead one."""
        if not self.reign.alive():
            self.violations.append(f"{now()}: the supervisor ended by itself")
            self.reign.start()
        self.reign.reap()
        for orphan in self.reign.orphans():
            self.violations.append(f"{now()}: left over: {orphan}")

    # ---- what happens to it

    def kill_supervisor(self) -> None:
        self.measure()
        self.reign.kill()
        eventually(self.reign.nothing_lives, GONE_WITHIN)
        if self.draw.random() < 0.3:  # and once more, while it starts
            self.reign.spawn()
            time.sleep(self.draw.random() * 1.5)
            self.reign.kill()
        time.sleep(self.draw.choice((0, 0, 1, 5, 90)))
        self.reign.start()
        self.measure()

    def restart(self) -> None:
        self.measure()
        if self.reign.stop(90) != 0:
            self.violations.append(f"{now()}: it did not stop well")
        self.reign.start()
        self.measure()

    def kill_runner(self) -> None:
        self.reign.kill_a_runner(self.draw)

    def hang_up(self) -> None:
        self.reign.client.reload()

    def pause(self) -> None:
        job = self.draw.choice(self.jobs)
        began = now() - 10 * SECOND  # on a busy machine not all that is due has been seen to
        self.reign.client.pause_job(job.job_id, "by hand", cancel=self.draw.random() < 0.3)
        time.sleep(self.draw.random() * 10)
        self.reign.client.resume_job(job.job_id)
        job.idle.append((began, now()))

    def edit(self) -> None:
        job = self.draw.choice(self.jobs)
        self.reign.client.edit_job(job.job_id, {"prompt": "y" * self.draw.randint(1, 50_000)})

    def cancel(self) -> None:
        live = self.reign.client.live()
        if live:
            self.reign.client.cancel_run(self.draw.choice(live)["id"])

    def run_now(self) -> None:
        self.reign.client.run_job(self.draw.choice(self.jobs).job_id)

    def fill_disk(self) -> None:
        fill(self.disk, self.reign, self.draw.choice((0, 0, 300, 3000)))
        time.sleep(self.draw.uniform(2, 15))
        if self.draw.random() < 0.3:
            self.reign.kill()
            self.reign.spawn()
            time.sleep(self.draw.uniform(0, 3))
        drain(self.disk, self.reign)
        self.reign.revive()


FAULTS = {
    "kill_supervisor": 2,
    "restart": 1,
    "kill_runner": 4,
    "hang_up": 2,
    "pause": 4,
    "edit": 4,
    "cancel": 4,
    "run_now": 4,
    "fill_disk": 1,
}
TROUBLE = ("kill_supervisor", "restart", "fill_disk")


def now() -> datetime:
    return datetime.now(UTC)


def report(hour: Hour, verdict: Audit, minutes_: float) -> str:
    """The figures, a line each."""
    rss, fds = zip(*hour.sizes, strict=True)
    files = [path for path in hour.reign.root.rglob("*") if path.is_file()]
    late = sorted(_lateness(hour, verdict))
    lines = [
        f"{len(hour.jobs)} jobs, {minutes_:g} minutes, {hour.reign.starts} starts of a supervisor",
        f"faults: {dict(sorted(hour.faults.items()))}",
        f"occurrences accounted for: {verdict.occurrences}",
        f"runs by end: {dict(verdict.ends.most_common())}",
        f"ledger lines: {sum(len((job.work / 'ledger').read_text().splitlines()) for job in hour.jobs)}",
        f"lateness of {len(late)} starts on schedule, away from faults: {_spread(late)}",
        f"resident MiB: {rss[0] >> 20} at the first start, {rss[-1] >> 20} at the end, {max(rss) >> 20} at most",
        f"descriptors: {fds[0]} at the first start, {fds[-1]} at the end, {max(fds)} at most",
        f"disk: {sum(path.stat().st_size for path in files) >> 10} KiB in {len(files)} files",
        f"violations: {len(hour.violations)}",
        *(f"  {words}" for words in hour.violations[:50]),
    ]
    return "\n".join(lines)


def _lateness(hour: Hour, verdict: Audit) -> list[float]:
    found = []
    for run in verdict.records:
        due, began = datetime.fromisoformat(run["scheduled_at"]), datetime.fromisoformat(run["started_at"])
        calm = not any(begin - SECOND <= due <= end for begin, end in hour.troubled)
        if run["trigger"] == "schedule" and began.year > 1 and calm:
            found.append((began - due).total_seconds())
    return found


def _spread(sorted_: list[float]) -> str:
    if not sorted_:
        return "none"
    at = {f"p{p}": sorted_[min(len(sorted_) - 1, len(sorted_) * p // 100)] for p in (50, 90, 99, 100)}
    return ", ".join(f"{name} {value:.3f} s" for name, value in at.items())


def play(count: int, minutes_: float, between: float, seed: int, folder: Path) -> int:
    let_through(folder)
    draw = random.Random(seed)
    with adopting_orphans(), small_disk(folder, DISK_SIZE, "ext4") as disk:
        reign = Reign(disk.root / "home", SETTINGS)
        reign.log_to = folder / "supervisor.log"
        hour = Hour(draw, reign, disk, sow(draw, count, folder))
        try:
            reign.start()
            hour.add_all()
            hour.play(minutes_ * 60, between)
            hour.measure()
            verdict = harvest(reign, hour.jobs)
            hour.violations += verdict.violations
            sys.stdout.write(report(hour, verdict, minutes_) + "\n")
        finally:
            reign.end()
    return 1 if hour.violations else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.hour", description=__doc__.partition("\n")[0])
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--between", type=float, default=20.0, help="seconds between two faults, on average")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cronward-hour-"))
    sys.stdout.write(f"seed {given.seed}, in {folder}\n")
    sys.stdout.flush()
    try:
        code = play(given.jobs, given.minutes, given.between, given.seed, folder)
    except (NeverReadyError, AssertionError) as error:
        sys.stdout.write(f"broken off: {error}\nEverything is left in {folder}\n")
        return 1
    if code == 0:
        shutil.rmtree(folder)
    else:
        sys.stdout.write(f"Everything is left in {folder}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
