"""Private directories that a killed runner could not remove: those of runs that had no file systems of their own.

They lie where everybody may make directories, under names that everybody may read, so whose they are is looked at.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from shared.removal import remove_tree

# As `runner.scratch` has it.
PLACE = Path("/tmp")


def remove(run_id: str, attempt: int, ours: Callable[[int], bool], place: Path = PLACE) -> list[Path]:
    """Remove those of an attempt of which nothing lives; what could not be removed is returned. `ours`: by its uid."""
    found = [path for path in place.glob(f"cronward-{run_id}.{attempt}-*") if _is(path, ours)]
    return [path for path in found if remove_tree(str(path))]


def _is(path: Path, ours: Callable[[int], bool]) -> bool:
    try:
        return ours(path.lstat().st_uid)
    except FileNotFoundError:  # anybody may clear /tmp
        return False


def of_this_user(uid: int) -> bool:
    """Whether a run of ours can have had this uid: root's have any but root's own."""
    return uid == os.geteuid() if os.geteuid() != 0 else uid != 0
