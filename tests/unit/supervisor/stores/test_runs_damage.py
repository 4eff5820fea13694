"""Damaged histories: what is good of them goes on, what is not is kept aside, and nothing is taken for nothing."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.stores.home import Home
from supervisor.stores.runs import RunsStore
from supervisor.stores.store import DamagedError, NewerError
from supervisor.stores.summary import Summary
from tests.ramdisk import FAST
from tests.records import JOB, file_of, ids, run_of


@pytest.fixture
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(dir=FAST) as root:
        yield Home(Path(root) / "h")


@pytest.fixture
def store(home: Home) -> RunsStore:
    return RunsStore(home)


@pytest.mark.parametrize("torn", [b"{", b'{"id": "run-', b"\0" * 5000, json.dumps(run_of(9).record()).encode()])
def test_a_torn_last_line_is_dropped(store: RunsStore, home: Home, torn: bytes) -> None:
    store.record(run_of(1))
    whole = file_of(home).read_bytes()
    file_of(home).write_bytes(whole + torn)
    for reader in (store, RunsStore(home)):
        assert ids(reader.get_runs(JOB)) == ["run-0001"]
        assert reader.damaged == []
    store.record(run_of(2))
    assert file_of(home).read_bytes().startswith(whole + b'{"id":"run-0002"')
    assert ids(RunsStore(home).get_runs(JOB)) == ["run-0002", "run-0001"]


BAD_LINES = [b"", b"garbage", b"{}", b"[]", b'{"id": "x"}', b"\xff\xfe", b"\0" * 100, b'{"anchor": "x"}', b'{"anchor"}']


@pytest.mark.parametrize("bad", [*BAD_LINES, json.dumps(run_of(7, job_id="other").record()).encode()])
def test_a_damaged_line_is_kept_aside_and_the_good_ones_stay(home: Home, bad: bytes) -> None:
    store = RunsStore(home)
    for number in (1, 2):
        store.record(run_of(number))
    head, first, second = file_of(home).read_bytes().splitlines()
    damaged = b"\n".join([head, first, bad, second]) + b"\n"
    file_of(home).write_bytes(damaged)
    reader = RunsStore(home)
    assert ids(reader.get_runs(JOB)) == ["run-0002", "run-0001"]
    assert "damaged line: line 3" in reader.damaged[0].problem
    assert file_of(home).read_bytes() == damaged
    store.record(run_of(3))
    assert (home.damaged / f"{JOB}.jsonl.1").read_bytes() == damaged
    assert store.damaged[0].moved_to == home.damaged / f"{JOB}.jsonl.1"
    fresh = RunsStore(home)
    assert ids(fresh.get_runs(JOB)) == ["run-0003", "run-0002", "run-0001"]
    assert (fresh.summary(JOB).run_count, fresh.damaged) == (3, [])


@pytest.mark.parametrize("head", [b"", b"{}", b"garbage", b'{"version":1,"folded":0,"summary":{"run_count":"many"}}'])
def test_a_damaged_first_line_costs_the_counts_of_what_was_dropped_and_no_run(home: Home, head: bytes) -> None:
    store = RunsStore(home)
    store.record(run_of(1))
    store.record(run_of(2))
    lines = file_of(home).read_bytes().split(b"\n")
    file_of(home).write_bytes(b"\n".join([head, *lines[1:]]))
    assert len(store.quarantine()) == 1
    assert ids(store.get_runs(JOB)) == ["run-0002", "run-0001"]
    assert store.summary(JOB).run_count == 2
    assert store.quarantine() == []


def test_a_file_that_lost_its_first_line_keeps_its_first_run(home: Home) -> None:
    store = RunsStore(home)
    store.record(run_of(1))
    file_of(home).write_bytes(file_of(home).read_bytes().split(b"\n", 1)[1])
    assert ids(store.get_runs(JOB)) == ["run-0001"]
    assert len(store.quarantine()) == 1
    assert ids(RunsStore(home).get_runs(JOB)) == ["run-0001"]


def make_huge(path: Path) -> None:
    path.write_bytes(b"")
    os.truncate(path, 1 << 40)


HOPELESS: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "no line": lambda path: path.write_bytes(b"x" * 1000),
    "a fifo": os.mkfifo,
    "a directory": lambda path: path.mkdir(),
    "a link": lambda path: path.symlink_to("/etc/passwd"),
    "huge": make_huge,
}


@pytest.mark.parametrize("kind", HOPELESS)
def test_a_file_of_which_nothing_can_be_read_is_not_no_runs(home: Home, kind: str) -> None:
    store = RunsStore(home)
    store.record(run_of(1, job_id="good"))
    HOPELESS[kind](file_of(home))
    for ask in (store.get_runs, store.summary):
        with pytest.raises(DamagedError):
            ask(JOB)
    assert ids(store.all_runs()) == ["run-0001"]
    assert store.damaged[0].path == file_of(home)
    store.record(run_of(2))
    assert ids(store.get_runs(JOB)) == ["run-0002"]
    assert os.path.lexists(home.damaged / f"{JOB}.jsonl.1")
    assert store.damaged[0].moved_to == home.damaged / f"{JOB}.jsonl.1"


def test_a_newer_version_is_refused_and_left_alone(store: RunsStore, home: Home) -> None:
    store.record(run_of(1))
    newer = b'{"version":2}\nsomething else\n'
    file_of(home).write_bytes(newer)
    attempts: list[Callable[[], object]] = [
        *(store.all_runs, store.unfinished, store.quarantine, lambda: store.get_runs(JOB)),
        lambda: store.record(run_of(2)),
    ]
    for attempt in attempts:
        with pytest.raises(NewerError):
            attempt()
    assert file_of(home).read_bytes() == newer
    assert not list(home.damaged.iterdir())


def test_a_line_beyond_all_bounds_is_one_damaged_line(home: Home) -> None:
    store = RunsStore(home)
    store.record(run_of(1))
    with file_of(home).open("ab") as file:
        file.write(b"x" * (9 << 20) + b"\n")
    store.record(run_of(2))
    assert ids(RunsStore(home).get_runs(JOB)) == ["run-0002", "run-0001"]
    assert file_of(home).stat().st_size < 10_000


def test_what_killed_writers_left_is_swept(store: RunsStore, home: Home) -> None:
    store.record(run_of(1))
    (home.runs / f".{JOB}.jsonl.x.tmp").write_bytes(b"x")
    assert ids(store.all_runs()) == ["run-0001"]
    assert store.quarantine() == []
    assert [path.name for path in home.runs.iterdir()] == [f"{JOB}.jsonl"]


def test_reading_a_home_that_is_not_there_makes_none(store: RunsStore, home: Home) -> None:
    assert (store.get_runs(JOB), store.all_runs(), store.unfinished(), store.summary(JOB)) == ([], [], [], Summary())
    assert not home.root.exists()
