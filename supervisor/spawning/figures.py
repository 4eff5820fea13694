"""The figures in what a runner says. One that nobody can mean would be stored, and then be readable by nobody."""

from __future__ import annotations

from math import isfinite

from shared.messages import RunnerMessage
from shared.record import asdict

MOST = float(1 << 40)
"""Of what is no whole number: seconds, of which datetime takes no more than some hundred thousand years."""
MOST_WHOLE = 1 << 63
AGENTS_OWN = frozenset({"spending", "spent_in_all"})
"""What an agent says of itself, which is looked at where it is charged: its nonsense is no fault of the runner's."""


def flaw(message: RunnerMessage) -> str:
    """Which figure cannot be meant; empty: all can."""
    return _flaw({name: value for name, value in asdict(message).items() if name not in AGENTS_OWN}, "")


def _flaw(value: object, where: str) -> str:
    if isinstance(value, dict):
        named = ((f"{where}.{name}" if where else str(name), inner) for name, inner in value.items())
    elif isinstance(value, list | tuple):
        named = ((where, inner) for inner in value)
    elif isinstance(value, float):
        return "" if isfinite(value) and abs(value) <= MOST else where
    else:
        return where if isinstance(value, int) and abs(value) > MOST_WHOLE else ""
    return next((found for name, inner in named if (found := _flaw(inner, name))), "")
