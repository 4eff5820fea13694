"""JSON as Go's encoding/json writes it, and read with each value's own text kept.

What the original wrote is kept as it wrote it: a time has nanoseconds and a zone that ours has not, and a text may
have been escaped in another way than we would.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from supervisor.errors import InvalidError
from supervisor.models import NEVER

MAX_DEPTH = 16
_SPACE = re.compile(r"[ \t\r\n]*")
_NAMED = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
# Also what HTML or JavaScript could take for more than text.
_ESCAPED = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029\ud800-\udfff]')
_TIME = re.compile(r"(\d{4})-(\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:[.,](\d+))?([Zz]|[+-]\d\d:\d\d)")
_YEARS = range(2, 9999)


@dataclass(frozen=True, slots=True)
class Raw:
    """A value with the text that it was written as."""

    value: object
    text: str


Object = Mapping[str, Raw]


def read_object(text: str, at: int = 0) -> tuple[dict[str, Raw], int]:
    """The members of the object at this place, and where it ends. ValueError: there is none, or a key comes twice."""
    found: dict[str, Raw] = {}
    for start, key_end in _items(text, at, "{", "}"):
        key, end = _DECODER.raw_decode(text, start)
        if not isinstance(key, str) or key in found:
            raise ValueError(f"the key {str(key)[:80]!r} comes twice, or is none")
        colon = _skip(text, end)
        if text[colon : colon + 1] != ":":
            raise ValueError(f"a colon is missing at character {colon}")
        begin = _skip(text, colon + 1)
        value, end = _DECODER.raw_decode(text, begin)
        found[key] = Raw(value, text[begin:end])
        key_end.append(end)
    return found, _last(text, at)


def objects_in(text: str) -> list[dict[str, Raw]]:
    """The objects of the array that this text is. ValueError: something else is in it."""
    found: list[dict[str, Raw]] = []
    for start, ends in _items(text, 0, "[", "]"):
        if text[start : start + 1] != "{":
            raise ValueError(f"no object at character {start}")
        _, end = _DECODER.raw_decode(text, start)
        found.append(read_object(text[start:end])[0])
        ends.append(end)
    return found


def _items(text: str, at: int, opening: str, closing: str) -> Iterator[tuple[int, list[int]]]:
    """Where each item begins; whoever takes one appends where it ends."""
    at = _skip(text, at)
    if text[at : at + 1] != opening:
        raise ValueError(f"no {opening} at character {at}")
    at = _skip(text, at + 1)
    if text[at : at + 1] == closing:
        return
    while True:
        ends: list[int] = []
        yield at, ends
        at = _skip(text, ends[0])
        if text[at : at + 1] == closing:
            return
        if text[at : at + 1] != ",":
            raise ValueError(f"a comma is missing at character {at}")
        at = _skip(text, at + 1)


def _last(text: str, at: int) -> int:
    _, end = _DECODER.raw_decode(text, _skip(text, at))
    return end


def _skip(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _number(digits: str) -> int:
    if len(digits) > 40:
        raise ValueError(f"a number has {len(digits)} digits")
    return int(digits)


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number that JSON knows")


_DECODER = json.JSONDecoder(parse_int=_number, parse_constant=_no_constant)


def go_text(text: str) -> str:
    """The text as a JSON string of Go's."""
    return f'"{_ESCAPED.sub(_escaped, text)}"'


def _escaped(found: re.Match[str]) -> str:
    char = found.group()
    if "\ud800" <= char <= "\udfff":
        return "\\ufffd"
    return _NAMED.get(char) or f"\\u{ord(char):04x}"


def go_value(value: object) -> str:
    """A text, a number, a truth, nothing, or a list of texts in a member of a record of the original's files."""
    if isinstance(value, str):
        return go_text(value)
    if isinstance(value, list | tuple):
        return go_list([go_text(str(item)) for item in value], 3)
    return json.dumps(value)


def go_list(items: Sequence[str], depth: int) -> str:
    """A list as `MarshalIndent` with two blanks writes it. `depth`: of the line on which it begins."""
    if not items:
        return "[]"
    inner = "  " * (depth + 1)
    return "[\n" + ",\n".join(inner + item for item in items) + "\n" + "  " * depth + "]"


def go_object(members: Sequence[tuple[str, str]], depth: int) -> str:
    """An object of keys and written values, likewise."""
    inner = "  " * (depth + 1)
    return "{\n" + ",\n".join(f"{inner}{go_text(key)}: {text}" for key, text in members) + "\n" + "  " * depth + "}"


def go_time(at: datetime) -> str:
    """RFC 3339 with as many digits as needed."""
    if at == NEVER:
        return "0001-01-01T00:00:00Z"
    at = at.astimezone(UTC)
    fraction = f".{at.microsecond:06}".rstrip("0") if at.microsecond else ""
    return f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def read_time(text: object) -> datetime:
    """The instant, in UTC and to the microsecond; NEVER for Go's zero time, in whatever zone it was written.

    Raises InvalidError.
    """
    found = _TIME.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise InvalidError(f"the time {_short(text)} is none: RFC 3339 is needed")
    year, day, clock, fraction, offset = found.groups()
    if year in ("0000", "0001"):
        return NEVER
    micros = ((fraction or "") + "000000")[:6]
    zone = "+00:00" if offset in "Zz" else offset
    try:
        at = datetime.fromisoformat(f"{year}-{day}T{clock}.{micros}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidError(f"the time {_short(text)} does not exist, or is out of range") from None
    if at.year not in _YEARS:
        raise InvalidError(f"the time {_short(text)} is out of range")
    return at


def _short(value: object) -> str:
    return ascii(value)[:60]
