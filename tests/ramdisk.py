"""Where tests that sync thousands of times lie: on a RAM disk where there is one.

What a real disk and a kill do to the stores is for tests/processes.
"""

from __future__ import annotations

import os

FAST = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
