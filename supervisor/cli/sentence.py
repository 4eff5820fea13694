"""A message broken into the lines of a terminal, so that what people copy out of it stays in one piece."""

from __future__ import annotations

import re

# A command: between backticks, or after a colon, as in "Start one with: cronward supervise --ensure".
_WHOLE = re.compile(r"`[^`\n]*`|(?<=: )(?:apt-get|chmod|cronward|git|loginctl|npm|pip|systemd-run) [^;\n]+$")
_HELD = "\ue000"
"""Stands for a blank at which nothing is broken; of a private area, and one place wide."""


def broken(text: str, wide: int) -> str:
    """The same words with line breaks between them. A word that is longer than a line is left to the terminal, which
    breaks it without adding anything."""
    if all(len(line) <= wide for line in text.split("\n")) and text.isascii():
        return text  # without loading the widths of all other characters for nothing
    return "\n".join(_broken(line, wide) for line in text.split("\n"))


def _broken(line: str, wide: int) -> str:
    from supervisor.cli.cells import width

    body = line.lstrip(" ")
    margin = " " * (len(line) - len(body))
    lines, current = [], ""
    for word in _WHOLE.sub(lambda found: found[0].replace(" ", _HELD), body).split(" "):
        longer = f"{current} {word}" if current else margin + word
        if current.strip() and width(longer) > wide:
            lines.append(current)
            longer = margin + word
        current = longer
    return "\n".join([*lines, current]).replace(_HELD, " ")
