"""`init` without a PID namespace: its descendants are its own to find, for the kernel ends nothing with it.

Run by path, outside of any cell, in the place of bubblewrap and init; it says and hears what init does. As a subreaper
it stays the ancestor of whatever an agent starts, however that detaches itself. When the life pipe ends it kills all of
it and goes; if it is killed itself, the runner or, after that, the supervisor is the next subreaper and does the same.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from typing import NoReturn

SWEEP_SECONDS = 20.0


class Tree:
    """What init is to end, told from all the other processes of this user."""

    def count(self) -> int:
        from runner import init
        from shared import tree

        alive = 0
        for pid in tree.below(os.getpid()):
            with suppress(OSError), open(f"/proc/{pid}/stat", errors="replace") as file:
                alive += init.is_alive(file.read())
        return alive

    def signal(self, number: int) -> None:
        from shared import tree

        if number == tree.SIGKILL:
            tree.kill_below(os.getpid())
            return
        found = tree.below(os.getpid())
        tree.signal(found, number)
        # A stopped process would not notice the signal before it is continued.
        tree.signal(found, tree.SIGCONT)

    def end(self) -> None:
        """Kill and reap until nothing is left, or cannot be killed."""
        until = time.monotonic() + SWEEP_SECONDS
        with suppress(ChildProcessError):
            while time.monotonic() < until:
                self.signal(9)
                while os.waitpid(-1, os.WNOHANG)[0]:
                    continue
                time.sleep(0.002)

    def abandon(self) -> None:
        """The runner is gone."""
        self.end()


def main() -> NoReturn:
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from runner import init, kernel

    kernel.adopt_orphans()
    kernel.gain_nothing()
    init.serve(Tree(), init.REPORT)


if __name__ == "__main__":
    main()
