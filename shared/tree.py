"""Look at everything below a directory that somebody hostile may have filled, or fills meanwhile.

One directory is open at a time, reached by name from the one above without following a link, and left again by `..`,
which is checked to be the one that we came from. So neither depth nor names matter: no recursion, no descriptor a
level, no path that could be too long. Another file system that is mounted in there is seen, and not entered.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from shared.record import NamedTuple

# Not followed, and no waiting for whoever would open the other end of a FIFO that took the directory's name.
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Names of folders that are remembered: what is to be gone through is not to fill our memory.
MOST_WAITING = 100_000


class Cursor:
    """The one open directory, `here`, and the way to it from `top`, which stays the caller's."""

    def __init__(self, top: int) -> None:
        self.here = os.open(".", FOLDER, dir_fd=top)
        found = os.fstat(self.here)
        self.device = found.st_dev
        self.names: list[str] = []
        self._levels = [(found.st_dev, found.st_ino)]

    def close(self) -> None:
        if self.here >= 0:
            os.close(self.here)
            self.here = -1

    def enter(self, name: str) -> None:
        """Down into that folder. Raises OSError; then we are where we were."""
        below = os.open(name, FOLDER, dir_fd=self.here)
        try:
            found = os.fstat(below)
            # Also where `..` may not be looked up: a folder with `r` and without `x` would be a dead end.
            above = os.stat("..", dir_fd=below)
            if found.st_dev != self.device or (above.st_dev, above.st_ino) != self._levels[-1]:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        except OSError:
            os.close(below)
            raise
        os.close(self.here)
        self.here = below
        self.names.append(name)
        self._levels.append((found.st_dev, found.st_ino))

    def leave(self) -> str:
        """Up again; the name of what we left. Raises OSError where it was moved elsewhere meanwhile: no way leads back
        from there."""
        above = os.open("..", FOLDER, dir_fd=self.here)
        found = os.fstat(above)
        if (found.st_dev, found.st_ino) != self._levels[-2]:
            os.close(above)
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        os.close(self.here)
        self.here = above
        self._levels.pop()
        return self.names.pop()


class Found(NamedTuple):
    """One entry. `folder` is the open directory that it is in, valid until the next entry is asked for."""

    folder: int
    name: str
    stat: os.stat_result

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.stat.st_mode)


class Tree:
    """All that is below `top`, an open directory. Iterate once; break off whenever you like and call `close`. A folder
    is given before what is in it. `unread`: how many folders were not gone through; where it is `cut` we lost our way,
    or there are too many folders, and who knows how much was not."""

    def __init__(self, top: int) -> None:
        self.unread = 0
        self.cut = False
        self._at = Cursor(top)
        # For each level the folders that are still to be entered.
        self._waiting: list[list[str]] = []
        self._remembered = 0

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        self._at.close()

    @property
    def names(self) -> tuple[str, ...]:
        """The folders on the way from the top to where we are. Together they may be longer than any path can be."""
        return tuple(self._at.names)

    def __iter__(self) -> Iterator[Found]:
        yield from self._list()
        while True:
            if self._waiting[-1]:
                self._remembered -= 1
                if self._enter(self._waiting[-1].pop()):
                    yield from self._list()
                continue
            self._waiting.pop()
            if not self._waiting:
                return
            try:
                self._at.leave()
            except OSError:
                self.cut = True
                self.unread += 1
                return

    def _list(self) -> Iterator[Found]:
        self._waiting.append([])
        here = self._at.here
        try:
            with os.scandir(here) as entries:
                for entry in entries:
                    try:
                        seen = Found(here, entry.name, entry.stat(follow_symlinks=False))
                    except FileNotFoundError:  # gone meanwhile
                        continue
                    except OSError:
                        self.unread += 1
                        continue
                    if seen.is_folder:
                        self._remember(seen)
                    yield seen
        except OSError:
            self.unread += 1

    def _remember(self, seen: Found) -> None:
        many = self._remembered >= MOST_WAITING
        self.cut = self.cut or many
        if many or seen.stat.st_dev != self._at.device:
            self.unread += 1
            return
        self._remembered += 1
        self._waiting[-1].append(seen.name)

    def _enter(self, name: str) -> bool:
        try:
            self._at.enter(name)
        except FileNotFoundError:
            return False
        except OSError:
            self.unread += 1
            return False
        return True
