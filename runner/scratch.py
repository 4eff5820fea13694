"""The directories of an agent that has no file systems of its own: on disk, the owner's alone, removed afterwards."""

from __future__ import annotations

import os

from shared.removal import remove_tree

# Its name says whose it is, so that the supervisor finds what a killed runner left (see supervisor.spawning.leavings).
PLACE = "/tmp"


class Scratch:
    """Home, temporary files, a directory to start in, and a place for files that a cell would show elsewhere."""

    def __init__(self, run_id: str, attempt: int) -> None:
        """Raises OSError."""
        self.path = f"{PLACE}/cronward-{run_id}.{attempt}-{os.urandom(6).hex()}"
        os.mkdir(self.path, 0o700)
        self.home, self.tmp, self.work, self.root = (f"{self.path}/{name}" for name in ("home", "tmp", "work", "root"))
        for path in (self.home, self.tmp, self.work, self.root):
            os.mkdir(path, 0o700)

    def place(self, target: str) -> str:
        """Where below `root` something is that a cell would show as `target`; its directory is made."""
        path = f"{self.root}{os.path.normpath(target)}"
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        return path

    def clear(self) -> bool:
        """Whether nothing of it is left."""
        return not remove_tree(self.path)
