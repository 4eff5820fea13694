"""What init is to end where it is not PID 1 (see `subreaper`): whatever descends from it."""

from __future__ import annotations

import os
import time

from runner import init
from shared import kinship

SWEEP_SECONDS = 20.0


class Kin(init.Namespace):
    """Its descendants, told from all the other processes of this user."""

    def count(self) -> int:
        alive = 0
        for pid in kinship.below(os.getpid()):
            try:
                with open(f"/proc/{pid}/stat", errors="replace") as file:
                    alive += init.is_alive(file.read())
            except OSError:
                continue
        return alive

    def signal(self, number: int) -> None:
        if number == kinship.SIGKILL:
            kinship.kill_below(os.getpid())
            return
        found = kinship.below(os.getpid())
        kinship.signal(found, number)
        # A stopped process would not notice the signal before it is continued.
        kinship.signal(found, kinship.SIGCONT)

    def end(self) -> None:
        """Kill and reap until nothing is left, or cannot be killed."""
        until = time.monotonic() + SWEEP_SECONDS
        try:
            while time.monotonic() < until:
                self.signal(9)
                while os.waitpid(-1, os.WNOHANG)[0]:
                    continue
                time.sleep(0.002)
        except ChildProcessError:
            return

    def abandon(self) -> None:
        """The runner is gone."""
        self.end()
