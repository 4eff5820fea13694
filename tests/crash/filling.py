"""Fill the disk of a supervisor under trial, and drain it."""

from __future__ import annotations

import random

from tests.crash.reign import Reign
from tests.crash.smalldisk import SmallDisk, throttle
from tests.driver import eventually


def a_little(disk: SmallDisk, draw: random.Random) -> int:
    """Room for a part of a line, for a few lines, or for none, in bytes."""
    return draw.choice((0, 0, draw.randrange(5000), draw.randrange(50_000))) if disk.mounted else draw.randrange(20_000)


def fill(disk: SmallDisk, reign: Reign, room: int) -> None:
    """Leave so many bytes: of the disk, or, where none could be mounted, to each file that the supervisor writes."""
    assert reign.process is not None
    if disk.mounted:
        disk.fill(room)
    else:
        throttle(reign.process.pid, room)


def fill_until_it_is_met(disk: SmallDisk, reign: Reign) -> None:
    """A job is due each second: nothing of it can be stored, and that is said."""
    fill(disk, reign, 0)
    eventually(lambda: "No space left" in reign.log() or "File too large" in reign.log(), 60.0)


def drain(disk: SmallDisk, reign: Reign) -> None:
    disk.drain()
    if not disk.mounted and reign.alive():
        assert reign.process is not None
        throttle(reign.process.pid, None)
