"""Whatever lies below a directory is seen once, and nothing else is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared import tree
from shared.tree import FOLDER, Tree
from tests.trees import deepen


@contextmanager
def opened(folder: Path | str) -> Iterator[Tree]:
    top = os.open(folder, FOLDER)
    try:
        with Tree(top) as found:
            yield found
    finally:
        os.close(top)


def paths(found: Tree) -> list[str]:
    return ["/".join((*found.names, each.name)) for each in found]


def test_everything_is_seen_once_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").touch()
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "b" / "file").touch()
    (top / "a" / "link").symlink_to(outside)
    (top / "up").symlink_to("..")
    os.mkfifo(top / "fifo")
    (top / "odd\n\udcff name").touch()
    with opened(top) as found:
        seen = paths(found)
        assert sorted(seen) == sorted(["a", "a/b", "a/b/file", "a/link", "up", "fifo", "odd\n\udcff name"])
        assert (found.unread, found.cut) == (0, False)
        assert seen.index("a") < seen.index("a/b") < seen.index("a/b/file")


def test_one_may_break_off_in_the_middle(tmp_path: Path) -> None:
    deepen(tmp_path, 5)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with opened(tmp_path) as found:
        assert next(iter(found)).name == "d"
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_folder_that_becomes_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").touch()
    top = tmp_path / "top"
    (top / "a").mkdir(parents=True)
    with opened(top) as found:
        seen = []
        for each in found:
            seen.append(each.name)
            (top / "a").rmdir()
            (top / "a").symlink_to("../secret")
        assert (seen, found.unread) == (["a"], 1)


def test_a_folder_that_becomes_a_link_to_one_beside_it_is_not_followed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    with opened(tmp_path) as found:
        seen = []
        for each in found:
            if not found.names and len(seen) == 1:  # both are listed, neither is entered
                (tmp_path / "a" / "file").unlink()
                (tmp_path / "a").rmdir()
                (tmp_path / "a").symlink_to("b")
            seen.append("/".join((*found.names, each.name)))
        assert sorted(seen) == ["a", "b", "b/file"]


def test_a_folder_that_is_moved_out_leads_nowhere(tmp_path: Path) -> None:
    """From there `..` is another place than the one that we came from."""
    top = tmp_path / "top"
    (top / "a" / "b").mkdir(parents=True)
    (top / "a" / "file").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret").touch()
    with opened(top) as found:
        seen = []
        for each in found:
            seen.append(each.name)
            if each.name == "file":
                (top / "a").rename(tmp_path / "elsewhere" / "a")
        assert "secret" not in seen
        assert (found.unread, found.cut) == (1, True)


def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        (tmp_path / f"{number}" / "in").mkdir(parents=True)
    monkeypatch.setattr(tree, "MOST_WAITING", 4)
    with opened(tmp_path) as found:
        assert sum(1 for _ in found) == 14
        assert (found.unread, found.cut) == (6, True)


@pytest.mark.skipif(os.geteuid() == 0, reason="Root may enter everything.")
def test_what_may_not_be_entered_is_told_and_the_rest_is_seen(tmp_path: Path) -> None:
    for name, mode in (("none", 0), ("only-read", 0o400), ("only-search", 0o100), ("open", 0o700)):
        (tmp_path / name / "in").mkdir(parents=True)
        (tmp_path / name).chmod(mode)
    try:
        with opened(tmp_path) as found:
            assert sorted(paths(found)) == ["none", "only-read", "only-search", "open", "open/in"]
            assert found.unread == 3
    finally:
        for folder in tmp_path.iterdir():
            folder.chmod(0o700)
