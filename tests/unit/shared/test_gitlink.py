"""A `.git` file is believed only where the repository that it names tells the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared.gitlink import Linked, linked
from shared.realpath import realpath

UID = os.geteuid()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """As `git worktree add` makes it: tmp_path/main/.git and tmp_path/side."""
    common, side = tmp_path / "main" / ".git", tmp_path / "side"
    for folder in (common / "objects", common / "refs", common / "worktrees" / "side", side):
        folder.mkdir(parents=True)
    (common / "HEAD").write_text("ref: refs/heads/main\n")
    (common / "worktrees" / "side" / "commondir").write_text("../..\n")
    (common / "worktrees" / "side" / "gitdir").write_text(f"{side}/.git\n")
    (side / ".git").write_text(f"gitdir: {common}/worktrees/side\n")
    return tmp_path


def found(tree: Path) -> Linked | None:
    return linked(str(tree / "side"), UID)


def test_a_true_link_leads_to_the_common_directory(tree: Path) -> None:
    common = tree / "main" / ".git"
    assert found(tree) == Linked(str(common / "worktrees" / "side"), str(common))
    (tree / "side" / ".git").write_text("gitdir: ../main/.git/worktrees/side")
    assert found(tree) is not None
    assert linked(str(tree / "side"), UID + 1) is None
    assert linked(str(tree / "main"), UID) is None


def test_a_submodule_is_believed_where_its_configuration_names_it(tree: Path) -> None:
    module = tree / "main" / ".git" / "modules" / "side"
    for folder in (module / "objects", module / "refs"):
        folder.mkdir(parents=True)
    (module / "HEAD").touch()
    (tree / "side" / ".git").write_text(f"gitdir: {module}\n")
    assert found(tree) is None
    for line in ("worktree = ../../../../side", f'worktree = "{tree}/side"', "\tworktree=../../../../side"):
        (module / "config").write_text(f"[core]\n\tbare = false\n{line}\n")
        assert found(tree) == Linked(str(module), str(module)), line
    (module / "config").write_text("[core]\n\tworktree = ../../../../other\n")
    assert found(tree) is None


def test_the_configuration_of_a_submodule_may_have_anything_around_its_line(tree: Path) -> None:
    module = tree / "main" / ".git" / "modules" / "side"
    for folder in (module / "objects", module / "refs"):
        folder.mkdir(parents=True)
    (module / "HEAD").touch()
    (tree / "side" / ".git").write_text(f"gitdir: {module}\n")
    for config in ("[core]\r\n  worktree = ../../../../side \r\n", "worktree=x\n\n \nworktree = ../../../../side"):
        (module / "config").write_text(config)
        assert found(tree) == Linked(str(module), str(module)), config


@pytest.mark.parametrize(
    "config",
    [
        "worktree=" + " " * 60_000 + '"""x',
        "\n" * 65_000,
        "worktree" + " " * 60_000,
        "\t" * 60_000 + "x = ",
        'worktree="' * 6000,
    ],
    ids=["blanks before quotes", "empty lines", "no sign", "no name", "many"],
)
@pytest.mark.timeout(10)
def test_no_configuration_takes_long_to_look_through(tree: Path, config: str) -> None:
    """An agent writes it: blanks alone once took days, in the supervisor as well."""
    (tree / "side" / ".git").write_text("gitdir: r\n")
    (tree / "side" / "r").mkdir()
    (tree / "side" / "r" / "config").write_text(config)
    assert found(tree) is None


def test_a_chain_of_links_leads_nowhere(tree: Path) -> None:
    """One that the kernel would not follow, and longer than Python's stack is deep."""
    for number in range(1500):
        (tree / "side" / f"link{number}").symlink_to(f"link{number + 1}")
    (tree / "side" / ".git").write_text("gitdir: link0\n")
    assert found(tree) is None
    assert realpath(str(tree / "side" / "link0")) == str(tree / "side" / "link0")


def test_a_lie_anywhere_is_not_believed(tree: Path) -> None:
    common, side = tree / "main" / ".git", tree / "side"
    mine = common / "worktrees" / "side"
    secret = tree / "secret"  # another repository of the same user's
    for folder in (secret / "objects", secret / "refs", secret / "worktrees"):
        folder.mkdir(parents=True)
    (secret / "HEAD").touch()
    lies = [
        (side / ".git", "gitdir: /etc\n"),
        (side / ".git", f"gitdir: {secret}\n"),
        (side / ".git", f"gitdir: {common}\n"),
        (side / ".git", "gitdir: \n"),
        (side / ".git", f"{mine}\n"),
        (side / ".git", f"gitdir: {mine}\0\n"),
        (side / ".git", "gitdir: " + "x" * 100_000),
        (mine / "gitdir", f"{tree}/other/.git\n"),
        (mine / "gitdir", f"{side}\n"),
        (mine / "gitdir", ""),
        (mine / "commondir", f"{secret}\n"),
        (mine / "commondir", "..\n"),
        (mine / "commondir", "../../..\n"),
    ]
    for path, text in lies:
        before = path.read_text()
        path.write_text(text)
        assert found(tree) is None, (path, text[:60])
        path.write_text(before)
    assert found(tree) is not None
    (common / "HEAD").unlink()
    assert found(tree) is None


def test_what_is_no_plain_file_is_not_opened(tree: Path) -> None:
    path = tree / "side" / ".git"
    path.unlink()
    assert found(tree) is None
    os.mkfifo(path)
    assert found(tree) is None
    text = f"gitdir: {tree}/main/.git/worktrees/side\n"
    pipe = os.open(path, os.O_RDWR)
    os.write(pipe, text.encode())
    assert found(tree) is None
    os.close(pipe)
    path.unlink()
    path.write_text(text)
    assert found(tree) is not None
    common = tree / "main" / ".git" / "worktrees" / "side" / "commondir"
    common.rename(tree / "file")
    common.symlink_to(tree / "file")
    assert found(tree) is None
