"""The store of definitions: what was added is there, for everyone, and what is damaged is neither lost nor trusted."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import CronwardError, InvalidError, NotFoundError, RefusedError
from supervisor.models import CronJob
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore, new_id
from supervisor.stores.lock import HomeLock
from supervisor.stores.store import DamagedError, NewerError
from supervisor.vocabulary import DEFINITION_BYTES
from tests.fakes import NOON, make_job
from tests.ramdisk import FAST


@pytest.fixture
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(dir=FAST) as root:
        yield Home(Path(root) / "h")


@pytest.fixture
def store(home: Home) -> CronStore:
    return CronStore(home)


@pytest.fixture(params=["read from disk", "held in memory"])
def holding(request: pytest.FixtureRequest, home: Home) -> Iterator[bool]:
    """Everything must look the same to who holds the lock and to who does not."""
    with ExitStack() as stack:
        if request.param == "held in memory":
            stack.enter_context(HomeLock(home))
        yield request.param == "held in memory"


def files(home: Home) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in home.jobs.iterdir() if path.is_file()}


def test_what_is_added_is_there_for_every_store(holding: bool, store: CronStore, home: Home) -> None:
    job = make_job(name="morning")
    assert store.add(job) == job
    for reader in (store, CronStore(home)):
        assert reader.get(job.id) == job
        assert reader.list() == [job]
        assert reader.find("morning") == job
    assert store.get("11111111-0000-4000-8000-000000000002") is None


def test_an_id_that_is_given_is_kept_and_a_new_one_is_a_uuid(store: CronStore) -> None:
    assert store.add(make_job(id="my.job_1")).id == "my.job_1"
    assert UUID(new_id()).version == 4
    assert len({new_id() for _ in range(100)}) == 100


def test_the_same_id_twice_is_refused_and_changes_nothing(holding: bool, store: CronStore, home: Home) -> None:
    store.add(make_job(prompt="first"))
    before = files(home)
    with pytest.raises(RefusedError, match="already"):
        store.add(make_job(prompt="second"))
    assert files(home) == before


def test_a_name_belongs_to_one_job(holding: bool, store: CronStore, home: Home) -> None:
    store.add(make_job(id="a", name="morning"))
    store.add(make_job(id="b"))
    store.add(make_job(id="c"))
    before = files(home)
    with pytest.raises(RefusedError, match="'morning' already"):
        store.add(make_job(id="d", name="morning"))
    with pytest.raises(RefusedError, match="'morning' already"):
        store.update(make_job(id="b", name="morning"))
    assert files(home) == before
    store.update(make_job(id="a", name="evening"))
    store.update(make_job(id="b", name="morning"))
    assert (store.find("evening").id, store.find("morning").id) == ("a", "b")


def test_an_update_replaces_the_definition(holding: bool, store: CronStore, home: Home) -> None:
    store.add(make_job(prompt="first"))
    changed = make_job(prompt="second", enabled=False)
    store.update(changed)
    assert CronStore(home).list() == [changed]


def test_what_is_gone_can_be_neither_updated_nor_deleted(holding: bool, store: CronStore, home: Home) -> None:
    job = store.add(make_job())
    assert store.delete(job.id) == job
    with pytest.raises(NotFoundError):
        store.delete(job.id)
    with pytest.raises(NotFoundError):
        store.update(job)
    assert (store.list(), files(home)) == ([], {})
    assert store.add(job) == job


def test_the_oldest_comes_first(holding: bool, store: CronStore) -> None:
    for number, name in enumerate(["c", "a", "b"]):
        store.add(make_job(id=name, created_at=NOON - timedelta(days=number)))
    store.add(make_job(id="d", created_at=NOON - timedelta(days=2)))
    assert [job.id for job in store.list()] == ["b", "d", "a", "c"]


def test_a_job_is_found_by_id_then_by_name_then_by_the_beginning_of_its_id(holding: bool, store: CronStore) -> None:
    store.add(make_job(id="abcd1", name="abce"))
    store.add(make_job(id="abce", name="other"))
    store.add(make_job(id="abcd22", name="abcd1x"))
    assert store.find("abce").id == "abce"
    assert store.find("abcd1").id == "abcd1"
    assert store.find("abcd1x").id == "abcd22"
    assert store.find("abcd2").id == "abcd22"


@pytest.mark.parametrize("reference", ["", "abc", "abcde", "zzzz", "../..", "x" * 10_000, "\x1b[31m", "\0"])
def test_what_is_meant_by_nothing_is_not_found(holding: bool, store: CronStore, reference: str) -> None:
    store.add(make_job(id="abcd1"))
    with pytest.raises(NotFoundError) as error:
        store.find(reference)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300
    assert store.get(reference) is None


def test_several_candidates_are_named(holding: bool, store: CronStore) -> None:
    for number in range(7):
        store.add(make_job(id=f"abcd{number}"))
    with pytest.raises(InvalidError, match="abcd0, abcd1, abcd2, abcd3, abcd4 and 2 more"):
        store.find("abcd")


def test_another_processs_change_is_seen_at_the_next_question(store: CronStore, home: Home) -> None:
    store.add(make_job(id="a", name="one"))
    other = {**json.loads((home.jobs / "a.json").read_text()), "id": "b", "name": "two"}
    (home.jobs / "b.json").write_text(json.dumps(other))
    assert store.get("b") is not None
    assert [job.id for job in store.list()] == ["a", "b"]
    assert store.find("two").id == "b"
    with pytest.raises(RefusedError):
        store.add(make_job(id="c", name="two"))
    (home.jobs / "a.json").unlink()
    with pytest.raises(NotFoundError):
        store.delete("a")


def test_the_file_is_made_for_eyes_and_terminals(store: CronStore, home: Home) -> None:
    store.add(make_job(id="a", prompt="é\x1b[31m\u202e😀", run_count=9))
    data = (home.jobs / "a.json").read_bytes()
    assert data.isascii()
    assert b"\x1b" not in data
    assert data.endswith(b"}\n")
    found = json.loads(data)
    assert (found["version"], found["prompt"]) == (1, "é\x1b[31m\u202e😀")
    assert "run_count" not in found


@pytest.mark.parametrize("fields", [{"prompt": "half \ud800 a pair"}, {"output_schema": "x" * DEFINITION_BYTES}])
def test_what_could_not_be_read_back_is_not_stored(store: CronStore, home: Home, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidError, match="cannot be stored"):
        store.add(make_job(**fields))
    assert files(home) == {}


def test_the_largest_prompt_and_schema_fit(store: CronStore) -> None:
    job = make_job(prompt="\x01" * (1 << 18), output_schema="\x01" * (1 << 18))
    store.add(job)
    assert store.get(job.id) == job


# --- damage -----------------------------------------------------------------------------------------------------------


def write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


def good(**changes: Any) -> bytes:
    return json.dumps({"version": 1, **make_job(id="bad").definition(), **changes}).encode()


def make_huge(path: Path) -> None:
    path.write_bytes(b"")
    os.truncate(path, DEFINITION_BYTES + 1)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "empty": write(b""),
    "cut": write(good()[:100]),
    "no object": write(b"[]"),
    "no version": write(b"{}"),
    "wrong type": write(good(retries="many")),
    "unknown key": write(good(colour="red")),
    "another's": write(good(id="other")),
    "huge": make_huge,
    "binary": write(os.urandom(1000)),
    "a fifo": os.mkfifo,
    "a directory": lambda path: path.mkdir(),
    "a link": lambda path: path.symlink_to("/etc/passwd"),
}


@pytest.fixture(params=DAMAGES)
def damaged_home(request: pytest.FixtureRequest, home: Home) -> Home:
    CronStore(home).add(make_job(id="good"))
    DAMAGES[request.param](home.jobs / "bad.json")
    return home


def lie(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_ino, found.st_size


def test_a_damaged_file_is_reported_and_neither_taken_for_empty_nor_changed(damaged_home: Home) -> None:
    before = lie(damaged_home.jobs / "bad.json")
    store = CronStore(damaged_home)
    assert [job.id for job in store.list()] == ["good"]
    [damage] = store.damaged
    assert (damage.path.name, damage.moved_to) == ("bad.json", None)
    assert str(damage.path) in damage.problem
    with pytest.raises(DamagedError):
        store.get("bad")
    with HomeLock(damaged_home):
        store.list()
        with pytest.raises(DamagedError):
            store.get("bad")
        with pytest.raises(DamagedError, match="kept as it is"):
            store.add(make_job(id="bad"))
        store.add(make_job(id="another"))
    assert lie(damaged_home.jobs / "bad.json") == before


def test_a_writer_sets_it_aside_and_says_where(damaged_home: Home) -> None:
    before = lie(damaged_home.jobs / "bad.json")
    store = CronStore(damaged_home)
    [moved] = store.quarantine()
    assert moved.moved_to == damaged_home.damaged / "bad.json.1"
    assert lie(moved.moved_to) == before
    assert store.quarantine() == []
    assert (store.get("bad"), store.damaged) == (None, [moved])
    store.add(make_job(id="bad"))
    assert lie(moved.moved_to) == before
    assert {job.id for job in CronStore(damaged_home).list()} == {"good", "bad"}
    assert CronStore(damaged_home).damaged == []


def test_a_newer_version_is_refused_by_the_whole_store_and_left_alone(store: CronStore, home: Home) -> None:
    store.add(make_job(id="old"))
    (home.jobs / "new.json").write_bytes(good(version=2, id="new", colour="red"))
    (home.jobs / "bad.json").write_bytes(b"")
    before = files(home)
    attempts: list[Callable[[], object]] = [
        store.list,
        store.quarantine,
        lambda: store.get("new"),
        lambda: store.find("old"),
        lambda: store.add(make_job(id="more")),
        lambda: store.delete("old"),
    ]
    for attempt in attempts:
        with pytest.raises(NewerError, match="version 2"):
            attempt()
    assert files(home) == before


def test_what_killed_writers_left_is_no_job_and_is_swept_by_who_holds_the_lock(store: CronStore, home: Home) -> None:
    store.add(make_job(id="a"))
    (home.jobs / ".b.json.xyz.tmp").write_bytes(good())
    (home.jobs / "notes.txt").write_text("mine")
    assert [job.id for job in store.list()] == ["a"]
    assert store.damaged == []
    store.quarantine()
    assert sorted(files(home)) == ["a.json", "notes.txt"]


def test_reading_a_home_that_is_not_there_makes_none(store: CronStore, home: Home) -> None:
    assert store.list() == []
    assert store.get("a") is None
    with pytest.raises(NotFoundError):
        store.find("abcd")
    assert not home.root.exists()


# --- against a model --------------------------------------------------------------------------------------------------


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["add", "update", "delete", "hold", "release"]),
        st.sampled_from(["aaaa1", "aaaa2", "bbbb1"]),
        st.sampled_from(["", "one", "two"]),
        st.integers(0, 1),
    ),
    max_size=25,
)


def applied(model: dict[str, CronJob], what: str, job: CronJob) -> bool:
    """What a dict makes of it; False where it refuses."""
    taken = any(other.name == job.name and other.id != job.id for other in model.values() if job.name)
    if (what == "add") == (job.id in model) or (taken and what != "delete"):
        return False
    model.pop(job.id, None)
    if what != "delete":
        model[job.id] = job
    return True


@given(OPERATIONS)
def test_two_stores_are_always_one_dict(operations: list[tuple[str, str, str, int]]) -> None:
    model: dict[str, CronJob] = {}
    with tempfile.TemporaryDirectory(dir=FAST) as root, ExitStack() as holds:
        home = Home(Path(root) / "h")
        stores = [CronStore(home), CronStore(home)]
        for number, (what, job_id, name, which) in enumerate(operations):
            job = make_job(id=job_id, name=name, prompt=str(number))
            if what == "hold":
                holds.enter_context(HomeLock(home))
            elif what == "release":
                holds.close()
            else:
                argument = job.id if what == "delete" else job
                with nullcontext() if applied(model, what, job) else pytest.raises(CronwardError):
                    getattr(stores[which], what)(argument)
            for store in [*stores, CronStore(home)]:
                assert store.list() == [model[key] for key in sorted(model)]
                assert [store.get(key) for key in ("aaaa1", "aaaa2")] == [model.get("aaaa1"), model.get("aaaa2")]


def test_a_mistyped_name_is_answered_with_the_one_that_is_like_it(tmp_path: Path) -> None:
    store = CronStore(tmp_path / "home")
    store.add(make_job(id="id-1", name="morning"))
    for wrong, wanted in {
        "mornign": " Did you mean `morning`?",
        "zzz": "There is no job 'zzz'. `cronward list`",
    }.items():
        with pytest.raises(NotFoundError) as missing:
            store.find(wrong)
        assert wanted in str(missing.value), wrong
