"""A tree is gone through within its time, whatever it is made of."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from runner.grants import PINNED_MOST, _repositories
from runner.walk import Walk


def test_time_is_up_among_the_entries_of_one_directory_as_well(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}").mkdir()
    asked: list[str] = []
    walk = Walk(100, 4.0, count().__next__)  # a second goes by at each look at the clock

    def skip(_folder: str, name: str) -> bool:
        asked.append(name)
        return False

    assert [path for path, _ in walk.folders(str(tmp_path), skip)] == [""]
    assert (len(asked), walk.cut) == (3, True)


def test_what_cannot_be_entered_is_passed_by(tmp_path: Path) -> None:
    (tmp_path / "open" / "in").mkdir(parents=True)
    walk = Walk(100, 60.0)
    seen = []
    for path, entries in walk.folders(str(tmp_path)):
        seen.append(path)
        if not path:
            assert [entry.is_dir() for entry in entries] == [True]
        if path == "open":
            (tmp_path / "open" / "in").rmdir()
            (tmp_path / "open" / "in").symlink_to("/etc")
    assert (seen, walk.cut) == (["", "open"], False)


def test_more_repositories_than_can_be_protected_are_not_searched_for(tmp_path: Path) -> None:
    for number in range(PINNED_MOST + 20):
        (tmp_path / f"{number}" / ".git").mkdir(parents=True)
    found, whole = _repositories([str(tmp_path)])
    assert (len(found), whole) == (PINNED_MOST, False)
