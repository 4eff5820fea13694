"""What became of the commits of a run that worked on a private clone, in words."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from shared.findings import Branch

_HASH_CHARS = 12


def words(branch: Branch) -> str:
    """One line for each thing to know, the command that shows the commits among them."""
    return "\n".join(_lines(branch))


def command(branch: Branch) -> str:
    """What shows the commits."""
    span = f"{branch.base[:_HASH_CHARS]}..{branch.name}"
    return shlex.join(["git", "-C", branch.original, "log", "--stat", span])


def _lines(branch: Branch) -> Iterator[str]:
    if branch.name:
        yield f"{branch.name}, {_count(branch.commits, 'commit')}"
        yield command(branch)
    else:
        yield f"none was made: {branch.problem}" if branch.problem else "none was made: nothing was committed"
    if branch.rewritten:
        yield f"it does not build on {branch.base[:_HASH_CHARS]}, where the run began"
    if branch.uncommitted:
        yield f"{_count(branch.uncommitted, 'change')} not committed, and gone"
    if branch.left_out:
        yield f"{_count(branch.left_out, 'commit')} on other branches of the clone, and gone"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
