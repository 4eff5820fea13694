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

from shared import kinship

_PR_SET_CHILD_SUBREAPER = 36
_BLOCK = 1 << 16


def adopt() -> None:
    """Make this process the one that inherits what its runners leave."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER failed")


def sweep(session: int) -> bool:
    """Kill and reap what is left of the dead runner `session`. True: there was something, ask again.

    Also when all of it was reaped at once: its own children became ours after we had looked.
    """
    ours = _depths("self")
    left = [pid for pid in _children() if _belongs(pid, session, ours)]
    if left:
        kinship.kill(lambda: [each for pid in left for each in (pid, *kinship.below(pid))])
    for pid in left:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    return bool(left)


def _children() -> list[int]:
    """Our children, whichever of our threads started them."""
    found: list[int] = []
    for task in os.listdir("/proc/self/task"):  # noqa: PTH208 - at every end
        with contextlib.suppress(OSError):
            found += [int(pid) for pid in _read(f"/proc/self/task/{task}/children").split()]
    return found


def _belongs(pid: int, session: int, ours: tuple[int, int]) -> bool:
    with contextlib.suppress(OSError):
        if os.getsid(pid) == session:
            return True
        return any(its > our for its, our in zip(_depths(str(pid)), ours, strict=True))
    return False


def _depths(process: str) -> tuple[int, int]:
    """In how many PID namespaces, as this /proc counts them, a process has a number; how many filters it has."""
    status = _read(f"/proc/{process}/status")
    return len(_field(status, b"NSpid").split()), int(_field(status, b"Seccomp_filters") or 0)


def _field(status: bytes, name: bytes) -> bytes:
    """Its value; nothing where this kernel has none. A process can call itself what it likes, but for a newline."""
    _, found, rest = status.partition(b"\n" + name + b":")
    return rest.partition(b"\n")[0].strip() if found else b""


def _read(path: str) -> bytes:
    """A small file of /proc. It is asked at every end, for every child: without Python's layers a fifth of the time."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = data = os.read(fd, _BLOCK)
        while data:
            found += (data := os.read(fd, _BLOCK))
        return found
    finally:
        os.close(fd)
