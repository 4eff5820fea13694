"""Amounts of bytes as people write them."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

UNITS = {
    "": 1,
    "B": 1,
    "kB": 1000,
    "KiB": 1 << 10,
    "MB": 1000**2,
    "MiB": 1 << 20,
    "GB": 1000**3,
    "GiB": 1 << 30,
    "TB": 1000**4,
    "TiB": 1 << 40,
}
LARGEST = 1 << 50
_WRITTEN = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([A-Za-z]{0,3})", re.ASCII)
_BY_LOWER = {unit.lower(): factor for unit, factor in UNITS.items()}


def parse_size(written: object) -> object:
    """Bytes out of a number or a text such as `1.5 GiB`. Raises ValueError on any other text; leaves other types."""
    if not isinstance(written, str):
        return written
    match = _WRITTEN.fullmatch(written.strip())
    factor = _BY_LOWER.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError("should be a size such as 512MiB, 1GiB or a number of bytes")
    whole, _, fraction = match[1].partition(".")
    # In whole numbers: a float would lose bytes above 2^53.
    return int(whole) * factor + (int(fraction) * factor // 10 ** len(fraction) if fraction else 0)


def format_size(size: int) -> str:
    """The shortest exact way to write it: `1GiB`, `1500MiB`, `1000B`."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % UNITS[unit] == 0:
            return f"{size // UNITS[unit]}{unit}"
    return f"{size}B"


SIZE = BeforeValidator(parse_size)
Bytes = Annotated[int, SIZE, Field(ge=1, le=LARGEST)]
"""A number of bytes, at least 1, also accepted as text."""
