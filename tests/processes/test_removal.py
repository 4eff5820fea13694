"""What a run left is removed whole, and nothing that it leads to. As root, and as whoever owns it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.removal import empty, remove
from shared.tree import FOLDER, Tree
from tests.trees import clear, deepen, litter


@pytest.fixture
def top(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, FOLDER)
    yield descriptor
    os.close(descriptor)
    clear(tmp_path)


def outside(tmp_path: Path) -> Path:
    made = tmp_path / "outside"
    (made / "folder").mkdir(parents=True)
    (made / "file").write_text("kept")
    return made


def test_whatever_a_run_leaves_is_removed_and_what_it_leads_to_stays(tmp_path: Path, top: int) -> None:
    kept = outside(tmp_path)
    (tmp_path / "left").mkdir()
    litter(tmp_path / "left", kept)
    before = len(list(Path("/proc/self/fd").iterdir()))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 8, hard))
    try:
        found = remove(top, "left")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found.why == ""
    assert found.removed > 1300
    assert sorted(path.name for path in tmp_path.iterdir()) == ["outside"]
    assert (kept / "file").read_text() == "kept"
    assert (kept / "folder").is_dir()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_link_or_a_file_is_removed_itself(tmp_path: Path, top: int) -> None:
    kept = outside(tmp_path)
    (tmp_path / "link").symlink_to(kept)
    os.mkfifo(tmp_path / "fifo")
    assert remove(top, "link") == (1, "")
    assert remove(top, "fifo") == (1, "")
    assert remove(top, "nothing") == (0, "")
    assert (kept / "file").exists()
    (tmp_path / "link").symlink_to(kept)
    assert "link cannot be removed" in empty(top, "link").why
    assert (kept / "file").exists()


def test_a_depth_that_no_path_can_name_is_seen_with_few_descriptors(tmp_path: Path, top: int) -> None:
    (tmp_path / "left").mkdir()
    deepen(tmp_path / "left", 1500)
    before = len(list(Path("/proc/self/fd").iterdir()))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + 8, hard))
    try:
        with Tree(top) as found:
            assert sum(1 for _ in found) == 1502
            assert found.unread == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert remove(top, "left").why == ""


def test_folders_beyond_number_are_removed_in_several_looks(tmp_path: Path, top: int) -> None:
    for number in range(2500):
        (tmp_path / "left" / f"{number}").mkdir(parents=True)
        (tmp_path / "left" / f"{number}" / "file").touch()
    assert remove(top, "left") == (5001, "")


def test_what_takes_too_long_is_left_for_another_time(tmp_path: Path, top: int) -> None:
    (tmp_path / "left").mkdir()
    deepen(tmp_path / "left", 50)
    turns = iter([True] * 20 + [False])
    assert "another time" in remove(top, "left", lambda: next(turns)).why
    assert remove(top, "left").why == ""
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_removed_is_told_and_the_rest_goes(
    tmp_path: Path, top: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "left" / "a").mkdir(parents=True)
    for name in ("a/stays", "a/goes", "goes"):
        (tmp_path / "left" / name).touch()
    unlink = os.unlink

    def refuse(name: str, *, dir_fd: int) -> None:
        if name == "stays":
            raise PermissionError(1, "Operation not permitted")
        unlink(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", refuse)
    found = remove(top, "left")
    monkeypatch.undo()
    assert "a/stays cannot be removed: Operation not permitted." in found.why
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == [
        "left",
        "left/a",
        "left/a/stays",
    ]
