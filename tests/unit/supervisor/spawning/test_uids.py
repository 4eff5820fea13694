"""Which job has which throw-away user id: one for life, on disk before its first use, and nobody else's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from shared.messages import RunAs
from supervisor.config import Config
from supervisor.errors import InvalidError, StoreError
from supervisor.spawning.requests import throw_away_uid
from supervisor.spawning.uids import MOST_PLACES, Owner, Uids
from tests.fakes import make_job

CONFIG = Config(uid_base=1_900_000_000, uid_count=3)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "uids.json"


def stored(table: Path) -> dict[str, object]:
    found = json.loads(table.read_text())
    assert found["version"] == 1
    owners: dict[str, object] = found["uids"]
    return owners


def test_a_job_keeps_its_id_for_life_and_no_two_have_the_same(table: Path) -> None:
    jobs = [make_job(id=f"job-{number}", work_dir=f"/srv/{number}") for number in range(3)]
    given = [Uids(table).give(job, CONFIG) for job in jobs]
    assert {ids.uid for ids in given} == {1_900_000_000, 1_900_000_001, 1_900_000_002}
    assert [ids.gid for ids in given] == [ids.uid for ids in given]
    assert [Uids(table).give(job, CONFIG) for job in jobs] == given
    # A range that was changed since does not part a job from its files.
    assert Uids(table).give(jobs[0], Config(uid_base=5000, uid_count=3)) == given[0]
    with pytest.raises(InvalidError, match="All 3 user ids"):
        Uids(table).give(make_job(id="one-too-many"), CONFIG)


def test_every_place_that_a_job_ever_wrote_to_is_remembered(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)  # 64 times
    uids = Uids(table)
    for place in ("/a", "/b", "/a", ""):
        ids = uids.give(make_job(work_dir=place), CONFIG)
    assert stored(table) == {str(ids.uid): {"job": make_job().id, "places": ["/a", "/b"], "retired": False}}
    written = table.stat().st_mtime_ns
    uids.give(make_job(work_dir="/b"), CONFIG)
    assert table.stat().st_mtime_ns == written
    for number in range(MOST_PLACES - 2):
        uids.give(make_job(work_dir=f"/{number}"), CONFIG)
    with pytest.raises(InvalidError, match="add it anew"):
        uids.give(make_job(work_dir="/one-too-many"), CONFIG)


def test_an_id_whose_job_is_gone_is_not_given_out_before_it_is_freed(table: Path) -> None:
    uids = Uids(table)
    ids = uids.give(make_job(work_dir="/a"), CONFIG)
    assert uids.retire(lambda _job: True) == {}
    assert uids.retire(lambda _job: False) == {ids.uid: Owner(make_job().id, ("/a",), retired=True)}
    # Also not to a job that has the same name as the one that is gone, nor after a restart.
    assert Uids(table).give(make_job(work_dir="/a"), CONFIG) != ids
    assert list(Uids(table).retire(lambda _job: True)) == [ids.uid]
    Uids(table).free([ids.uid])
    assert str(ids.uid) not in stored(table)


def test_an_id_that_cannot_be_stored_is_not_given(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    uids = Uids(table)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError):
            uids.give(make_job(work_dir="/a"), CONFIG)
    assert not table.exists()
    uids.give(make_job(work_dir="/a"), CONFIG)
    assert "/a" in table.read_text()


def test_a_damaged_table_is_never_taken_for_empty(table: Path) -> None:
    for text in (
        "",
        "{}",
        '{"version": 1}',
        '{"version": 1, "uids": {"x": {}}}',
        '{"version": 1, "uids": {"0": {"job": "a"}}}',
    ):
        table.write_text(text)
        with pytest.raises(InvalidError, match="is damaged"):
            Uids(table).give(make_job(), CONFIG)
        with pytest.raises(InvalidError, match="is damaged"):
            Uids(table).retire(lambda _job: False)
        assert table.read_text() == text


def test_an_id_that_is_somebodys_on_this_host_is_passed_over() -> None:
    config = Config(uid_base=65533, uid_count=2)  # 65534 is nobody
    assert throw_away_uid("a", config, frozenset()) == RunAs(uid=65533, gid=65533)
    with pytest.raises(InvalidError, match="All 2"):
        throw_away_uid("a", config, frozenset({65533}))
