"""Remove what a run left, however deep, whatever its modes, and without following anything out of it.

A tree 1,200 deep is too deep for recursion and for a descriptor a level, and its paths are longer than the kernel
takes. So nothing descends: each directory's own directories are moved up to the top, and so are emptied in their turn.
Whoever calls this knows that nothing lives any more that could put things back.
"""

from __future__ import annotations

import os
from itertools import islice

# So many names are held at a time, however many there are.
BATCH = 1000
PLAIN = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove(path: str) -> None:
    """The directory at `path` with all that is in it. Raises OSError, also where `path` is a link."""
    directory = os.open(path, os.O_RDONLY | PLAIN)
    try:
        empty(directory)
    finally:
        os.close(directory)
    os.rmdir(path)


def empty(top: int) -> None:
    """All that is in the directory behind this descriptor. Raises OSError."""
    # Nobody can have put something in our way under names that are made up only now.
    mark, moved = os.urandom(8).hex(), 0
    while batch := listing(top):
        for name, is_directory in batch:
            if not is_directory:
                os.unlink(name, dir_fd=top)
                continue
            directory = opened(top, name)
            try:
                moved = hollow(directory, top, mark, moved)
            finally:
                os.close(directory)
            os.rmdir(name, dir_fd=top)


def hollow(directory: int, top: int, mark: str, moved: int) -> int:
    """Empty one directory, its own directories moved to `top`. How many have been moved there by now."""
    while batch := listing(directory):
        for name, is_directory in batch:
            if not is_directory:
                os.unlink(name, dir_fd=directory)
                continue
            # To move a directory is to write to it: its `..` changes.
            os.close(opened(directory, name))
            os.rename(name, f"{mark}{moved}", src_dir_fd=directory, dst_dir_fd=top)
            moved += 1
    return moved


def opened(parent: int, name: str) -> int:
    """One of its directories, made ours to read and change whatever its mode was."""
    place = os.open(name, os.O_PATH | PLAIN, dir_fd=parent)
    try:
        # Through the descriptor, because chmod would follow a link.
        os.chmod(f"/proc/self/fd/{place}", 0o700)
        return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(place)


def listing(directory: int) -> list[tuple[str, bool]]:
    """Some of its names, each with whether it is a directory itself."""
    with os.scandir(directory) as entries:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in islice(entries, BATCH)]
