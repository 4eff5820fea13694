"""Remove what a run left below a directory of ours: whatever it is, without following it anywhere.

Names are removed out of directories that were opened by name, without following a link, one below the other. Depth
costs neither stack nor descriptors; FIFOs, devices and sparse files are never opened; what may not be entered is made
ours to enter first. Another file system that is mounted in there stays.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

from shared.record import NamedTuple
from shared.tree import Cursor

AT_A_TIME = 1000
"""Folders of one directory that are remembered; then it is listed again."""
MOST_STUCK = 1000
_LOOK = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Removal(NamedTuple):
    """What came of it. `why`: the first thing that could not be removed, and why; empty where all is gone."""

    removed: int
    why: str


def remove(parent: int, name: str, go_on: Callable[[], bool] = lambda: True) -> Removal:
    """Remove that entry of an open directory, with all that is in it. `go_on` is asked now and then; where it says no,
    the rest is left for another time."""
    try:
        os.unlink(name, dir_fd=parent)
        return Removal(1, "")
    except FileNotFoundError:
        return Removal(0, "")
    except OSError:  # a directory, by EISDIR or EPERM
        emptied = empty(parent, name, go_on)
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError as error:
        return Removal(emptied.removed, emptied.why or _why(name, error))
    return Removal(emptied.removed + 1, "")


def empty(parent: int, name: str, go_on: Callable[[], bool] = lambda: True) -> Removal:
    """Remove all that is in that directory, which stays."""
    _let_in(parent, name)
    try:
        top = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    except OSError as error:
        return Removal(0, _why(name, error))
    try:
        return _Emptying(top, go_on).run()
    except OSError as error:  # it was moved while we were in it
        return Removal(0, _why(name, error))
    finally:
        os.close(top)


class _Emptying:
    def __init__(self, top: int, go_on: Callable[[], bool]) -> None:
        self._at, self._go_on = Cursor(top), go_on
        self._removed, self._why = 0, ""
        # For each level the folders to enter, and the names that do not go.
        self._waiting: list[list[str]] = [[]]
        self._stuck: list[set[str]] = [set()]

    def run(self) -> Removal:
        try:
            while self._go_on():
                if self._waiting[-1]:
                    self._enter(self._waiting[-1].pop())
                elif not self._list() and not self._leave():
                    return Removal(self._removed, self._why)
            return Removal(self._removed, self._why or "It takes long; the rest is left for another time.")
        finally:
            self._at.close()

    def _list(self) -> bool:
        """Remove what is no folder, and note the folders. False: nothing is left here that could be removed."""
        folders, stuck, before = self._waiting[-1], self._stuck[-1], self._removed
        with os.scandir(self._at.here) as entries:
            for entry in entries:
                if entry.name in stuck:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                else:
                    self._drop(entry.name, os.unlink)
                if len(folders) >= AT_A_TIME or len(stuck) >= MOST_STUCK:
                    break
        return bool(folders) or (self._removed > before and len(stuck) < MOST_STUCK)

    def _enter(self, name: str) -> None:
        with suppress(OSError):  # most are empty, or soon will be
            os.rmdir(name, dir_fd=self._at.here)
            self._removed += 1
            return
        _let_in(self._at.here, name)
        try:
            self._at.enter(name)
        except OSError as error:
            self._keep(name, error)
            return
        self._waiting.append([])
        self._stuck.append(set())

    def _leave(self) -> bool:
        if not self._at.names:
            return False
        self._waiting.pop()
        self._stuck.pop()
        self._drop(self._at.leave(), os.rmdir)
        return True

    def _drop(self, name: str, how: Callable[..., None]) -> None:
        try:
            how(name, dir_fd=self._at.here)
            self._removed += 1
        except FileNotFoundError:
            return
        except OSError as error:
            self._keep(name, error)

    def _keep(self, name: str, error: OSError) -> None:
        self._stuck[-1].add(name)
        self._why = self._why or _why("/".join([*self._at.names[-3:], name]), error)


def _let_in(parent: int, name: str) -> None:
    """Give ourselves all rights in that folder, where it is ours: a run may have taken them away."""
    try:
        folder = os.open(name, _LOOK, dir_fd=parent)
    except OSError:
        return
    try:
        found = os.fstat(folder)
        if found.st_uid == os.geteuid() and found.st_mode & 0o700 != 0o700:
            # By the descriptor, which nobody can turn into a link; it is open for looking only, so not fchmod.
            os.chmod(f"/proc/self/fd/{folder}", 0o700)
    except OSError:
        return
    finally:
        os.close(folder)


def _why(name: str, error: OSError) -> str:
    return f"{ascii(name)[1:-1][:200]} cannot be removed: {error.strerror}."


def remove_tree(path: str) -> str:
    """Remove what is at `path`, an absolute one whose links on the way are followed. Why not all of it could be; empty
    where nothing is there any more."""
    parent, name = os.path.split(path)
    try:
        above = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return _why(name, error)
    try:
        return remove(above, name).why
    finally:
        os.close(above)
