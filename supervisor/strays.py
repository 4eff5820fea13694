"""What a killed runner leaves behind: found among our own children, killed, reaped.

The supervisor is a child subreaper, so whatever outlives a runner becomes its child (prctl(2), PR_SET_CHILD_SUBREAPER).
A runner leads a session; `bwrap` shares it, and the init of a cell lives in a PID namespace of its own. Children that
are neither (another runner, a notifier) are never touched.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from pathlib import Path

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
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
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
        return _depth(str(pid)) > _depth("self")
    return False


def _depth(process: str) -> int:
    """In how many PID namespaces, as this /proc counts them, a process has a number."""
    status = Path(f"/proc/{process}/status").read_text(errors="replace")
    return next((len(line.split()) - 1 for line in status.splitlines() if line.startswith("NSpid:")), 0)
