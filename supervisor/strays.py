"""What a killed runner leaves behind: found among our own children, killed, reaped.

The supervisor is a child subreaper, so whatever outlives a runner becomes its child (prctl(2), PR_SET_CHILD_SUBREAPER).
A runner leads a session; `bwrap` shares it, and the init of a cell lives in a PID namespace of its own. Where a run has
no namespace its processes have one filter of system calls more than we have, which nobody can take off; for `none`
too, where it denies nothing. Children that are none of this (another runner, a notifier) are never touched.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from pathlib import Path

from shared import kinship

_PR_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    """Make this process the one that inherits what its runners leave."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER failed")


def sweep(session: int) -> bool:
    """Kill and reap what is left of the dead runner `session`. True: there was something, ask again.

    Also when all of it was reaped at once: its own children became ours after we had looked.
    """
    left = [pid for pid in _children() if _belongs(pid, session)]
    if left:
        kinship.kill(lambda: [each for pid in left for each in (pid, *kinship.below(pid))])
    for pid in left:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return bool(left)


def _children() -> list[int]:
    """Our children, whichever of our threads started them."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found += [int(pid) for pid in (task / "children").read_bytes().split()]
    return found


def _belongs(pid: int, session: int) -> bool:
    with contextlib.suppress(OSError):
        if os.getsid(pid) == session:
            return True
        return any(its > our for its, our in zip(_depths(str(pid)), _depths("self"), strict=True))
    return False


def _depths(process: str) -> tuple[int, int]:
    """In how many PID namespaces, as this /proc counts them, a process has a number; how many filters it has."""
    status = Path(f"/proc/{process}/status").read_text(errors="replace")
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return len(fields.get("NSpid", "").split()), int(fields.get("Seccomp_filters", "0"))
