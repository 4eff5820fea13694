"""How a tree ended, as the relay saw it."""

from __future__ import annotations

from runner.report import Report
from shared.reasons import Reason
from shared.record import NamedTuple


class Cause(NamedTuple):
    """Why the runner ended the tree."""

    reason: Reason
    error: str


class Used(NamedTuple):
    """The most that was measured of the whole tree: bytes, processes with their threads, seconds. `refused`: how often
    the kernel's counter refused a further process; None where there is no such counter. `disk`: bytes of growth."""

    memory: int = 0
    processes: int = 0
    cpu_seconds: float = 0.0
    refused: int | None = None
    disk: int = 0


class Ending(NamedTuple):
    """What is known when nothing is left of the tree. `stuck`: pids that could not be killed. `abandoned`: the
    supervisor is gone. `asked`: why it was told to end, also where it had ended by itself before."""

    report: Report
    cause: Cause | None = None
    output_bytes: int = 0
    stuck: tuple[int, ...] = ()
    abandoned: bool = False
    used: Used = Used()
    asked: Reason | None = None
