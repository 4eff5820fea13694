"""Whether bubblewrap can make a cell's namespaces here: tried, because no setting alone tells."""

from __future__ import annotations

import os
import select

from runner import cell
from runner.repair import repair, settings

TRY_SECONDS = 5.0
WORDS_MOST = 300
TRIED = ("--die-with-parent", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--", "/usr/bin/true")


def missing(bwrap: str) -> str:
    """Why there are none, in bubblewrap's own words and with the repair; empty where there are."""
    if not os.access(bwrap, os.X_OK):
        return f"{bwrap} is not there; install bubblewrap"
    reader, writer = os.pipe()
    try:
        actions = [(os.POSIX_SPAWN_DUP2, writer, 2)]
        pid = os.posix_spawn(bwrap, [bwrap, *cell.NAMESPACES, *TRIED], {}, file_actions=actions)
    except OSError as error:
        os.close(reader)
        return f"{bwrap} cannot be started: {error.strerror}"
    finally:
        os.close(writer)
    status = _waited(pid)
    os.set_blocking(reader, False)
    with open(reader, "rb", buffering=0) as said:
        words = (said.read(1 << 12) or b"").decode("utf-8", "replace").strip()
    if status == 0:
        return ""
    last = (words.splitlines() or ["bubblewrap could not make a cell"])[-1][:WORDS_MOST]
    return f"{last}. {repair(last, settings())}".strip(". ")


def _waited(pid: int) -> int:
    pidfd = os.pidfd_open(pid)
    try:
        if not select.select([pidfd], [], [], TRY_SECONDS)[0]:
            os.kill(pid, 9)
        return os.waitpid(pid, 0)[1]
    finally:
        os.close(pidfd)
