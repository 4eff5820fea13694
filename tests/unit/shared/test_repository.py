"""Whether a directory is a repository is read from its files; git is not asked."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.repository import NoRepositoryError, Repository, find


def plain(place: Path) -> Path:
    for name in ("objects", "refs"):
        (place / ".git" / name).mkdir(parents=True)
    (place / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    return place


def linked(place: Path, main: Path, back: str | None = None) -> Path:
    own = main / ".git" / "worktrees" / "one"
    own.mkdir(parents=True)
    place.mkdir()
    (place / ".git").write_text(f"gitdir: {own}\n")
    (own / "commondir").write_text("../..\n")
    (own / "HEAD").write_text("ref: refs/heads/side\n")
    (own / "gitdir").write_text(f"{back or place / '.git'}\n")
    return place


def test_a_repository_and_a_linked_worktree_are_known(tmp_path: Path) -> None:
    main = plain(tmp_path / "main")
    own = linked(tmp_path / "side", main)
    common = str(main / ".git")
    assert find(str(main), os.geteuid()) == Repository(str(main), common, common)
    assert find(str(own), os.geteuid()) == Repository(str(own), f"{common}/worktrees/one", common)


SPOILED: dict[str, Callable[[Path], Path]] = {
    "it has no .git": lambda place: place,
    "neither a directory nor a file": lambda place: linked_away(place),
    "without a directory objects": lambda place: without(plain(place), "objects"),
    "without a directory refs": lambda place: without(plain(place), "refs"),
    "does not know it": lambda place: linked(place / "side", plain(place / "main"), back="/elsewhere/.git"),
}


def linked_away(place: Path) -> Path:
    (place / ".git").symlink_to(plain(place / "other") / ".git")
    return place


def without(place: Path, name: str) -> Path:
    (place / ".git" / name).rmdir()
    (place / ".git" / name).symlink_to("/")
    return place


def test_anything_else_is_not(tmp_path: Path) -> None:
    for number, (words, spoil) in enumerate(SPOILED.items()):
        (tmp_path / f"{number}").mkdir()
        with pytest.raises(NoRepositoryError, match=words):
            find(str(spoil(tmp_path / f"{number}")), os.geteuid())
