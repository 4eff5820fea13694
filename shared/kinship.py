"""All processes below one, where no namespace ends them: found, stopped, and only then killed.

Whoever is killed one by one can go on forking in the meantime. Stopped processes cannot, and what was forked before is
found at the next look; so the tree is looked through until nothing new is there, and killed whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress

SIGKILL, SIGSTOP, SIGCONT = 9, 19, 18
# Each round finds what the last one's processes had forked until they were stopped.
ROUNDS = 200


def below(ancestor: int) -> list[int]:
    """The descendants of a process, zombies too; and whatever lost its parent, if `ancestor` is a subreaper."""
    found: list[int] = []
    left = children(ancestor)
    parents: dict[int, list[int]] | None = None if left is not None else by_parent()
    seen = {ancestor}
    waiting = left if left is not None else (parents or {}).get(ancestor, [])
    while waiting:
        pid = waiting.pop()
        if pid not in seen:
            seen.add(pid)
            found.append(pid)
            waiting += (children(pid) or []) if parents is None else parents.get(pid, [])
    return found


def children(pid: int) -> list[int] | None:
    """Of all its threads; None where the kernel keeps no such list, or the process is gone."""
    found: list[int] | None = None
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                found = (found or []) + listed(f"/proc/{pid}/task/{task}/children")
    return found


def listed(path: str) -> list[int]:
    """The children that one thread forked, by the file in which the kernel lists them; or raise OSError.

    To the end of the file: each read(2) of it gives at most a page, some 680 of them, however many are asked for.
    """
    with open(path, "rb", buffering=0) as file:
        return [int(number) for number in file.read().split()]


def by_parent() -> dict[int, list[int]]:
    """Everybody's children, by everybody's word of who the parent is."""
    found: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError), open(f"/proc/{name}/stat", "rb", buffering=0) as file:
                parent = int(file.read(4096).rpartition(b") ")[2].split()[1])
                found.setdefault(parent, []).append(int(name))
    return found


def signal(pids: list[int], number: int) -> None:
    """Send it to each that is still there and ours to signal."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def kill_below(ancestor: int) -> None:
    """Stop and then kill all that is below, without waiting for its end; `ancestor` reaps it and asks again."""
    kill(lambda: below(ancestor))


def kill(look: Callable[[], list[int]]) -> None:
    """The same for all that `look` finds, which is asked until it finds nothing new."""
    stopped: set[int] = set()
    for _ in range(ROUNDS):
        found = [pid for pid in look() if pid not in stopped]
        if not found:
            break
        signal(found, SIGSTOP)
        stopped.update(found)
    signal(look(), SIGKILL)
