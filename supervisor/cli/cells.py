"""How wide a text is on a terminal, where a character may take two places or none, and texts cut and set to a width."""

from __future__ import annotations

import re

from rich.cells import cell_len, set_cell_size

# What joins emoji to one, chooses their look or their skin: terminals disagree on how wide the whole is.
_JOINS = re.compile("[\u200c\u200d\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]")
_FLAG_LETTERS = {0x1F1E6 + number: chr(ord("A") + number) for number in range(26)}


def even(text: str) -> str:
    """As wide on every terminal: emoji that are made of several stand side by side, flags are their letters."""
    return text if text.isascii() else _JOINS.sub("", text).translate(_FLAG_LETTERS)


def width(text: str) -> int:
    """The places that it takes."""
    return len(text) if text.rstrip("\u2026").isascii() else cell_len(text)


def clipped(text: str, most: int) -> str:
    """At most so wide; what was cut ends with an ellipsis."""
    return text if cell_len(text) <= most else set_cell_size(text, max(0, most - 1)).rstrip() + "\u2026"


def padded(text: str, wide: int, *, right: bool = False) -> str:
    """With blanks up to this width."""
    blanks = " " * (wide - width(text))
    return blanks + text if right else text + blanks


def folded(line: str, wide: int) -> list[str]:
    """A line in lines of at most this width, broken at blanks where that can be; only such blanks are left out."""
    found: list[str] = []
    start = 0
    while True:
        # Never all of what is left: a prompt may be one line of 256 KiB.
        ahead = line[start : start + 4 * wide]
        fits = _fitting(ahead, wide)
        if start + fits >= len(line):
            return [*found, ahead]
        blank = line.rfind(" ", start + 1, start + fits + 1)
        cut = blank if line[start : max(blank, start)].strip() else start + fits
        found.append(line[start:cut])
        start = cut + (line[cut] == " ")


def _fitting(text: str, wide: int) -> int:
    """How many of its characters fit; at least one, so that folding comes to an end."""
    if cell_len(text) <= wide:
        return max(1, len(text))
    start = set_cell_size(text, wide).rstrip()
    pairs = zip(text, start, strict=False)
    return max(1, next((at for at, (left, right) in enumerate(pairs) if left != right), len(start)))


def wrapped(text: str, wide: int, lines: int) -> list[str]:
    """In at most so many lines of this width, broken between words where that can be; the last one clipped."""
    found = [""]
    for word in text.split():
        longer = f"{found[-1]} {word}".strip()
        if cell_len(longer) <= wide or not found[-1] or len(found) == lines:
            found[-1] = longer
        else:
            found.append(word)
    return [clipped(line, wide) for line in found]
