"""A tree that somebody else may have filled, looked through without being led out of it.

Links are never followed, and neither depth nor breadth costs descriptors or stack: one directory is open at a time, and
the way back is `..`, believed only where it leads to the directory that we came from.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from time import monotonic

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
Entry = os.DirEntry[str]
Folder = tuple[str, list[Entry]]


class Walk:
    """At most `most` entries, for at most `seconds`. Afterwards: `seen`, how many there were; `cut`, whether that was
    not all, directories that could not be entered apart. `here`: the descriptor of the one looked at."""

    def __init__(self, most: int, seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self.seen, self.cut = 0, False
        self.here = -1
        self._most, self._clock, self._until = most, clock, clock() + seconds

    def folders(self, root: str, skip: Callable[[str, str], bool] = lambda _folder, _name: False) -> Iterator[Folder]:
        """Each directory at and below `root` as a path relative to it, with its entries, which may be asked for their
        `stat` until the next one is taken. All of a directory comes before anything below it. `skip`: whether not to
        enter that name in that folder."""
        try:
            here = self.here = os.open(root, FOLDER)
        except OSError:
            return
        try:
            path, waiting, marks = "", list[list[str]](), list[tuple[int, int]]()
            while True:
                entries = self._list(here)
                yield path, entries
                waiting.append(list(self._inner(path, entries, skip)))
                marks.append(_identity(here))
                inner_path = self._next(here, path, waiting, marks)
                if inner_path is None:
                    return
                path = inner_path
        finally:
            os.close(here)
            self.here = -1

    def _inner(self, path: str, entries: list[Entry], skip: Callable[[str, str], bool]) -> Iterator[str]:
        """The directories to enter. `skip` may take long, of a path as long as a hostile one."""
        for one in entries:
            if one.is_dir(follow_symlinks=False) and not self.is_over() and not skip(path, one.name):
                yield one.name

    def is_over(self) -> bool:
        """Whether to give up. For whoever takes long over the entries of one directory too."""
        self.cut = self.cut or self._clock() >= self._until
        return self.cut

    def _next(self, here: int, path: str, waiting: list[list[str]], marks: list[tuple[int, int]]) -> str | None:
        """The path of the next directory, which the descriptor `here` then is; None at the end."""
        while not self.is_over():
            if waiting[-1]:
                name = waiting[-1].pop()
                if self._enter(here, name):
                    return f"{path}/{name}" if path else name
                continue
            waiting.pop()
            marks.pop()
            if not waiting:
                return None
            if not self._leave(here, marks[-1]):
                self.cut = True
                return None
            path = path.rpartition("/")[0]
        return None

    def _enter(self, here: int, name: str) -> bool:
        try:
            inner = os.open(name, FOLDER, dir_fd=here)
        except OSError:
            return False
        # Without this right nothing in it can be looked at, and there would be no way back.
        allowed = os.access(".", os.X_OK, dir_fd=inner, effective_ids=True)
        if allowed:
            os.dup2(inner, here, inheritable=False)
        os.close(inner)
        return allowed

    def _leave(self, here: int, mark: tuple[int, int]) -> bool:
        try:
            outer = os.open("..", FOLDER, dir_fd=here)
        except OSError:
            return False
        os.dup2(outer, here, inheritable=False)
        os.close(outer)
        return _identity(here) == mark

    def _list(self, here: int) -> list[Entry]:
        found: list[Entry] = []
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    if self.seen >= self._most:
                        self.cut = True
                        break
                    self.seen += 1
                    found.append(entry)
        except OSError:  # a file system that fails half-way
            self.cut = True
        return found


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino
