"""Definitions that somebody changes by hand while a supervisor holds the home: seen as soon as they are read."""

from __future__ import annotations

import json
import os
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.config import Config
from supervisor.errors import NotFoundError, RefusedError, StoreError
from supervisor.stores import jobfile
from supervisor.stores.disk import Disk
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.lock import HomeLock
from supervisor.stores.store import DamagedError, NewerError
from tests.fakes import make_job
from tests.ramdisk import FAST
from tests.timeline import EACH_MINUTE, Timeline, play, timeline

MOST_BYTES = 2048
"""What a job may take in memory while it is idle."""


@pytest.fixture
def held() -> Iterator[CronStore]:
    with tempfile.TemporaryDirectory(dir=FAST) as root:
        home = Home(Path(root) / "h")
        with HomeLock(home):
            yield CronStore(home)


@pytest.fixture
def line() -> Iterator[Timeline]:
    with timeline() as made:
        yield made
        made.check_rules()


class FullDisk(Disk):
    def replace(self, path: Path, data: bytes) -> None:
        raise StoreError("The disk is full.")


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def file_of(line: Timeline, name: str) -> Path:
    return line.runs.home.jobs / f"{line.job_ids[name]}.json"


def test_a_change_by_hand_is_seen_at_the_next_look(held: CronStore, caplog: pytest.LogCaptureFixture) -> None:
    held.add(make_job(id="a", name="one"))
    held.add(make_job(id="b", name="two"))
    assert held.get("a") == make_job(id="a", name="one")
    rewrite(held.home.jobs / "a.json", name="three", prompt="Say more.")
    changed = make_job(id="a", name="three", prompt="Say more.")
    assert held.get("a") == changed
    assert held.find("three") == changed
    assert held.changed_by_hand == {"a"}
    assert "Somebody changed" in caplog.text
    with pytest.raises(NotFoundError):
        held.find("one")
    held.add(make_job(id="c", name="one"))
    with pytest.raises(RefusedError, match="'three' already"):
        held.add(make_job(id="d", name="three"))


def test_of_two_jobs_of_one_name_each_can_be_changed_and_neither_takes_a_third_ones(held: CronStore) -> None:
    for job_id in ("a", "b"):
        held.home.jobs.joinpath(f"{job_id}.json").write_bytes(jobfile.encoded(make_job(id=job_id, name="one"))[0])
    held.add(make_job(id="c", name="two"))
    for job_id in ("a", "b"):
        assert held.update(make_job(id=job_id, name="one", prompt="Say more.")).prompt == "Say more."
        with pytest.raises(RefusedError, match="'two' already"):
            held.update(make_job(id=job_id, name="two"))
    with pytest.raises(RefusedError, match="'one' already"):
        held.update(make_job(id="c", name="one"))


def test_a_change_that_keeps_the_size_and_puts_the_time_back_is_seen_too(held: CronStore) -> None:
    held.add(make_job(id="a", prompt="Say one."))
    path = held.home.jobs / "a.json"
    before, old = path.stat(), held.get("a")
    path.write_text(path.read_text().replace("Say one.", "Say two."))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert (old, held.get("a")) == (make_job(id="a", prompt="Say one."), make_job(id="a", prompt="Say two."))


def test_a_file_that_is_removed_by_hand_takes_its_job_along(held: CronStore) -> None:
    held.add(make_job(id="aaaa", name="one"))
    held.add(make_job(id="b"))
    (held.home.jobs / "aaaa.json").unlink()
    assert [job.id for job in held.list()] == ["b"]
    assert (held.get("aaaa"), held.has("aaaa"), held.timing("aaaa")) == (None, False, None)
    for reference in ("aaaa", "one"):
        with pytest.raises(NotFoundError):
            held.find(reference)
    assert held.add(make_job(id="c", name="one")).id == "c"


def test_a_file_that_is_damaged_by_hand_is_told_of_and_kept_until_it_is_mended(held: CronStore) -> None:
    held.add(make_job(id="a"))
    path = held.home.jobs / "a.json"
    good = path.read_bytes()
    path.write_bytes(good[:50])
    for _ in range(2):
        with pytest.raises(DamagedError, match=r"a\.json"):
            held.get("a")
    assert (held.list(), [damage.path for damage in held.damaged], held.has("a")) == ([], [path], True)
    with pytest.raises(DamagedError, match="kept as it is"):
        held.add(make_job(id="a"))
    assert path.read_bytes() == good[:50]
    path.write_bytes(good)
    assert held.get("a") == make_job(id="a")
    assert (held.list(), held.damaged) == ([make_job(id="a")], [])


