"""What the tests with real cells share."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.messages import Offer
from tests.driver import run_as
from tests.repositories import BRANCH, repository


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    """A directory that the agent's user owns, below one that only we can enter."""
    path = tmp_path / "private" / "work"
    path.mkdir(parents=True)
    path.parent.chmod(0o700)
    path.chmod(0o755)
    if ids := run_as():
        os.chown(path, ids.uid, ids.gid)
    else:
        path.parent.chmod(0o755)
    return path


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A directory that the agent's user owns and that everybody can reach, as most work directories are."""
    above = Path(tempfile.mkdtemp(prefix="cronward-test-", dir="/tmp"))
    above.chmod(0o755)
    path = above / "work"
    path.mkdir(mode=0o755)
    if ids := run_as():
        os.chown(above, ids.uid, ids.gid)
        os.chown(path, ids.uid, ids.gid)
    yield path
    # Deeper trees than Python can remove.
    subprocess.run(["rm", "-rf", str(above)], check=True)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return repository(tmp_path / "private" / "original")


@pytest.fixture
def offer(tmp_path: Path) -> Offer:
    directory = tmp_path / "clones" / "run-1.1"
    directory.mkdir(parents=True, mode=0o700)
    return Offer(directory=str(directory), branch=BRANCH)
