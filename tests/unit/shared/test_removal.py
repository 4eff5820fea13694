"""What a run leaves is removed, whatever it is, and nothing is followed."""

from __future__ import annotations

import os
from pathlib import Path

from shared.removal import remove_tree


def test_all_of_it_goes_and_nothing_that_it_leads_to(tmp_path: Path) -> None:
    kept, top = tmp_path / "kept", tmp_path / "top"
    (kept / "inner").mkdir(parents=True)
    (kept / "file").write_text("kept")
    (top / "a" / "b" / "c").mkdir(parents=True)
    (top / "a" / "link").symlink_to(kept)
    (top / "a" / "b" / "out").symlink_to("../../../kept/inner")
    os.link(kept / "file", top / "a" / "hard")
    os.mkfifo(top / "a" / "b" / "fifo")
    (top / "odd\n\udcff").write_text("x")
    (top / "a" / "b" / "c").chmod(0)
    (top / "a" / "b").chmod(0o500)
    (top / "a").chmod(0)
    assert remove_tree(str(top)) == ""
    assert not top.exists()
    assert (kept / "file").read_text() == "kept"
    assert (kept / "inner").is_dir()


def test_a_tree_deeper_than_paths_and_recursion_may_be_goes_too(tmp_path: Path) -> None:
    at = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deeper-and-deeper", dir_fd=at)
        inner = os.open("deeper-and-deeper", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)
    assert remove_tree(str(tmp_path / "deeper-and-deeper")) == ""


def test_a_link_a_file_and_nothing_are_removed_as_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    (tmp_path / "file").touch()
    for name in ("link", "file", "nothing"):
        assert remove_tree(str(tmp_path / name)) == "", name
    assert (tmp_path / "folder").is_dir()
