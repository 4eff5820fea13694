"""`init` without a PID namespace: its descendants are its own to find, for the kernel ends nothing with it.

Run by path, outside of any cell, in the place of bubblewrap and init; it says and hears what init does. As a subreaper
it stays the ancestor of whatever an agent starts, however that detaches itself. When the life pipe ends it kills all of
it and goes; if it is killed itself, the runner or, after that, the supervisor is the next subreaper and does the same.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from runner import init, kernel
    from runner.kin import Kin

    kernel.adopt_orphans()
    kernel.gain_nothing()
    init.serve(Kin(), init.REPORT)


if __name__ == "__main__":
    main()
