"""Repositories for tests, made and asked with git, as their owner would, and attempts that work on clones of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from shared.messages import Cell, ExecuteRequest, Offer
from tests.driver import execute, request, run_as

BRANCH = "cronward/nightly/run-1"
COMMIT = "echo second > second && git add second && git commit -q -m second"

ENVIRON = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_COUNT": "3",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "GIT_CONFIG_KEY_1": "user.name",
    "GIT_CONFIG_VALUE_1": "owner",
    "GIT_CONFIG_KEY_2": "user.email",
    "GIT_CONFIG_VALUE_2": "owner@example.com",
}


def git(place: Path, *words: str, check: bool = True) -> str:
    done = subprocess.run(["git", *words], cwd=place, env=ENVIRON, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, (words, done.stderr)
    return done.stdout.strip()


def repository(place: Path, *, options: tuple[str, ...] = ()) -> Path:
    """One with a commit, on `main`, that the agent's user owns."""
    place.mkdir(parents=True)
    git(place, "init", "-q", "-b", "main", *options)
    (place / "file").write_text("first\n")
    git(place, "add", ".")
    git(place, "commit", "-q", "-m", "first")
    return owned(place)


def owned(place: Path) -> Path:
    if ids := run_as():
        for path in (place, *place.rglob("*")):
            os.chown(path, ids.uid, ids.gid, follow_symlinks=False)
    return place


def branches(place: Path) -> dict[str, str]:
    """Name to commit."""
    lines = git(place, "for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads").splitlines()
    return dict(line.split() for line in lines)


def tree(place: Path) -> dict[str, bytes | str]:
    """Everything in it by its path: what a file holds, where a link leads."""
    return {
        str(path.relative_to(place)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in sorted(place.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def attempt(log_dir: Path, place: Path, offer: Offer, script: str, **changes: Any) -> ExecuteRequest:
    cell = Cell(run_as=run_as(), work_dir=str(place), work_mode="branch", offer=offer)
    return request(log_dir, "sh", "-c", script, cell=cell, **changes)


def run(log_dir: Path, place: Path, offer: Offer, script: str, **changes: Any) -> dict[str, Any]:
    result = execute(attempt(log_dir, place, offer, script, **changes))
    assert list(Path(offer.directory).iterdir()) == [], "the clone was left over"
    return result


def rest(place: Path) -> dict[str, Any]:
    """All of a repository but its objects and our branches."""
    kept = tree(place).items()
    return {path: held for path, held in kept if "/objects/" not in path and "refs/heads/cronward" not in path}


def swap(path: Path, aside: Path) -> None:
    """All is still there, but by way of a link: whoever followed it would find nothing wrong."""
    path.rename(aside)
    path.symlink_to(aside)
