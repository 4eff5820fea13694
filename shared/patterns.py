"""A closed list of files below a directory: relative paths, with `*` for any name and `**` for any way down. Pure."""

from __future__ import annotations

from fnmatch import fnmatchcase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Parts = tuple[str, ...]


class Patterns:
    """The list. Names are compared as they are: case matters, and a leading dot is a character."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = [tuple(pattern.split("/")) for pattern in patterns]

    def match(self, path: str) -> bool:
        """Whether this file is on the list."""
        parts = tuple(path.split("/"))
        return any(_matches(pattern, parts) for pattern in self._patterns)

    def lead_into(self, folder: str) -> bool:
        """Whether something below this folder can be on it: others need not be entered."""
        parts = tuple(folder.split("/"))
        return any(_leads(pattern, parts) for pattern in self._patterns)


def _matches(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """Row by row, not by trying each way: what a hostile path could make slow is how often `**` stands in a pattern."""
    reached = _after(pattern, parts)
    return len(pattern) in reached or (pattern[-1] == "**" and len(pattern) - 1 in reached)


def _leads(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    return any(at < len(pattern) for at in _after(pattern, parts))


def _after(pattern: Sequence[str], parts: Sequence[str]) -> set[int]:
    """Up to where the pattern can have been used up by these parts."""
    reached = _skipped(pattern, {0})
    for part in parts:
        step = set[int]()
        for at in reached:
            if at < len(pattern):
                if pattern[at] == "**":
                    step.add(at)
                elif fnmatchcase(part, pattern[at]):
                    step.add(at + 1)
        reached = _skipped(pattern, step)
    return reached


def _skipped(pattern: Sequence[str], reached: set[int]) -> set[int]:
    """`**` stands for no directory as well; at the end of a pattern it stands for all that is below."""
    found = set[int]()
    for at in reached:
        found.add(at)
        while at < len(pattern) - 1 and pattern[at] == "**":
            at += 1  # noqa: PLW2901
            found.add(at)
    return found
