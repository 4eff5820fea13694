"""The way to the folder of a test, for others to go through: a supervisor of root's gives each job a uid of its own."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def let_through(folder: Path) -> Path:
    """Only the bit that lets them pass, only where it is missing, and never above what pytest made: a test once set
    the mode of /tmp."""
    if os.geteuid() == 0:
        for each in (folder, *folder.parents[:3]):
            if each == Path.home():
                break
            mode = stat.S_IMODE(each.stat().st_mode)
            if not mode & 0o001:
                each.chmod(mode | 0o011)
            if each.name.startswith("pytest-of-"):
                break
    return folder
