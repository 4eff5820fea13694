"""What a throw-away user id left is given back, before any other job has the id: under root."""

from __future__ import annotations

import logging
import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.tree import FOLDER
from supervisor.config import Config
from supervisor.spawning import reclaim as room
from supervisor.spawning.reclaim import Reclaim, give, open_plainly, reclaim
from supervisor.spawning.uids import Uids
from tests.driver import eventually
from tests.fakes import make_job
from tests.lacks import need
from tests.trees import clear, litter

pytestmark = need("root")
UID = 1_900_000_777
OWNER = (4711, 4712)


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    """A directory of somebody's, full of what a run under UID left, and something of that somebody's own."""
    made = tmp_path / "work"
    made.mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    litter(made, outside)
    subprocess.run(["chown", "-hR", f"{UID}:{UID}", str(made)], check=True)
    os.chown(outside / "file", 0, 0)  # by its hard link it lies in there too
    (outside / "file").chmod(0o4755)
    os.chown(made, *OWNER)
    (made / "set-id").chmod(0o6755)  # chown has taken these bits away
    (made / "of another").touch()
    os.chown(made / "of another", 12345, 12345)
    (made / "shared").touch()
    os.chown(made / "shared", 12345, UID)
    yield made
    clear(tmp_path)


def owners(folder: Path) -> set[tuple[int, int]]:
    done = subprocess.run(["find", str(folder), "-printf", "%U:%G\\n"], capture_output=True, text=True, check=True)
    return {(int(uid), int(gid)) for uid, _, gid in (line.partition(":") for line in done.stdout.splitlines())}


def test_everything_of_the_id_becomes_the_owners_of_its_directory(work: Path) -> None:
    assert reclaim(UID, (str(work), "/nonexistent/gone"), lambda: True) == ""
    assert owners(work) == {OWNER, (12345, 12345), (12345, OWNER[1]), (0, 0)}
    assert stat.S_IMODE((work / "set-id").stat().st_mode) == 0o755
    # What links lead to is nobody's business.
    outside = work.parent / "outside"
    assert owners(outside) == {(0, 0)}
    assert stat.S_IMODE((outside / "file").stat().st_mode) == 0o4755
    assert (work / "link to a file").lstat().st_uid == OWNER[0]


def test_a_directory_that_was_given_to_the_id_becomes_roots(tmp_path: Path) -> None:
    os.chown(tmp_path, UID, UID)
    (tmp_path / "file").touch()
    os.chown(tmp_path / "file", UID, UID)
    assert reclaim(UID, (str(tmp_path),), lambda: True) == ""
    assert owners(tmp_path) == {(0, 0)}


def test_a_name_that_became_another_file_meanwhile_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "shadow").touch(mode=0o640)
    os.chown(tmp_path / "shadow", 0, 42)
    for name, how in (("link", os.symlink), ("hard", os.link)):
        how("shadow" if name == "link" else tmp_path / "shadow", tmp_path / name)
    folder = os.open(tmp_path, FOLDER)
    for name in ("link", "hard"):
        give(folder, name, UID, OWNER)
    os.close(folder)
    assert owners(tmp_path) == {(0, 0), (0, 42)}
    assert stat.S_IMODE((tmp_path / "shadow").stat().st_mode) == 0o640


def test_a_path_with_a_link_in_it_is_not_gone_through(tmp_path: Path) -> None:
    (tmp_path / "real" / "work").mkdir(parents=True)
    os.chown(tmp_path / "real" / "work", UID, UID)
    (tmp_path / "link").symlink_to("real")
    with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
        open_plainly(str(tmp_path / "link" / "work"))
    assert reclaim(UID, (str(tmp_path / "link" / "work"),), lambda: True) == ""
    assert (tmp_path / "real" / "work").stat().st_uid == UID


def test_access_lists_that_name_the_id_go(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    # user::rw-, user:UID:rw-, group::r--, mask::rw-, other::---
    entries = [(1, 6, 0xFFFFFFFF), (2, 6, UID), (4, 4, 0xFFFFFFFF), (16, 6, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF)]
    acl = (2).to_bytes(4, "little") + b"".join(
        tag.to_bytes(2, "little") + perm.to_bytes(2, "little") + who.to_bytes(4, "little") for tag, perm, who in entries
    )
    try:
        os.setxattr(tmp_path / "file", "system.posix_acl_access", acl)
    except OSError as error:
        pytest.skip(f"This file system has no access lists: {error.strerror}")
    os.chown(tmp_path / "file", UID, UID)
    assert reclaim(UID, (str(tmp_path),), lambda: True) == ""
    assert "system.posix_acl_access" not in os.listxattr(tmp_path / "file")


def test_what_takes_too_long_keeps_the_id_taken(work: Path) -> None:
    turns = iter([True] * 5 + [False] * 5)
    assert "no time" in reclaim(UID, (str(work),), lambda: next(turns))


def test_an_id_is_free_again_only_when_all_it_left_is_given_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "work"
    place.mkdir(mode=0o777)
    config = Config(uid_base=1_900_000_000, uid_count=1)
    uids = Uids(tmp_path / "uids.json")
    first = uids.give(make_job(id="first", work_dir=str(place)), config)
    (place / "file").touch()
    os.chown(place / "file", first.uid, first.gid)
    monkeypatch.setattr(room, "SECONDS", -1.0)  # no time at all
    failing = Reclaim(uids, logging.getLogger("test"))
    failing.look(lambda _job: False)
    failing.close()
    assert "stays taken" in caplog.text
    with pytest.raises(Exception, match="are in use"):
        uids.give(make_job(id="second"), config)
    monkeypatch.undo()
    again = Reclaim(Uids(tmp_path / "uids.json"), logging.getLogger("test"))
    again.look(lambda _job: False)
    eventually(lambda: "first" not in (tmp_path / "uids.json").read_text(), within=20)
    again.close()
    assert (place / "file").stat().st_uid != first.uid
    assert Uids(tmp_path / "uids.json").give(make_job(id="second"), config) == first


def test_a_job_that_goes_while_it_is_at_work_is_owed_a_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, uids, go_on = Config(), Uids(tmp_path / "uids.json"), threading.Event()
    for job_id in ("first", "second"):
        uids.give(make_job(id=job_id), config)
    monkeypatch.setattr(room, "reclaim", lambda *_given: "" if go_on.wait(20) else "no time")
    busy = Reclaim(uids, logging.getLogger("test"))
    busy.look(lambda job_id: job_id == "second")
    assert not busy.owes_a_look
    busy.look(lambda _job: False)
    assert busy.owes_a_look
    go_on.set()
    eventually(lambda: "first" not in (tmp_path / "uids.json").read_text(), within=20)
    busy.close()
    busy.look(lambda _job: False)
    assert not busy.owes_a_look
    eventually(lambda: "second" not in (tmp_path / "uids.json").read_text(), within=20)
