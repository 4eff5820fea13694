"""What is said of a job that was paused because its runs failed, to tell it from one that its owner paused."""

from __future__ import annotations

import re

_SAID = re.compile(r"[0-9]+ runs? in a row failed\.")


def pause_reason(runs: int) -> str:
    """Why it is paused after so many."""
    return f"{runs} run{'s' * (runs != 1)} in a row failed."


def is_pause_reason(text: str) -> bool:
    """Whether this is such a reason."""
    return _SAID.fullmatch(text) is not None
