"""JSON pointers (RFC 6901) whose part `*` stands for every member: what they lead to."""

from __future__ import annotations

import json

from shared.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOUND_MOST = 4096
"""Of one value: `*` may lead anywhere in it."""


def parts(pointer: str) -> tuple[str, ...]:
    """The parts of a pointer; without its leading slash it means the same."""
    if not pointer:
        return ()
    split = pointer.removeprefix("/").split("/")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in split)


def found(value: object, path: tuple[str, ...]) -> list[object]:
    """What stands there, in order; the first FOUND_MOST of it."""
    for at, part in enumerate(path):
        # One object in the other, nearly always: worth a way of its own.
        if type(value) is dict and part in value and part != "*":
            value = value[part]
        elif isinstance(value, dict | list):
            return _found([value], path[at:])
        else:
            return []
    return [value]


def _found(here: list[object], path: tuple[str, ...]) -> list[object]:
    for part in path:
        if not here:
            return here
        here = _members(here) if part == "*" else [below for each in here for below in _member(each, part)]
    return here


def _members(values: list[object]) -> list[object]:
    below: list[object] = []
    for value in values:
        if isinstance(value, dict):
            below += value.values()
        elif isinstance(value, list):
            below += value
        if len(below) >= FOUND_MOST:
            return below[:FOUND_MOST]
    return below


def _member(value: object, part: str) -> tuple[object, ...]:
    if isinstance(value, dict):
        return (value[part],) if part in value else ()
    # Longer than any list is; a number of many digits would only cost time.
    if isinstance(value, list) and part.isascii() and part.isdigit() and len(part) < 10:
        at = int(part)
        return (value[at],) if at < len(value) else ()
    return ()


class Where(NamedTuple):
    """What a value has to meet: a text at each of these places."""

    tests: tuple[tuple[tuple[str, ...], str], ...]

    def meets(self, value: object) -> bool:
        for path, text in self.tests:
            for each in found(value, path):
                # Nearly always both are strings.
                if each == text if isinstance(each, str) else written(each) == text:
                    break
            else:
                return False
        return True


def where(tests: Mapping[str, str]) -> Where:
    return Where(tuple((parts(pointer), text) for pointer, text in tests.items()))


def written(value: object) -> str | None:
    """A string as it is, a number, `true`, `false` and `null` as JSON has them; None for anything that has members."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return None
    try:
        return json.dumps(value)
    except ValueError:  # an integer of thousands of digits
        return None


def keys(path: tuple[str, ...]) -> Iterator[str]:
    """The names in it that a value has to have for certain."""
    return (part for part in path if part != "*" and not part.isdigit())
