"""What the tests with real cells share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.driver import run_as


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
