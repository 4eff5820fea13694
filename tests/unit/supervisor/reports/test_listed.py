"""Definitions read for a list, without the models: never anything but what the store would say."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from supervisor.models import CronJob
from supervisor.reports import shapes
from supervisor.reports.listed import Listed, Reader, read_all
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from tests.fakes import NOON, make_job
from tests.ramdisk import FAST

DERIVED = {"last_run", "last_error", "next_run", "run_count"}
SHOWN = tuple(Listed.__dataclass_fields__)
PROGRAM = {"path": "/x", "real": "/y", "size": 1, "mtime_ns": 2, "interpreter": "", "links": {}, "shown": [], "env": {}}
RICH = {
    "name": "n",
    "at": NOON,
    "cron_expr": "",
    "program": PROGRAM,
    "limits": {"memory": 1 << 30, "cpu_seconds": 0},
    "per_day": {"runs": 3, "cost_usd": 1.5},
    "max_cost": 0.5,
    "allow_hosts": ["example.org"],
    "secrets": ["A", "B=C"],
    "notify_on": ["failed"],
    "until": NOON + timedelta(days=9, microseconds=5),
    "max_runs": 7,
    "prompt": "Gr\u00fc\u00dfe \U0001f469\u200d\U0001f680",
    "enabled": False,
    "pause_reason": "By hand.",
}
# What may stand in a file that somebody has edited.
WRONG: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    7,
    25,
    1_100,
    11_000,
    90_000,
    700_000,
    2_000_000,
    40_000_000,
    10**10,
    10**13,
    10**15,
    1.5,
    1e999,
    "",
    "x",
    "7",
    "y" * 20_000,
    "\ud800",
    "2026-11-24T12:00:00",
    "2026-11-24T12:00:00Z",
    "2026-W48-2T12:00:00Z",
    "2026-13-24T12:00:00Z",
    "0000-01-01T00:00:00Z",
    [],
    ["x"],
    ["y" * 600],
    [1],
    {},
    {"x": 1},
    {"memory": 1},
    {"memory": 0},
    {"runs": -1},
    {"cost_usd": 1e999},
    {**PROGRAM, "env": {"A": 1}},
    {**PROGRAM, "shown": [None]},
    {name: value for name, value in PROGRAM.items() if name != "real"},
)


@pytest.fixture
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(dir=FAST) as root:
        yield Home(Path(root) / "h")


def record_of(job: CronJob) -> dict[str, Any]:
    return {"version": 1, **job.definition()}


def read(record: dict[str, Any]) -> Listed | None:
    return Reader().read(json.dumps(record).encode(), str(record.get("id")))


def test_every_field_of_a_definition_has_a_shape() -> None:
    assert shapes.DEFINITION.keys() == CronJob.model_fields.keys() - DERIVED


def test_what_a_list_shows_is_what_the_store_reads() -> None:
    for job in (make_job(), make_job(**RICH)):
        found = read(record_of(job))
        assert found is not None
        assert {name: getattr(found, name) for name in SHOWN} == {name: getattr(job, name) for name in SHOWN}


def test_what_an_older_file_does_not_say_is_as_the_model_has_it() -> None:
    least = {"version": 1, "id": make_job().id, "prompt": "Say hello."}
    job, found = CronJob.model_validate({"id": least["id"], "prompt": least["prompt"]}), read(least)
    assert found is not None
    assert {name: getattr(found, name) for name in SHOWN} == {name: getattr(job, name) for name in SHOWN}


def test_nothing_is_let_through_that_the_model_refuses() -> None:
    record = record_of(make_job())
    through = 0
    for key in shapes.DEFINITION:
        for value in WRONG:
            changed = {**record, key: value}
            if key == "id" or read(changed) is None:
                continue
            through += 1
            try:
                job = CronJob.model_validate({name: each for name, each in changed.items() if name != "version"})
            except ValidationError as error:
                raise AssertionError(f"{key} = {value!r}") from error
            assert key not in SHOWN or getattr(read(changed), key) == getattr(job, key), (key, value)
    assert through > 200  # else nothing was tried


def test_it_is_no_laxer_after_a_file_that_was_right() -> None:
    record = record_of(make_job())
    for key, value in (("retries", -1), ("network", "moon"), ("limits", {"memory": 0}), ("name", 3), ("enabled", "x")):
        reader = Reader()
        assert reader.read(json.dumps(record).encode(), record["id"]) is not None
        assert reader.read(json.dumps(record).encode(), record["id"]) is not None
        assert reader.read(json.dumps({**record, key: value}).encode(), record["id"]) is None, key


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 2},
        {"version": True},
        {"version": None},
        {"id": "another"},
        {"unheard_of": 1},
        {"run_count": 3},
        {"prompt": None},
    ],
    ids=str,
)
def test_what_does_not_look_like_ours_is_left_to_the_store(changed: dict[str, Any]) -> None:
    record = record_of(make_job()) | changed
    assert Reader().read(json.dumps(record).encode(), make_job().id) is None


SPOILT: dict[str, Callable[[Path], object]] = {
    "torn": lambda path: path.write_bytes(path.read_bytes()[:99]),
    "empty": lambda path: path.write_bytes(b""),
    "a directory": lambda path: (path.unlink(), path.mkdir()),
    "a link": lambda path: (path.rename(path.with_name("x")), path.symlink_to("x")),
    "deep": lambda path: path.write_bytes(b"[" * 100_000),
    "no UTF-8": lambda path: path.write_bytes(path.read_bytes().replace(b"hello", b"\xff\xfe")),
}


@pytest.mark.parametrize("how", SPOILT)
def test_one_file_that_is_not_right_leaves_all_to_the_store(home: Home, how: str) -> None:
    store = CronStore(home)
    for number in (2, 1):
        store.add(make_job(id=f"job-{number}", created_at=NOON + timedelta(days=number)))
    found = read_all(home.jobs)
    assert found is not None
    assert [job.id for job in found] == [job.id for job in store.list()] == ["job-1", "job-2"]
    SPOILT[how](home.jobs / "job-2.json")
    assert read_all(home.jobs) is None


def test_where_nothing_was_ever_added_the_store_says_so(home: Home) -> None:
    assert read_all(home.jobs) is None
    assert CronStore(home).list() == []
