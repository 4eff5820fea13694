"""Trees as a hostile run leaves them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from shared.tree import FOLDER


def deepen(folder: Path, levels: int, name: str = "d") -> None:
    """A chain that no path can name, with a file at its end: made from the inside."""
    here = os.open(folder, FOLDER)
    for _ in range(levels):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, FOLDER, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("last", os.O_CREAT, dir_fd=here))
    os.close(here)


def litter(folder: Path, outside: Path) -> None:
    """One of everything that has hurt a program that removes or reads. `outside` is what links lead to."""
    deepen(folder, 1300, "deep")
    os.mkfifo(folder / "fifo")
    (folder / "link to a file").symlink_to(outside / "file")
    (folder / "link to a folder").symlink_to(outside)
    (folder / "link to nothing").symlink_to("/nonexistent")
    (folder / "loop").symlink_to("loop")
    os.link(outside / "file", folder / "hard link")
    with (folder / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    (folder / "set-id").touch()
    (folder / "set-id").chmod(0o6755)
    (folder / "line\nfeed \udcff\x1b[31m -rf *").mkdir()
    (folder / ("n" * 255)).touch()
    for mode in (0, 0o100, 0o200, 0o300, 0o400, 0o500):
        closed = folder / f"mode {mode:o}" / "in"
        closed.mkdir(parents=True)
        (closed / "file").touch(mode=0o400)
        closed.chmod(mode)
        closed.parent.chmod(mode)


def clear(folder: Path) -> None:
    """Remove what a test made there, whatever became of our own way to remove it: pytest's fails at such a depth."""
    for path in folder.iterdir():
        subprocess.run(["chmod", "-R", "u+rwX", str(path)], capture_output=True, check=False)
        subprocess.run(["rm", "-rf", str(path)], capture_output=True, check=False)
