"""A real supervisor that is killed again and again, on a disk that fills up, and a receiver that often fails: every end
that is on disk is told, as it is on disk, and nothing else is."""

from __future__ import annotations

import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.crash.audit import newest
from tests.crash.filling import a_little, drain, fill, fill_until_it_is_met
from tests.crash.harvest import GONE_WITHIN
from tests.crash.reign import Reign
from tests.crash.smalldisk import MIB, small_disk
from tests.crash.trial import FULL, SEED, SETTINGS
from tests.driver import adopting_orphans, eventually
from tests.lacks import need
from tests.receiver import Receiver, receiver

KILLS, FILLS = (60, 20) if FULL else (8, 4)
TOLD_WITHIN = 90.0
TOLD = ("completed", "failed", "canceled", "unknown")

pytestmark = [need("cell"), pytest.mark.timeout(900 if FULL else 300)]


@contextmanager
def reigned(folder: Path, home: Path, got: Receiver) -> Iterator[tuple[Reign, list[str]]]:
    """Jobs that end at once, that fail, that are still at work when the supervisor is killed."""
    with adopting_orphans():
        reign = Reign(home, SETTINGS, log_to=folder / "supervisor.log")
        try:
            reign.start()
            ids = []
            for command, every in (("cat", "*"), ("false", "*/2"), ("sleep 1.5", "*/2")):
                draft = {"prompt": "x", "command": command, "cron_expr": f"{every} * * * * *", "retries": 0}
                told = {"on_complete": f"{got.url}good", "on_fail": f"{got.url}bad"}
                ids.append(reign.client.add_job({**draft, **told}).id)
            yield reign, ids
        finally:
            reign.end()


def moods(draw: random.Random) -> list[int]:
    """What a receiver answers: often nothing good, and in the end 200."""
    return [draw.choice((200, 200, 200, 500, 503, 0)) for _ in range(400)] + [200]


def settle(reign: Reign, ids: list[str], got: Receiver) -> None:
    """No run more, and all that is owed is told."""
    got.answers[:] = [200]
    for job_id in ids:
        reign.client.pause_job(job_id, cancel=True)

    def all_told() -> bool:
        reign.client.outbox.retry("all")  # a back-off is not waited out here
        time.sleep(0.5)
        over = all(run["status"] in (*TOLD, "skipped") for job_id in ids for run in history(reign, job_id))
        return over and reign.client.outbox.list() == []

    eventually(all_told, TOLD_WITHIN)


def history(reign: Reign, job_id: str) -> list[dict[str, str]]:
    return newest(reign.root / "runs" / f"{job_id}.jsonl")


def audit(reign: Reign, ids: list[str], got: Receiver) -> dict[str, int]:
    """What was told against what is stored; how often each status was."""
    heard: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
    for path, headers, body in got.requests:
        said = json.loads(body)
        assert headers["webhook-id"] == f"msg_{said['id']}_webhook"
        heard[said["id"]].add((path, headers["x-cronevent"], said["status"]))
    stored = {run["id"]: run["status"] for job_id in ids for run in history(reign, job_id)}
    count: dict[str, int] = defaultdict(int)
    for run_id, status in stored.items():
        way = "/good" if status == "completed" else "/bad"
        expected = {(way, status, status)} if status in TOLD else set()
        assert heard.pop(run_id, set()) == expected, f"{run_id} is {status}"
        count[status] += 1
    assert heard == {}, "told of what is not stored"
    return count


def test_whoever_is_killed_whenever_every_end_that_is_on_disk_is_told(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    with receiver(*moods(draw)) as got, reigned(tmp_path, tmp_path / "home", got) as (reign, ids):
        eventually(lambda: any(run["job_id"] == ids[2] for run in reign.client.live()), 60)  # one at least is torn off
        reign.kill()
        eventually(reign.nothing_lives, GONE_WITHIN)
        reign.start()
        for _ in range(KILLS):
            time.sleep(draw.uniform(0.2, 3))
            reign.kill()
            eventually(reign.nothing_lives, GONE_WITHIN)
            if draw.random() < 0.3:  # killed while it takes up what was left
                reign.spawn()
                time.sleep(draw.uniform(0, 1.5))
                reign.kill()
                eventually(reign.nothing_lives, GONE_WITHIN)
            reign.start()
        settle(reign, ids, got)
        count = audit(reign, ids, got)
    assert count["completed"] > 3, count
    assert count["failed"] > 1, count
    assert count["unknown"] > 0, count
    assert "Traceback" not in reign.log()


def test_on_a_disk_that_is_full_for_a_while_every_end_is_told(tmp_path: Path) -> None:
    draw = random.Random(SEED)
    with (
        small_disk(tmp_path, 24 * MIB) as disk,
        receiver(*moods(draw)) as got,
        reigned(tmp_path, disk.root / "home", got) as (reign, ids),
    ):
        fill_until_it_is_met(disk, reign)
        drain(disk, reign)
        for _ in range(FILLS):
            time.sleep(draw.uniform(0.5, 2))
            fill(disk, reign, a_little(disk, draw))
            time.sleep(draw.uniform(1, 3))
            if draw.random() < 0.5:
                reign.kill()
                eventually(reign.nothing_lives, GONE_WITHIN)
            drain(disk, reign)
            reign.revive()
        settle(reign, ids, got)
        count = audit(reign, ids, got)
    assert count["completed"] > 1, count
    assert "Traceback" not in reign.log()
