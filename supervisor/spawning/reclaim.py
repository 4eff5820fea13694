"""Under root: give back what a throw-away user id owns, when its job is gone, so that another job may have the id.

Every file of the id that lies where its runs could write becomes the owner's of that directory, without set-id bits
and without access lists, which may name the id. Nothing is followed: each file is opened for looking only, and what was
opened is asked whose it is before it is changed, so that a name which became another file meanwhile changes nothing.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from shared.tree import FOLDER, Tree
from supervisor.errors import CronwardError
from supervisor.spawning.uids import Owner, Uids

LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
SECONDS = 600.0
"""For one job; what is not done by then is left for the next time."""
GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
ACCESS_LISTS = ("system.posix_acl_access", "system.posix_acl_default")


class Reclaim:
    """Reclaims in a thread of its own, one job after the other, because it may take long."""

    def __init__(self, uids: Uids, logger: logging.Logger) -> None:
        self._uids, self._logger = uids, logger
        self._thread: threading.Thread | None = None
        self._tried: set[int] = set()
        self.owes_a_look = False
        """Whether `look` was called while it was at work, and not again since."""
        self._closing = threading.Event()

    def look(self, wanted: Callable[[str], bool]) -> None:
        """Begin with what no job has any more, unless that is under way. What failed is tried again by the next
        supervisor only."""
        self.owes_a_look = self._thread is not None and self._thread.is_alive()
        if self.owes_a_look:
            return
        try:
            found = {uid: owner for uid, owner in self._uids.retire(wanted).items() if uid not in self._tried}
        except CronwardError as error:
            self._logger.error("The user ids of removed jobs cannot be looked through: %s", error)
            return
        if found:
            self._tried |= found.keys()
            self._thread = threading.Thread(target=self._run, args=(found,), name="cronward-reclaim", daemon=True)
            self._thread.start()

    def close(self, within: float = 5.0) -> None:
        """Break off; what is not done is done the next time."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(within)

    def _run(self, owners: dict[int, Owner]) -> None:
        for uid, owner in owners.items():
            until = time.monotonic() + SECONDS
            go_on = lambda until=until: not self._closing.is_set() and time.monotonic() < until  # noqa: E731
            try:
                why = reclaim(uid, owner.places, go_on)
                if not why:
                    self._uids.free([uid])
                    self._tried.discard(uid)
            except (OSError, CronwardError) as error:
                why = str(error)
            if why:
                self._logger.warning("User id %d of the removed job %s stays taken: %s", uid, owner.job, why)
            else:
                self._logger.info("user id %d of the removed job %s owns nothing any more", uid, owner.job)


def reclaim(uid: int, places: tuple[str, ...], go_on: Callable[[], bool]) -> str:
    """Give what this id owns below `places` to the owner of each. Why not all of it could be; empty where all is.
    Raises OSError."""
    for path in places:
        try:
            place = open_plainly(path)
        except OSError as error:
            if error.errno in GONE:  # and what was in it with it
                continue
            raise
        try:
            why = _below(place, uid, go_on)
        finally:
            os.close(place)
        if why:
            return f"{ascii(path)[1:-1][:200]}: {why}"
    return ""


def open_plainly(path: str) -> int:
    """A directory by its full path, of which no part may be a link. Raises OSError."""
    here = os.open("/", FOLDER)
    for part in filter(None, path.split("/")):
        try:
            below = os.open(part, FOLDER, dir_fd=here)
        finally:
            os.close(here)
        here = below
    return here


def _below(place: int, uid: int, go_on: Callable[[], bool]) -> str:
    top = os.fstat(place)
    # Where the directory itself was given to the id, by hand, root is the only owner that is known.
    owner = (0, 0) if uid in (top.st_uid, top.st_gid) else (top.st_uid, top.st_gid)
    with Tree(place) as tree:
        for found in tree:
            if uid in (found.stat.st_uid, found.stat.st_gid):
                with suppress(FileNotFoundError):
                    give(found.folder, found.name, uid, owner)
            if not go_on():
                return "there was no time for all of it."
        if tree.unread:
            return f"{tree.unread} directories in it could not be looked through."
    give(place, ".", uid, owner)
    return ""


def give(folder: int, name: str, uid: int, owner: tuple[int, int]) -> None:
    """Make that entry, if it is this id's, its new owner's. Raises OSError."""
    opened = os.open(name, LOOK, dir_fd=folder)
    try:
        found = os.fstat(opened)
        if uid not in (found.st_uid, found.st_gid):
            return
        # The file itself, whatever its name leads to by now: a descriptor that is open for looking knows no other way.
        itself = f"/proc/self/fd/{opened}"
        if not stat.S_ISLNK(found.st_mode):
            os.chmod(itself, stat.S_IMODE(found.st_mode) & ~(stat.S_ISUID | stat.S_ISGID))  # noqa: PTH101
            for name_of_list in ACCESS_LISTS:
                with suppress(OSError):
                    os.removexattr(itself, name_of_list)
        new = (owner[0] if found.st_uid == uid else -1, owner[1] if found.st_gid == uid else -1)
        os.chown(itself, *new)
    finally:
        os.close(opened)
