"""The way down: from a request to end to nothing left. The ladder is a pure function; the sweep is not.

A rung is climbed once. TERM and KILL go through init, which reaches every process of the cell and then still reports
what was used; END needs nobody's help: the life pipe is closed, bubblewrap killed, and the kernel ends the namespace.
"""

from __future__ import annotations

import os
import select
import time
from enum import IntEnum

from shared import kinship

SIGTERM, SIGKILL = 15, 9
# How long init may take to end a cell whose processes are all killed; measured: a millisecond.
INIT_SECONDS = 2.0
# How long the kernel may take to end a namespace. A process in uninterruptible sleep outlives any patience.
SWEEP_SECONDS = 20.0
# Out of the 1,024 descriptors that a process may have by default.
WATCHED = 64


class Rung(IntEnum):
    RUNNING = 0
    TERM = 1
    KILL = 2
    END = 3


def due(rung: Rung, since: float, grace: float, *, exited: bool) -> float | None:
    """When the next rung is due by itself; None: never. `since`: when this rung was climbed, or the agent ended."""
    if rung is Rung.END:
        return None
    if exited or rung is Rung.KILL:
        return since + INIT_SECONDS
    return since + grace if rung is Rung.TERM else None


def climb(rung: Rung, since: float, now: float, grace: float, *, exited: bool) -> Rung:
    """The rung to stand on now. Once the agent itself has ended, only init can be what does not end."""
    when = due(rung, since, grace, exited=exited)
    if when is None or now < when:
        return rung
    return Rung.END if exited else Rung(rung + 1)


def sweep(within: float = SWEEP_SECONDS, *, apart: bool = True) -> list[int]:
    """Kill and reap whatever is left below us, and return the pids of what does not die in time. `apart`: the kernel
    ends all of it with its init; else it is stopped as a whole first, and some of it may never be a child of ours.

    As the subreaper we inherit every orphan; none of them has any business left. Their pids cannot be anybody else's:
    a child stays ours until it is reaped.
    """
    until = time.monotonic() + within
    while reap():
        if time.monotonic() > until:
            return children(os.getpid()) or [0]
        if apart:
            kinship.signal(children(os.getpid()), SIGKILL)
        else:
            kinship.kill_below(os.getpid())
        # There is no event for "some grandchild became a child".
        wait(children(os.getpid()), 0.002)
    return []


def wait(pids: list[int], seconds: float) -> None:
    """Until one of our children ends, or for so long. Of very many a few are watched: each takes a descriptor."""
    descriptors = [os.pidfd_open(pid) for pid in pids[:WATCHED]]
    try:
        select.select(descriptors, [], [], seconds)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def reap() -> bool:
    """Reap what has ended; whether any child is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return False
    return True


def children(of: int) -> list[int]:
    """Of a process with one thread. The kernel's own list where it is kept: a /proc with hidepid shows no others."""
    try:
        return kinship.listed(f"/proc/{of}/task/{of}/children")
    except OSError:
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and parent_of(name) == of]


def parent_of(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return int(file.read().rpartition(") ")[2].split()[1])
    except OSError:
        return 0
