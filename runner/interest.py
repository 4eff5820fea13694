"""Which lines of an output can matter at all, told by their bytes: most of what agents write is not worth parsing.

A value that has to be a certain text has it in its bytes, if that is of letters that nobody escapes; so has a value in
which a certain name has to be. What an agent writes otherwise (`"t\\u0079pe"`) is not found, and it is its own loss.
"""

from __future__ import annotations

import re

from runner import pointer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PLAIN = re.compile(r"[A-Za-z0-9_.:-]+")
LITERAL = re.compile(r"true|false|null|-?[0-9].*")


Needles = tuple[bytes, ...]
"""All of them have to stand in a line for it to matter; without any, each line may."""


def in_values(where: Mapping[str, str], pointers: Iterable[str] = ()) -> Needles:
    """Of those who look at values that meet `where`, at these places."""
    needles = [value_needle(text) for text in where.values()]
    named = {key for each in where for key in pointer.keys(pointer.parts(each))}
    # Names that stand beside a value that is looked for add little, and each costs a search.
    if not any(needles):
        named |= {key for each in pointers for key in pointer.keys(pointer.parts(each))}
        needles += [b'"%s"' % key.encode() for key in sorted(named) if PLAIN.fullmatch(key)]
    return tuple(needle for needle in needles if needle)


def value_needle(text: str) -> bytes:
    """Empty where a value can be written in more than one way."""
    if not PLAIN.fullmatch(text):
        return b""
    return text.encode() if LITERAL.fullmatch(text) else b'"%s"' % text.encode()