@pytest.mark.parametrize("field", ["prompt", "name", "work_dir", "more"])
def test_a_file_with_half_a_surrogate_pair_or_too_deeply_nested_is_damaged(held: CronStore, field: str) -> None:
    held.add(make_job(id="a"))
    path = held.home.jobs / "a.json"
    rewrite(path, **{field: "/half \ud800"})
    with pytest.raises(DamagedError, match="surrogate"):
        held.get("a")
    path.write_text(path.read_text().replace('"/half \\ud800"', "[" * 400 + "]" * 400))
    with pytest.raises(DamagedError, match="is damaged"):
        held.get("a")


def test_an_idle_job_takes_little_memory_however_long_its_prompt(held: CronStore) -> None:
    jobs = [make_job(id=f"job-{number:032}", name=f"job {number}", prompt="x" * 20_000) for number in range(200)]
    for job in jobs:
        held.home.jobs.joinpath(f"{job.id}.json").write_bytes(jobfile.encoded(job)[0])
    held.known()
    tracemalloc.start()
    try:
        store = CronStore(held.home)
        store.known()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken / len(jobs) < MOST_BYTES
    assert store.get(jobs[7].id) == jobs[7]


def test_both_ways_of_reading_a_file_give_the_same(held: CronStore) -> None:
    whole = make_job(name="a", max_cost=1.5, secrets=("KEY",), start="2030-01-01T00:00:00+02:00", notify_on=("failed",))
    data, stored = jobfile.encoded(whole)
    path = held.home.jobs / f"{whole.id}.json"
    ways = {"as written": data, "compact": json.dumps(json.loads(data)).encode(), "behind a blank": b" " + data}
    for way, content in ways.items():
        path.write_bytes(content)
        found = jobfile.load(path)
        assert found is not None, way
        assert found.job == whole == stored.job, way
    path.write_bytes(data.replace(b'"version": 1', b'"version": 2', 1))
    with pytest.raises(NewerError, match="version 2"):
        jobfile.load(path)


def test_a_schedule_that_is_changed_by_hand_counts_when_its_job_is_next_due(line: Timeline) -> None:
    play(line, (0, "add", "a", {"cron_expr": "5 * * * *"}), (0, "add", "b", EACH_MINUTE))
    rewrite(file_of(line, "a"), cron_expr="7 * * * *")
    play(line, (6 * 60, "nothing"))
    assert line.ends("a") == []
    play(line, (7 * 60 + 1, "nothing"))
    assert line.ends("a") == ["running"]


def test_a_job_whose_file_was_removed_by_hand_starts_no_more(line: Timeline) -> None:
    play(line, (0, "add", "a", EACH_MINUTE), (0, "add", "b", EACH_MINUTE))
    file_of(line, "a").unlink()
    play(line, (61, "nothing"))
    assert (line.ends("a"), line.ends("b")) == ([], ["running"])


def test_what_a_damaged_job_owes_waits_until_its_file_is_mended(line: Timeline) -> None:
    play(line, (0, "add", "a", EACH_MINUTE))
    good = file_of(line, "a").read_bytes()
    file_of(line, "a").write_bytes(b"{")
    play(line, (70, "nothing"))
    assert line.ends("a") == []
    file_of(line, "a").write_bytes(good)
    play(line, (80, "nothing"))
    assert line.ends("a") == ["running"]


