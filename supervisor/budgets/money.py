"""Money as it is counted: in whole millionths of a US dollar, so that sums are exact and a cap is one."""

from __future__ import annotations

from math import ceil

MICROS = 1_000_000
MOST_USD = 1_000_000.0
"""What no run costs; who says more is not believed."""


def micros(usd: float) -> int:
    """An amount in millionths, rounded up: what is spent is never counted as less."""
    return ceil(round(usd * MICROS, 3))


def usd(count: int) -> float:
    """Millionths as dollars."""
    return count / MICROS


def money(amount: float) -> str:
    """As people read it: "4.80 USD", with as many digits as it takes below a cent."""
    digits = 2 if micros(amount) % 10_000 == 0 else 4 if micros(amount) % 100 == 0 else 6
    return f"{amount:,.{digits}f} USD"
