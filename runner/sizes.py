"""Amounts of bytes, for people."""

from __future__ import annotations


def size(count: int) -> str:
    """In the largest unit that it fills."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{count / factor:.4g} {unit}"
    return f"{count} bytes"