def test_what_was_seen_of_a_file_and_cannot_be_read_again_is_followed_once_it_is_mended(
    line: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(line, (0, "add", "a", {"cron_expr": "5 * * * *"}), (0, "add", "b", {"cron_expr": "5 * * * *"}))
    rewrite(file_of(line, "a"), cron_expr="1 * * * *")
    changed = file_of(line, "a").read_bytes()
    assert line.core.jobs.get(line.job_ids["a"]) is not None
    file_of(line, "a").write_bytes(b"{")
    with monkeypatch.context() as disk:
        disk.setattr(line.core.jobs, "_disk", FullDisk())
        with pytest.raises(StoreError, match="full"):
            line.pause("b")
    play(line, (30, "nothing"))
    assert line.core.jobs.changed_by_hand == {line.job_ids["a"]}
    file_of(line, "a").write_bytes(changed)
    play(line, (61, "nothing"))
    assert (line.ends("a"), line.core.jobs.changed_by_hand) == (["running"], set())


def test_what_waits_of_a_job_that_is_paused_by_hand_is_canceled() -> None:
    with timeline(Config(max_concurrent=1)) as narrow:
        play(narrow, (0, "add", "a", {"cron_expr": "1 * * * *"}), (0, "add", "b", EACH_MINUTE), (65, "nothing"))
        assert narrow.ends("b") == ["queued"]
        rewrite(file_of(narrow, "b"), enabled=False)
        play(narrow, (125, "nothing"), (126, "end"), (190, "nothing"))
        assert narrow.ends("b") == ["canceled job_disabled"]
        narrow.check_rules()


@pytest.mark.parametrize("then", ["mended", "removed"])
def test_what_waits_of_a_job_whose_file_is_damaged_by_hand_waits_until_it_is_mended_or_gone(then: str) -> None:
    with timeline(Config(max_concurrent=1)) as narrow:
        play(narrow, (0, "add", "a", {"cron_expr": "1 * * * *"}), (0, "add", "b", EACH_MINUTE), (65, "nothing"))
        path = file_of(narrow, "b")
        rewrite(path, prompt="Say more.")
        changed = path.read_bytes()
        assert narrow.core.jobs.get(narrow.job_ids["b"]) is not None
        path.write_bytes(b"{")
        with pytest.raises(DamagedError):
            narrow.core.jobs.get(narrow.job_ids["b"])
        play(narrow, (75, "nothing"))
        assert (narrow.ends("b"), narrow.core.jobs.changed_by_hand) == (["queued"], {narrow.job_ids["b"]})
        if then == "mended":
            path.write_bytes(changed)
        else:
            path.unlink()
        play(narrow, (80, "nothing"), (81, "end"))
        assert narrow.ends("b") == ["running" if then == "mended" else "canceled job_removed"]
        assert narrow.core.jobs.changed_by_hand == set()
        narrow.check_rules()


def complaints(caplog: pytest.LogCaptureFixture, words: str) -> int:
    return sum("is tried again" in record.message and words in record.message for record in caplog.records)


def test_of_a_damaged_job_that_is_due_the_same_is_said_seldom_and_something_else_at_once(
    line: Timeline, caplog: pytest.LogCaptureFixture
) -> None:
    play(line, (0, "add", "a", EACH_MINUTE), (0, "add", "b", {"cron_expr": "2 * * * *"}))
    good = file_of(line, "a").read_bytes()
    file_of(line, "a").write_bytes(b"{")
    play(line, (100, "nothing"))
    assert complaints(caplog, "job 00000001-job") == 1
    line.full = lambda _run: True  # what is said of one job keeps nobody from hearing of another
    play(line, (130, "nothing"))
    assert complaints(caplog, "job 00000002-job") == 1
    file_of(line, "a").write_bytes(b"[]")
    play(line, (140, "nothing"))
    assert complaints(caplog, "job 00000001-job") == 2
    play(line, (3600, "nothing"))
    assert complaints(caplog, "job 00000001-job") == 2 + 5
    line.full = lambda _run: False
    file_of(line, "a").write_bytes(good)
    play(line, (3604, "nothing"))
    assert line.ends("a")[-1] == "running"


def test_of_a_damaged_job_that_was_changed_by_hand_the_same_is_said_seldom(
    line: Timeline, caplog: pytest.LogCaptureFixture
) -> None:
    play(line, (0, "add", "a", {"cron_expr": "0 0 1 1 *"}))
    rewrite(file_of(line, "a"), prompt="Say more.")
    assert line.core.jobs.get(line.job_ids["a"]) is not None
    file_of(line, "a").write_bytes(b"{")
    with pytest.raises(DamagedError):
        line.core.jobs.get(line.job_ids["a"])
    line.turn()
    play(line, (500, "nothing"))
    assert complaints(caplog, "job 00000001-job") == 1
