"""The way out of a cell, where its job has one: the proxy's process, as the runner sees it.

The cell has a network of its own with nothing in it. Its init makes the one socket that leads out, on the cell's
loopback, and sends it to the proxy, which was started here, outside: the cell's programs connect to the one, the
other accepts. When the proxy is gone, nobody accepts.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from contextlib import suppress

from runner import host
from runner.spawn import high
from shared import wire
from shared.messages import Cell, ExecuteRequest

PROGRAM = os.path.join(os.path.dirname(os.path.realpath(__file__)), "proxy", "__main__.py")
SIGKILL = 9
FINISH_SECONDS = 2.0


class Outlet:
    """`inside`: the descriptor that the cell's init is to get; whoever hands it on closes it."""

    def __init__(self, request: ExecuteRequest, only: int | None = None) -> None:
        """`only`: whose connections the proxy is to take, where others could reach it."""
        self._request, self._only = request, only
        door, inside = socket.socketpair()
        self._door, self.inside = high(door.detach()), high(inside.detach())
        self._control = self._pid = -1

    def start(self, log: int) -> None:
        """`log`: what the proxy writes to. Where it cannot be started, init finds nobody there; the attempt fails."""
        request = self._request
        theirs, self._control = os.pipe()
        theirs = high(theirs)
        # Fits any pipe: what a job may name is bounded.
        os.write(self._control, wire.encode(told(request.cell) | {"only": self._only}))
        actions = [(os.POSIX_SPAWN_DUP2, source, number) for number, source in ((0, theirs), (1, log), (3, self._door))]
        try:
            argv = arguments(request)
            self._pid = os.posix_spawn(argv[0], argv, {"LANG": "C.UTF-8"}, file_actions=actions)
        except OSError as error:
            sys.stderr.write(f"cronward runner: the proxy cannot be started ({error.strerror})\n")
        finally:
            os.close(theirs)
            os.close(self._door)

    def finish(self) -> None:
        """End it, when the cell is gone: with its last connections logged, or else by force."""
        if self._pid < 0:
            return
        os.close(self._control)
        with suppress(ProcessLookupError, ChildProcessError):
            pidfd = os.pidfd_open(self._pid)
            if not select.select([pidfd], [], [], FINISH_SECONDS)[0]:
                os.kill(self._pid, SIGKILL)
            os.close(pidfd)
            _, status = os.waitpid(self._pid, 0)
            if status:
                sys.stderr.write(f"cronward runner: the proxy ended before the run did (wait status {status})\n")
        self._pid = -1


def told(cell: Cell) -> dict[str, object]:
    """What the proxy is to know, and nothing of the prompt or the agent."""
    where, _, port = cell.upstream_proxy.removeprefix("http://").rpartition(":")
    return {
        "public": cell.network == "public",
        "hosts": list(cell.allow_hosts),
        "bytes": cell.network_bytes,
        "upstream": [where.strip("[]"), int(port)] if where else None,
    }


def arguments(request: ExecuteRequest) -> list[str]:
    """As for the runner: whose it is, for `ps`, and nothing else."""
    cache = ["-X", f"pycache_prefix={sys.pycache_prefix}"] if sys.pycache_prefix else []
    whose = ["cronward-proxy", "--run", request.run_id, "--attempt", str(request.attempt)]
    return [host.interpreter().executable, "-I", "-S", *cache, PROGRAM, *whose]
