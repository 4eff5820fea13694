"""Values of a job as TOML writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPED = re.compile('[\x00-\x1f\x7f-\x9f"\\\\\u2028-\u202e\u2066-\u2069]')
_BLOCK_ESCAPED = re.compile('[\x00-\x09\x0b-\x1f\x7f-\x9f\\\\\u2028-\u202e\u2066-\u2069]|"(?="")|"$')
_NAMED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def toml_value(value: object) -> str:
    """A text, number, truth, list or table. What is invisible in a text is escaped."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml_key(key)} = {toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Sequence):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    raise TypeError(type(value).__name__)


def toml_key(key: str) -> str:
    """A key, bare where it can be."""
    return key if _BARE.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    if "\n" not in text:
        return f'"{_ESCAPED.sub(_escaped, text)}"'
    # The line break after the opening quotes is no part of the text.
    return f'"""\n{_BLOCK_ESCAPED.sub(_escaped, text)}"""'


def _escaped(found: re.Match[str]) -> str:
    char = found.group()
    return _NAMED.get(char) or f"\\u{ord(char):04X}"
