"""Several files as one change: wherever it is cut, all of it is there or nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.errors import StoreError
from supervisor.stores import transaction
from supervisor.stores.disk import Disk
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.lock import HomeLock
from supervisor.stores.runs import RunsStore
from tests.command import snapshot


class CutError(Exception):
    """The process is no more."""


class Dying(Disk):
    """Ends the process at its nth touch of the disk."""

    def __init__(self, lives: int, error: Callable[[], Exception]) -> None:
        self.lives, self.error = lives, error

    def _touch(self) -> None:
        self.lives -= 1
        if self.lives < 0:
            raise self.error()

    def replace(self, path: Path, data: bytes) -> None:
        self._touch()
        super().replace(path, data)
        self._touch()

    def remove(self, path: Path) -> None:
        self._touch()
        super().remove(path)

    def sync_dir(self, directory: Path) -> None:
        self._touch()
        super().sync_dir(directory)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    (home.jobs / "old.json").write_bytes(b"old")
    (home.jobs / "gone.json").write_bytes(b"gone")
    return home


def wanted(home: Home) -> tuple[dict[Path, bytes], list[Path]]:
    return {home.jobs / "old.json": b"new", home.runs / "a.jsonl": b"a"}, [home.jobs / "gone.json"]


def state(home: Home) -> set[tuple[str, bytes]]:
    """The files that count: those without a dot."""
    files = snapshot(home.root)
    return {(name, data) for name, (_, data) in files.items() if data and "/." not in f"/{name}"}


BEFORE = {("jobs/old.json", b"old"), ("jobs/gone.json", b"gone")}
AFTER = {("jobs/old.json", b"new"), ("runs/a.jsonl", b"a")}


def test_it_is_made_whole(home: Home) -> None:
    transaction.change(home, *wanted(home))
    assert state(home) == AFTER
    assert [path.name for path in home.root.rglob("*.tmp")] == []
    assert (home.jobs / "old.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("error", [CutError, lambda: StoreError("full")], ids=["killed", "full"])
def test_cut_anywhere_it_has_happened_or_it_has_not(home: Home, error: Callable[[], Exception]) -> None:
    first = snapshot(home.root)
    ends = []
    for lives in range(20):
        for path in home.root.rglob("*"):
            if path.is_file() and str(path.relative_to(home.root)) not in first:
                path.unlink()
        for name, (_, data) in first.items():
            if data:
                (home.root / name).write_bytes(data)
        try:
            transaction.change(home, *wanted(home), disk=Dying(lives, error))
            break
        except (CutError, StoreError) as cut:
            promised = "follows at the next start" in str(cut)
        with HomeLock(home):  # whoever comes next
            pass
        assert state(home) in (BEFORE, AFTER), lives
        assert not home.pending.exists()
        if isinstance(error(), StoreError):  # what was said is what became of it
            assert (state(home) == AFTER) == promised, lives
        ends.append(state(home) == AFTER)
    assert ends[0] is False
    assert ends[-1] is True
    assert ends == sorted(ends)


def test_what_was_renamed_already_is_not_missed(home: Home) -> None:
    contents, removed = wanted(home)
    with pytest.raises(CutError):
        transaction.change(home, contents, removed, Dying(1, CutError))
    temporary, final = json.loads(home.pending.read_bytes())["renamed"][0]
    (home.root / temporary).rename(home.root / final)
    assert transaction.complete(home)
    assert state(home) == AFTER
    assert not transaction.complete(home)


def test_one_that_could_not_be_ended_is_ended_before_the_next_begins(home: Home) -> None:
    contents, removed = wanted(home)
    with pytest.raises(StoreError, match="follows at the next start"):
        transaction.change(home, contents, removed, Dying(2, lambda: StoreError("full.")))
    transaction.change(home, {home.jobs / "next.json": b"next"})
    assert state(home) == AFTER | {("jobs/next.json", b"next")}


def test_what_somebody_else_wrote_there_is_set_aside_and_leads_nowhere(home: Home, tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("x")
    for text in (
        "{}",
        "no json",
        json.dumps({"version": 1, "renamed": [], "removed": ["../theirs"]}),
        json.dumps({"version": 1, "renamed": [["jobs/old.json", "/etc/x"]], "removed": []}),
        json.dumps({"version": 1, "renamed": [["jobs/old.json"]], "removed": []}),
        json.dumps({"version": 1, "renamed": [], "removed": [5]}),
    ):
        home.pending.write_text(text)
        assert not transaction.complete(home), text
        assert {name for name, _ in state(home)} >= {"jobs/old.json", "jobs/gone.json"}
        assert (tmp_path / "theirs").exists()
        assert not home.pending.exists()


def test_what_a_killed_one_had_staged_is_removed_by_the_next_supervisor(home: Home) -> None:
    for folder in (home.jobs, home.runs, home.imported):
        (folder / ".x.json.abc.tmp").write_bytes(b"x")
    CronStore(home).quarantine()
    RunsStore(home).quarantine()
    assert [path.name for path in home.root.rglob("*.tmp")] == []


def test_what_cannot_be_staged_changes_nothing(home: Home) -> None:
    with pytest.raises(StoreError, match=r"cannot be written"):
        transaction.change(home, {home.jobs / "x.json": b"x", home.root / "nowhere" / "y": b"y"})
    assert state(home) == BEFORE
    assert [path.name for path in home.root.rglob("*.tmp")] == []
