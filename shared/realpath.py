"""`os.path.realpath` for paths in which somebody hostile may have put links."""

from __future__ import annotations

import os


def realpath(path: str) -> str:
    """As `os.path.realpath`. What leads through more links than Python can follow (it recurses, before 3.13) stays as
    it is, made absolute, as one that leads in a circle does: the kernel follows forty, so nothing can be opened there.
    """
    try:
        return os.path.realpath(path)
    except RecursionError:
        return os.path.abspath(path)
