"""How wide a text is on a terminal, where a character may take two places or none, and texts cut and set to a width."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size


def width(text: str) -> int:
    """The places that it takes."""
    return cell_len(text)


def clipped(text: str, most: int) -> str:
    """At most so wide; what was cut ends with an ellipsis."""
    return text if cell_len(text) <= most else set_cell_size(text, max(0, most - 1)).rstrip() + "\u2026"


def padded(text: str, wide: int, *, right: bool = False) -> str:
    """With blanks up to this width."""
    blanks = " " * (wide - cell_len(text))
    return blanks + text if right else text + blanks


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
