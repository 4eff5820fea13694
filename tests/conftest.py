"""How thoroughly hypothesis looks: CRONWARD_TESTS=full for the long run."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("quick", max_examples=50, deadline=None, derandomize=True)
settings.register_profile("full", max_examples=1000, deadline=None)
settings.load_profile("full" if os.environ.get("CRONWARD_TESTS") == "full" else "quick")
