"""What is still to be told, on disk: one file for the end of a run, written before that end is.

So nothing is lost to a kill at any instant. Killed before the run's end is on disk: the file tells of an end that has
not come, is left alone, and is written anew, or removed, when the run does end. Killed after: the next supervisor finds
the file and the end. The file goes on telling what became of each delivery, for the newest of those that are settled.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from supervisor.errors import StoreError
from supervisor.notifications.deliveries import OUTBOX_FULL, VERSION, Delivery, Letter, State
from supervisor.status import Status
from supervisor.stores.disk import REAL, Disk
from supervisor.stores.history import encoded
from supervisor.stores.home import Home
from supervisor.stores.store import DamagedError, UnreadableError, file_of, read_json, remove_leftovers, set_aside

FILE_BYTES = 8 << 20
MOST_SETTLED = 1000
"""Letters of which nothing is owed any more that are kept, to be looked at."""
logger = logging.getLogger("cronward.notify")


class Outbox:
    """The letters of one home. Its owner holds the home's lock; several of its threads may use it."""

    def __init__(self, home: Home, disk: Disk = REAL) -> None:
        self._folder, self._damaged, self._disk = home.outbox, home.damaged, disk
        self._waiting: dict[str, Letter] = {}
        self._settled: dict[str, None] = {}
        self._unstored: dict[str, Letter] = {}
        self._mutex = threading.Lock()
        self.closed = False

    def keep(self, letter: Letter) -> None:
        """Put it on disk, before the end it tells of. Raises StoreError; then that end is not to be stored either."""
        if letter.deliveries:
            self._disk.replace(self._path(letter.run_id), _encoded(letter))
        elif self._path(letter.run_id).exists():  # of an end that did not come
            self._disk.remove(self._path(letter.run_id))

    def seal(self, letter: Letter, most: int) -> None:
        """The end is on disk: from now on it is owed. Beyond `most`, the oldest is dropped."""
        if not letter.deliveries:
            return
        with self._mutex:
            self._waiting[letter.run_id] = letter.bare()
            excess = list(self._waiting.values())[: max(0, len(self._waiting) - most)]
        for oldest in excess:
            logger.error("The end of run %s is not told: %d others are still to be.", oldest.run_id, most)
            for each in oldest.deliveries:
                if each.waits:
                    self.change(oldest.run_id, each.settled(State.DROPPED, letter.made_at, OUTBOX_FULL))

    def load(self, status_of: Callable[[Letter], Status | None]) -> int:
        """Take up what a former supervisor left, and say how many letters are owed. `status_of`: how the run of a
        letter stands on disk; None where that is not known any more, and then it was as the letter says."""
        remove_leftovers(self._folder)
        found = sorted(self._letters(), key=lambda letter: (letter.made_at, letter.run_id))
        with self._mutex:
            for letter in found:
                if not letter.waits:
                    self._settled[letter.run_id] = None
                elif (status := status_of(letter)) is None or status is letter.status:
                    self._waiting[letter.run_id] = letter.bare()
                elif status.final:  # of an end that did not come, and there will be no other
                    self._disk.remove(self._path(letter.run_id))
            return len(self._waiting)

    def waiting(self) -> list[Letter]:
        """What is owed, without what is told."""
        with self._mutex:
            return list(self._waiting.values())

    def read(self, run_id: str) -> Letter | None:
        """The letter as it lies there; None where there is none, or none that can be read."""
        return _read(self._path(run_id))

    def change(self, run_id: str, delivery: Delivery, *, anew: bool = False, later: bool = False) -> None:
        """Note what became of a delivery. What the disk does not take now, or is to be written `later`, is remembered,
        and written with `store`.

        What was delivered meanwhile stays so. A failed try of what was dropped meanwhile does not bring it back;
        `anew` does."""
        with self._mutex:
            # On disk is what was noted last, unless the disk did not take it.
            before = self._unstored.get(run_id) or self.read(run_id) or self._waiting.get(run_id)
            if before is None or not before.takes(delivery, anew=anew):
                return
            after = before.having(delivery)
            self._unstored[run_id] = after
            self._remember(after)
        if not later:
            self.store()

    def store(self) -> bool:
        """Write what the disk has not got yet. False: it did not take all."""
        while self._unstored:
            with self._mutex:  # let go after each: the scheduler waits for one write at most
                if not self._store_next():
                    return False
        with self._mutex:
            self._forget_oldest()
        return True

    def _store_next(self) -> bool:
        run_id, letter = next(iter(self._unstored.items()), ("", None))
        if letter is None or self.closed:  # closed: the home may be another supervisor's by now
            self._unstored.clear()
            return True
        try:
            self._disk.replace(self._path(run_id), _encoded(letter.bare() if letter.told else letter))
        except StoreError as error:
            logger.warning("What became of a notification cannot be stored and is tried again: %s", error)
            return False
        del self._unstored[run_id]
        return True

    def _remember(self, letter: Letter) -> None:
        if letter.waits:
            self._waiting[letter.run_id] = letter.bare()
            self._settled.pop(letter.run_id, None)
        else:
            self._waiting.pop(letter.run_id, None)
            self._settled[letter.run_id] = None

    def _forget_oldest(self) -> None:
        for run_id in list(self._settled)[: max(0, len(self._settled) - MOST_SETTLED)]:
            del self._settled[run_id]
            with contextlib.suppress(StoreError):  # found again at the next start
                self._disk.remove(self._path(run_id))

    def _letters(self) -> Iterator[Letter]:
        for path in sorted(self._folder.glob("*.json")):
            try:
                yield _parsed(path)
            except FileNotFoundError:
                continue
            except UnreadableError as error:  # what it holds may be whole
                logger.error("%s", error)
            except DamagedError as error:
                logger.error("%s It is kept as %s.", error, set_aside(path, self._damaged))
            except StoreError as error:
                logger.error("%s", error)

    def _path(self, run_id: str) -> Path:
        found = file_of(self._folder, run_id, ".json")
        assert found is not None  # the id of a run that is stored
        return found


def letters(home: Home, prefix: str = "") -> list[Letter]:
    """Every letter that can be read, of runs whose ids begin so, the oldest first: for who only looks."""
    read = (_read(path) for path in home.outbox.glob("*.json") if path.name.startswith(prefix))
    found = [letter for letter in read if letter is not None]
    return sorted(found, key=lambda letter: (letter.made_at, letter.run_id))


def given_up(home: Home, since: datetime) -> list[Letter]:
    """The letters of which something was given up after that instant. No other file is read."""
    paths = [path for path in home.outbox.glob("*.json") if _changed(path) >= since.timestamp()]
    read = [letter for letter in map(_read, paths) if letter is not None]
    return [letter for letter in read if any(each.lost and each.settled_at >= since for each in letter.deliveries)]


def letter_about(home: Home, run_id: str) -> Letter | None:
    """The letter of one run, for who only looks."""
    path = file_of(home.outbox, run_id, ".json")
    return None if path is None else _read(path)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read(path: Path) -> Letter | None:
    try:
        return _parsed(path)
    except (FileNotFoundError, StoreError):
        return None


def _parsed(path: Path) -> Letter:
    """Not by pydantic's own JSON: an answer may hold half of a surrogate pair, which that refuses."""
    try:
        return Letter.model_validate(read_json(path, FILE_BYTES, VERSION))
    except ValidationError:
        raise DamagedError(f"{path} is no letter of the outbox.") from None


def _encoded(letter: Letter) -> bytes:
    return encoded(letter.record())
