"""A supervisor under load, killed again and again: what its records say against what its jobs wrote themselves.

Each part is one home with its own seed. The seed fixes the jobs and the order of the kills; when exactly a kill meets
the supervisor is up to the machine. To play one again: CRONWARD_SEED=N python -m pytest tests/crash/test_kills.py
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from tests.crash import sown
from tests.crash.audit import FINAL, newest
from tests.crash.harvest import GONE_WITHIN, harvest
from tests.crash.reign import Reign
from tests.crash.sown import Sown, interval, retrying, seconds
from tests.crash.trial import FULL, SEED, trial
from tests.driver import eventually
from tests.lacks import need

PARTS, KILLS, DEEDS = (5, 42, 20) if FULL else (3, 10, 8)
# Each part has all of them: rhythm, overlap, deed, how long it works.
FIELD = (
    (seconds(1), "skip", "ends at once", 0),
    (seconds(1), "queue", "works for a while", 1.3),
    (seconds(2), "allow", "works for a while", 2.5),
    (seconds(2), "queue", "fails first", 0),
    (seconds(2), "replace", "works for a while", 1.5),
    (seconds(3), "skip", "is killed first", 0),
    (interval(3 * sown.SECOND), "allow", "always fails", 0),
    (seconds(5), "skip", "hangs", 0),
)

pytestmark = [need("cell"), pytest.mark.timeout(900 if FULL else 300)]


def sow(draw: random.Random, folder: Path) -> list[Sown]:
    made = []
    for number, (rhythm, overlap, deed, length) in enumerate(FIELD):
        policy = {"overlap": overlap, "catch_up": draw.choice(("once", "skip", "all")), **retrying(draw)}
        policy["timeout_secs"] = 2 if deed == "hangs" else 60
        made.append(Sown(f"k{number}", rhythm, folder / "work" / str(number), policy, deed, length))
    return made


def torn_off(reign: Reign, jobs: list[Sown]) -> list[tuple[Path, str]]:
    """The runs whose attempt lived, by the disk, when the supervisor was killed."""
    found = []
    for job in jobs:
        path = reign.root / "runs" / f"{job.job_id}.jsonl"
        live = [run for run in newest(path) if run["status"] in ("running", "stopping") and run["retry_at"] is None]
        found += [(path, run["id"]) for run in live]
    return found


def live(jobs: list[Sown], draw: random.Random) -> None:
    """Let it bring about so many attempts, on however busy a machine, and a moment more."""
    so_far, wanted, until = written(jobs), draw.randrange(DEEDS), time.monotonic() + 10
    while written(jobs) < so_far + wanted and time.monotonic() < until:
        time.sleep(0.005)
    time.sleep(draw.uniform(0, 0.2))


def written(jobs: list[Sown]) -> int:
    """How many attempts wrote their line."""
    return sum((job.work / "ledger").read_bytes().count(b"\n") for job in jobs)


def strike(reign: Reign, jobs: list[Sown], draw: random.Random) -> None:
    """Let it live, and kill it: while it keeps time, while it starts, with one of its runners."""
    reign.spawn()
    if draw.random() < 0.3:
        time.sleep(draw.uniform(0, 1.5))
        reign.kill()
        return
    reign.wait_until_ready()
    live(jobs, draw)
    how = draw.random()
    if how < 0.3:
        reign.kill_a_runner(draw)
        time.sleep(draw.uniform(0, 0.5))
    elif how < 0.4:
        reign.kill_a_runner(draw)
    reign.kill()


@pytest.mark.parametrize("part", range(PARTS))
def test_whoever_is_killed_nothing_happens_twice_and_nothing_is_lost(tmp_path: Path, part: int) -> None:
    with trial(tmp_path, tmp_path / "home", SEED + part, f"{__file__} -k '[{part}]'") as on:
        reign, draw = on.reign, on.draw
        on.jobs[:] = sow(draw, tmp_path)
        on.begin()
        live(on.jobs, draw)
        reign.kill()
        for _ in range(KILLS - 1):
            eventually(reign.nothing_lives, GONE_WITHIN)
            strike(reign, on.jobs, draw)
        eventually(reign.nothing_lives, GONE_WITHIN)
        left = torn_off(reign, on.jobs)
        reign.start()
        for path, run_id in left:
            (run,) = (run for run in newest(path) if run["id"] == run_id)
            assert run["status"] in FINAL, f"{run_id} is left open: {json.dumps(run)}"
        verdict = harvest(reign, on.jobs)
    assert verdict.violations == []
    assert verdict.ends["completed"] > 0
    assert verdict.ends["unknown (supervisor_died)"] > 0
    assert "Traceback" not in reign.log()
