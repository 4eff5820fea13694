"""A whole supervisor, with runners, on a disk that fills up and drains: at any write, and also while it starts."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from supervisor.errors import StoreError, UnreachableError
from tests.crash.filling import a_little, drain, fill, fill_until_it_is_met
from tests.crash.harvest import GONE_WITHIN, harvest
from tests.crash.reign import Reign
from tests.crash.smalldisk import MIB, SmallDisk, small_disk
from tests.crash.sown import Sown, retrying, seconds
from tests.crash.trial import FULL, SEED, trial
from tests.driver import eventually
from tests.lacks import need

PARTS, TIMES = (4, 25) if FULL else (2, 5)
DISK = 24 * MIB
FIELD = (
    (seconds(1), "skip", "ends at once", 0),
    (seconds(2), "queue", "fails first", 0),
    (seconds(2), "allow", "works for a while", 1.0),
    (seconds(3), "replace", "works for a while", 2.0),
)

pytestmark = [need("cell"), pytest.mark.timeout(900 if FULL else 300)]


def sow(draw: random.Random, folder: Path) -> list[Sown]:
    """Their ledgers lie on another disk: what happened must be known though it cannot be stored."""
    return [
        Sown(f"d{number}", rhythm, folder / "work" / str(number), {"overlap": overlap, **retrying(draw)}, deed, length)
        for number, (rhythm, overlap, deed, length) in enumerate(FIELD)
    ]


def edit(reign: Reign, job: Sown, prompts: dict[str, set[str]], draw: random.Random) -> None:
    """Change a job, if there is room. `prompts`: what each may have now; a refusal has changed nothing."""
    prompt = f"{draw.random()}" * draw.randint(1, 200)
    try:
        reign.client.edit_job(job.job_id, {"prompt": prompt})
    except UnreachableError:  # told nothing, it may have happened
        prompts[job.job_id].add(prompt)
    except StoreError:
        return
    else:
        prompts[job.job_id] = {prompt}


def die(disk: SmallDisk, reign: Reign, draw: random.Random) -> None:
    """kill -9 in the middle of it, and perhaps a successor that finds the disk full and is not to break anything."""
    reign.kill()
    eventually(reign.nothing_lives, GONE_WITHIN)
    if disk.mounted and draw.random() < 0.5:
        reign.spawn()
        time.sleep(draw.uniform(0.3, 2))


@pytest.mark.parametrize("part", range(PARTS))
def test_a_disk_that_is_full_for_a_while_costs_nothing_that_was_stored(tmp_path: Path, part: int) -> None:
    again = f"{__file__} -k '[{part}]'"
    with small_disk(tmp_path, DISK) as disk, trial(tmp_path, disk.root / "home", SEED + part, again) as on:
        reign, draw = on.reign, on.draw
        on.jobs[:] = sow(draw, tmp_path)
        on.begin()
        prompts = {job.job_id: {job.draft()["prompt"]} for job in on.jobs}
        fill_until_it_is_met(disk, reign)
        drain(disk, reign)
        for _ in range(TIMES):
            time.sleep(draw.uniform(0.2, 2))
            fill(disk, reign, a_little(disk, draw))
            edit(reign, draw.choice(on.jobs), prompts, draw)
            time.sleep(draw.uniform(0.1, 2))
            if draw.random() < 0.3:
                die(disk, reign, draw)
            drain(disk, reign)
            reign.revive()
        assert [job.prompt for job in reign.client.list_jobs() if job.prompt not in prompts[job.id]] == []
        verdict = harvest(reign, on.jobs)
    assert verdict.violations == []
    assert verdict.ends["completed"] > 0
    assert "Traceback" not in reign.log()
