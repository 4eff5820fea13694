"""What a file of runs says of the last hours, read from its end, is what the whole of it says of them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.findings import Deeds
from shared.reasons import Reason
from supervisor.models import NEVER, CronRun, Trigger
from supervisor.status import Status
from supervisor.stores.history import encoded, first_line
from supervisor.stores.recent import LINES_BEYOND, Recent, read_recent
from supervisor.stores.runs import RunsStore
from supervisor.stores.summary import Summary
from tests.fakes import NOON
from tests.ramdisk import FAST
from tests.records import JOB, MINUTE, ids, run_of

ENDS = [status for status in Status if status.final]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=FAST) as root:
        yield Path(root)


def ended(number: int, status: Status = Status.COMPLETED, **fields: object) -> CronRun:
    return run_of(number, status, **{"finished_at": NOON + number * MINUTE, **fields})


def read(path: Path, runs: list[CronRun], since: int, keep: int = 100, tail: bytes = b"") -> Recent:
    path.write_bytes(first_line(Summary(), 0) + b"".join(encoded(run.record()) for run in runs) + tail)
    live = sum(not status.final for status in {run.id: run.status for run in runs}.values())
    with path.open("rb") as file:
        return read_recent(file, JOB, NOON + since * MINUTE, keep, live)


def test_a_run_that_goes_on_is_found_behind_however_many_that_ended_meanwhile(folder: Path) -> None:
    live = run_of(0, Status.RUNNING)
    store = RunsStore(folder)
    for run in (live, *(ended(number) for number in range(1, 3 * LINES_BEYOND))):
        store.record(run)
    for reader in (store, RunsStore(folder)):  # once what is remembered says so, once the note
        (found,) = reader.recent(NOON + 100 * MINUTE)
        assert list(found.runs) == [live]
    (folder / "sums" / JOB).unlink()
    (found,) = RunsStore(folder).recent(NOON + 100 * MINUTE)
    assert list(found.runs) == [live], "and without it the whole file"


def test_it_is_what_ended_since_then_or_has_not_ended_newest_first(folder: Path) -> None:
    live = run_of(2, Status.RUNNING)
    records = [ended(0), run_of(1, Status.RUNNING), live, ended(1), ended(5, Status.SKIPPED), ended(6, Status.FAILED)]
    found = read(folder / "f", records, since=5)
    assert ids(list(found.runs)) == ["run-0006", "run-0005", "run-0002"]
    assert (found.newest_ended, found.before) == (records[-1], None)
    assert found.whole
    later = read(folder / "f", records, since=7)
    assert ids(list(later.runs)) == ["run-0002"]
    assert later.newest_ended == later.before == records[-1], "the latest that had ended before is told"
    assert later.settled == NOON + 6 * MINUTE


def test_a_record_that_another_followed_does_not_count_nor_one_that_was_never_acknowledged(folder: Path) -> None:
    torn = encoded(ended(9).record())[:-1]
    found = read(folder / "f", [run_of(1, Status.RUNNING), ended(1)], since=0, tail=torn)
    assert [(run.id, run.status) for run in found.runs] == [("run-0001", Status.COMPLETED)]
    for tail in (b"x" * 40_000, b""):
        assert ids(list(read(folder / "f", [ended(1)], since=0, tail=tail).runs)) == ["run-0001"]


def test_reading_ends_soon_after_what_is_old_and_only_a_bounded_part_of_it_is_believed_to_be_in_order(
    folder: Path,
) -> None:
    for beyond in range(LINES_BEYOND + 3):
        records = [ended(100), *(ended(number) for number in range(beyond))]
        wanted = ["run-0100"] if beyond <= LINES_BEYOND else []
        assert ids(list(read(folder / "f", records, since=50).runs)) == wanted, beyond


def test_more_than_is_kept_is_not_all_there_is(folder: Path) -> None:
    skips = [ended(number, Status.SKIPPED, reason=Reason.OVERLAP) for number in range(10, 14)]
    found = read(folder / "f", [*(ended(number) for number in range(5)), *skips], since=0, keep=3)
    assert ids(list(found.runs)) == [f"run-{number:04}" for number in (13, 12, 11, 4, 3, 2)]
    assert not found.whole
    assert read(folder / "f", [ended(1), *skips[:2]], since=0, keep=3).whole


def test_what_cannot_be_read_is_counted_and_hides_nothing(folder: Path) -> None:
    other = encoded(ended(3, job_id="other").record())
    found = read(folder / "f", [ended(1)], since=0, tail=b'{"id":"x"}\n\xff\n\n' + other + encoded(ended(2).record()))
    assert ids(list(found.runs)) == ["run-0002", "run-0001"]
    assert found.damaged == 4


def test_no_text_of_an_agents_looks_like_a_key(folder: Path) -> None:
    lie = '","finished_at":"2000-01-01T00:00:00Z","status":"skipped","trigger":"manual","x":"'
    tools = Deeds(tools={lie: 1, "finished_at": 2}, calls=1)
    liar = ended(9, job_name=lie, error=lie, response=lie, deeds=tools)
    found = read(folder / "f", [ended(1), liar], since=8)
    assert list(found.runs) == [liar]
    assert found.settled == liar.scheduled_at


def test_manual_runs_settle_nothing(folder: Path) -> None:
    records = [ended(1), *(ended(number, trigger=Trigger.MANUAL) for number in range(2, 30))]
    assert read(folder / "f", records, since=99).settled == NOON + MINUTE
    assert read(folder / "f", records[1:], since=99).settled == NEVER


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(ENDS), st.integers(0, 3), st.booleans()), max_size=40),
    st.integers(-1, 45),
)
def test_it_agrees_with_the_whole(steps: list[tuple[Status, int, bool]], since: int) -> None:
    with tempfile.TemporaryDirectory(dir=FAST) as root:
        records: list[CronRun] = []
        for number, (status, size, over) in enumerate(steps):
            big = "x" * (size * 9000)
            records += [run_of(number, Status.RUNNING)] * (status is not Status.SKIPPED)
            records += [ended(number, status, response=big)] if over else []
        found = read(Path(root) / f"{JOB}.jsonl", records, since)
        whole = RunsStore(Path(root), keep=100)
        whole.home.runs.mkdir()
        (Path(root) / f"{JOB}.jsonl").rename(whole.home.runs / f"{JOB}.jsonl")
        at = NOON + since * MINUTE
        wanted = [run for run in whole.get_runs(JOB) if not run.status.final or run.finished_at >= at]
        assert sorted(ids(list(found.runs))) == sorted(ids(wanted))
        assert found.newest_ended == max(
            (run for run in whole.get_runs(JOB) if run.status.final and run.status is not Status.SKIPPED),
            key=lambda run: run.finished_at,
            default=None,
        )


def test_the_newest_of_all_jobs_are_the_same_by_both_ways(folder: Path) -> None:
    store = RunsStore(folder)
    for number in range(40):
        at = NOON - number * timedelta(minutes=11)
        facts = {"scheduled_at": at, "started_at": at, "finished_at": at, "job_id": f"job{number % 3}"}
        store.record(run_of(number, Status.FAILED if number % 4 else Status.COMPLETED, **facts))
    long = {"scheduled_at": NOON - timedelta(days=3), "started_at": NOON - timedelta(days=3), "job_id": "long"}
    for number in range(50, 60):  # these ended just now, and are not new
        store.record(run_of(number, finished_at=NOON, **long))
    # As if each had been written when the newest of its runs ended.
    for path in store.home.runs.iterdir():
        newest = max(run.finished_at for run in store.get_runs(path.stem))
        os.utime(path, (newest.timestamp(), newest.timestamp()))
    for last in (1, 3, 6, 20, 40, 99):
        for status in (None, Status.FAILED):
            assert ids(store.newest(last, NOON, status)) == ids(store.all_runs(last, status)), (last, status)


def test_a_history_that_was_written_before_enough_others_began_is_not_read(folder: Path) -> None:
    store = RunsStore(folder)
    for number in range(6):
        at = NOON - number * timedelta(days=2)
        store.record(run_of(number, job_id=f"job{number}", scheduled_at=at, started_at=at, finished_at=at))
        os.utime(store.home.runs / f"job{number}.jsonl", (at.timestamp(), at.timestamp()))
    # It says that it is older than what is in it, which only one who does not read it believes.
    os.utime(store.home.runs / "job1.jsonl", (0, 0))
    assert ids(store.newest(3, NOON)) == ["run-0000", "run-0002", "run-0003"]
    assert ids(store.newest(6, NOON)) == [f"run-{number:04}" for number in range(6)]


def test_a_history_that_cannot_be_read_is_told_and_hides_no_other(folder: Path) -> None:
    store = RunsStore(folder)
    store.record(ended(1))
    for name, text in (("torn", "{"), ("empty", ""), ("newer", '{"version": 99}\n')):
        (store.home.runs / f"{name}.jsonl").write_text(text)
    (store.home.runs / "header.jsonl").write_bytes(b"?\n" + encoded(ended(2, job_id="header").record()))
    reader = RunsStore(folder)
    assert sorted(run.id for each in reader.recent(NOON) for run in each.runs) == ["run-0001", "run-0002"]
    assert {damage.path.stem for damage in reader.damaged} == {"torn", "empty", "newer", "header"}
