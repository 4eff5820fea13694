"""The way along a path: every symbolic link on it, and what it comes to, as the kernel would go.

os.path.realpath says only where a way ends. Here each step counts: the links must be made again inside a cell, and
whoever may change one of the steps may change where it ends.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from supervisor.errors import InvalidError

MOST_LINKS = 40
"""The kernel follows no more either (MAXSYMLINKS)."""
# Links in there lead somewhere else for each process that looks: /proc/self/exe is whoever reads it.
_MAGIC = frozenset({"/proc", "/sys", "/dev"})


@dataclass(frozen=True, slots=True)
class Step:
    """One place on the way, and what lstat says of it."""

    path: str
    found: os.stat_result


@dataclass(frozen=True, slots=True)
class Way:
    """`real`: where it ends, free of links. `links`: what each link on it says, by its own place, free of them too."""

    real: str
    links: dict[str, str]
    steps: tuple[Step, ...]

    @property
    def end(self) -> os.stat_result:
        """What is there."""
        return self.steps[-1].found


def walk(path: str) -> Way:
    """The way along an absolute path. Raises InvalidError where it leads nowhere, in a circle or out of the files."""
    links: dict[str, str] = {}
    steps: list[Step] = []
    at, followed, waiting = "/", 0, _parts(path)
    while waiting:
        part = waiting.pop()
        if part == "..":
            at = os.path.dirname(at)
            continue
        here = os.path.join(at, part)
        if here in _MAGIC:
            raise InvalidError(f"The path {path[:200]!r} leads through {here}, where no program lies; name its file.")
        step = Step(here, _look(here, path))
        steps.append(step)
        if not stat.S_ISLNK(step.found.st_mode):
            at = here
            continue
        followed += 1
        if followed > MOST_LINKS:
            raise InvalidError(
                f"The path {path[:200]!r} is a loop of links, or of more than {MOST_LINKS} of them; name its file."
            )
        links[here] = target = _target(here, path)
        at = "/" if target.startswith("/") else at
        waiting += _parts(target)
    if not steps:
        raise InvalidError(f"The path {path[:200]!r} is no file. Name the program itself.")
    return Way(at, links, tuple(steps))


def within(path: str, outer: str) -> bool:
    """Whether a plain path is `outer` or lies in it."""
    return f"{path.rstrip('/')}/".startswith(f"{outer.rstrip('/')}/")


def _parts(path: str) -> list[str]:
    """The last first, to be popped."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _look(here: str, path: str) -> os.stat_result:
    try:
        return os.lstat(here)
    except (OSError, ValueError) as error:  # ValueError: a NUL
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        at = "" if here == path else f" (at {here[:200]!r})"
        raise InvalidError(f"The path {path[:200]!r} leads to no file{at}: {why}.") from None


def _target(here: str, path: str) -> str:
    try:
        target = os.readlink(here)
        target.encode()
    except UnicodeEncodeError:
        raise InvalidError(f"The path {path[:200]!r} leads over a link that is not UTF-8: {here[:200]!r}.") from None
    except OSError as error:  # replaced while we looked, or not ours to read
        raise InvalidError(f"The link {here[:200]!r} cannot be read: {error.strerror}.") from None
    return target
