"""What a run left is removed: all of it, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared import removal


def test_a_tree_is_removed_whatever_it_is_made_of_and_nothing_that_it_points_to(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    top = tmp_path / "top"
    (top / "wide" / "inner").mkdir(parents=True)
    for number in range(removal.BATCH + 10):
        (top / "wide" / f"{number}").touch()
    os.mkfifo(top / "fifo")
    (top / "link").symlink_to(outside)
    (top / "wide" / "inner" / "link").symlink_to(outside, target_is_directory=True)
    (top / "closed" / "below").mkdir(parents=True)
    (top / "closed").chmod(0o000)
    removal.remove(str(top))
    assert not top.exists()
    assert [path.name for path in outside.iterdir()] == ["kept"]


def test_one_that_is_deeper_than_paths_and_descriptors_reach_is_removed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d" * 20, dir_fd=here)  # more than PATH_MAX in all
        inner = os.open("d" * 20, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    before = len(list(Path("/proc/self/fd").iterdir()))
    removal.remove(str(top))
    assert not top.exists()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_link_in_its_place_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").touch()
    (tmp_path / "top").symlink_to(tmp_path / "outside")
    with pytest.raises(NotADirectoryError):
        removal.remove(str(tmp_path / "top"))
    assert (tmp_path / "outside" / "kept").exists()
