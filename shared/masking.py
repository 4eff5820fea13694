"""Takes the values of secrets out of what is stored and shown: hygiene against accidents, not a wall.

Found is a value as it is, line by line, and as common encodings write it. An agent that wants to get a value past this
writes it backwards. A part of a value is not found.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from shared.messages import ExecuteRequest
from shared.record import asdict

LINE_LEAST = 16
"""Bytes. A shorter line of a value of several lines is too ordinary to be looked for by itself."""
ENCODED_MOST = 4096
"""A longer value is looked for as it is and line by line only: its encodings would make every output dearer."""
LOGIN_NAME = "of its login"
LOGIN_TEXTS, LOGIN_CHARS = 64, 16 << 10
"""Of a login, which an agent may write anew: its texts, each line of one for itself, and what they have together."""
_HEAD_LOST = (0, 2, 3)


def mark_of(name: str) -> str:
    """What stands in the place of a value. Nothing in it means anything to JSON, a shell or a terminal."""
    return f"[secret {name}]"


def writings(value: str) -> set[bytes]:
    """What a value may look like: itself, without white space around it, its lines, and its encodings."""
    raw = value.encode()
    found = {raw, raw.strip(), *(line for part in raw.splitlines() if len(line := part.strip()) >= LINE_LEAST)}
    if len(raw) <= ENCODED_MOST:
        for text in {value, value.strip()}:
            found |= _encoded(text)
    return found


def _encoded(value: str) -> set[bytes]:
    from urllib.parse import quote, quote_plus

    raw = value.encode()
    quoted = {quote(value, safe=""), quote(value), quote_plus(value), quote(value, safe="!'()*")}
    texts = {
        value.lower(),  # as a host's name it is
        *(json.dumps(value, ensure_ascii=only)[1:-1] for only in (True, False)),
        json.dumps(value)[1:-1].replace("/", "\\/"),
        repr(value)[1:-1],
        *quoted,
        *(re.sub("%..", lambda found: found[0].lower(), text) for text in quoted),
        raw.hex(),
        raw.hex().upper(),
    }
    return {text.encode() for text in texts} | _base64(raw)


def _base64(raw: bytes) -> set[bytes]:
    """At each of the three places that it can take in what is encoded, without the characters that depend on what
    stands beside it."""
    found = set()
    for before, lost in enumerate(_HEAD_LOST):
        whole = base64.b64encode(bytes(before) + raw)[lost : (before + len(raw)) * 8 // 6]
        found |= {whole, whole.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def hidden(request: ExecuteRequest) -> list[tuple[str, str]]:
    """What is nobody's business of what an attempt is given, by name: its secrets, and the texts in its login."""
    found = [(secret.name, secret.value) for secret in request.secrets]
    for file in request.keep.login if request.keep is not None else ():
        found += [(LOGIN_NAME, text) for text in _texts(file.text)]
    return found


def _texts(document: str) -> Iterator[str]:
    """The strings of a JSON document that are long enough to be keys; of anything else its lines. Not many: a login
    comes back from runs, and what is looked for has its price in every output."""
    try:
        waiting = [json.loads(document)]
    except (ValueError, RecursionError):
        waiting = list(document.splitlines())
    most, chars = LOGIN_TEXTS, LOGIN_CHARS
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value
        elif isinstance(value, str) and len(value.strip()) >= LINE_LEAST and "://" not in value and _is_text(value):
            lines = len(value.splitlines())
            if lines <= most and len(value) <= chars:
                most, chars = most - lines, chars - len(value)
                yield value


def _is_text(value: str) -> bool:
    """JSON can carry half of a surrogate pair, which has no bytes."""
    return not any("\ud800" <= char <= "\udfff" for char in value)


def recorded(request: ExecuteRequest) -> dict[str, Any]:
    """The request as it is stored: no value of a secret or a login, neither among these nor in the prompt."""
    found = hidden(request)
    if not found and (request.keep is None or not request.keep.login):
        return asdict(request)
    plain = asdict(request)
    plain["secrets"] = [{"name": secret.name, "variable": secret.variable} for secret in request.secrets]
    if request.keep is not None:
        plain["keep"] = {**plain["keep"], "login": [{"path": file.path} for file in request.keep.login]}
    masked: dict[str, Any] = Mask(found).value(plain)
    return masked


class Mask:
    """Finds the values of some secrets. `secrets`: names and values."""

    def __init__(self, secrets: Iterable[tuple[str, str]]) -> None:
        named = {needle: name for name, value in secrets for needle in writings(value)}
        # The longest first: where two begin together, that one names the mark.
        self._needles = sorted(named.items(), key=lambda each: (-len(each[0]), each))
        self._least = min((len(needle) for needle, _ in self._needles), default=0)

    def names_in(self, text: str) -> list[str]:
        """Whose values stand in it."""
        data = _bytes(text)
        return sorted({name for needle, name in self._needles if needle in data})

    def holds(self, data: bytes) -> bool:
        """Whether a value stands in it."""
        # Most texts of a large JSON are short ones.
        return len(data) >= self._least and any(needle in data for needle, _ in self._needles)

    def text(self, text: str) -> str:
        """The text with a mark for each value in it."""
        data = _bytes(text)
        if not self.holds(data):
            return text
        stream = Stream(self)
        return (stream.feed(data) + stream.finish()).decode("utf-8", "surrogatepass")

    def value(self, value: Any) -> Any:  # noqa: ANN401 - whatever JSON can carry
        """A value of JSON with its texts masked, those that are keys too; a number that gives one away becomes a text.

        What could be parsed stays what can be written. Raises RecursionError as json does."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return self._members(value)
        if isinstance(value, list | tuple):
            return [self.value(each) for each in value]
        if value is None or isinstance(value, bool):
            return value
        written = json.dumps(value)
        return self.text(written) if self.holds(written.encode()) else value

    def json(self, value: Any) -> bytes:  # noqa: ANN401
        """The value as masked JSON, in ASCII. A secret that is itself JSON may be spread over what is no text of the
        value: then all of it is one mark. Raises RecursionError, and ValueError for what JSON cannot carry."""
        found = json.dumps(self.value(value), allow_nan=False).encode("ascii")
        named = next((name for needle, name in self._needles if needle in found), None)
        return found if named is None else json.dumps(mark_of(named)).encode("ascii")

    def _members(self, value: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, member in value.items():
            name = self.text(key)
            while name in found:  # two keys that became one would lose a member
                name += "'"
            found[name] = self.value(member)
        return found

    def spans(self, data: bytes, covered: int = 0) -> list[tuple[int, int, bytes]]:
        """Where values stand, as beginning, end and mark; those that overlap as one. The first `covered` bytes are
        known to be of one whose mark is written already."""
        found = [
            (start, end, name) for needle, name in self._needles if needle in data for start, end in _all(data, needle)
        ]
        found.sort(key=lambda span: span[0])  # stable, so the longest of a place stays before the others
        merged = [(0, covered, b"")] if covered else []
        for start, end, name in found:
            if merged and start < merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]), merged[-1][2])
            else:
                merged.append((start, end, mark_of(name).encode()))
        return merged

    def settled(self, data: bytes) -> int:
        """Up to where it is known what stands there, whatever follows: the rest may be the beginning of a value."""
        end = cut = len(data)
        for needle, _ in self._needles:
            first = needle[:1]
            at = data.find(first, max(0, end - len(needle) + 1), cut)
            while at >= 0:
                # By the bytes' own comparison. That of views takes 3 ns a byte: seconds, where `aaaa…` is looked for.
                if data.startswith(needle[: end - at], at):
                    cut = at
                    break
                at = data.find(first, at + 1, cut)
        return cut


class Stream:
    """Bytes masked as they come, in whatever pieces: held back is only what may be the beginning of a value.

    `keep`: how many of the bytes are kept as they were."""

    def __init__(self, mask: Mask, keep: int = 0) -> None:
        self._mask, self._keep = mask, keep
        self._carry, self._covered = b"", 0
        self._raw = bytearray()
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """What is settled now."""
        self._size += len(data)
        self._raw += data[: self._keep - len(self._raw)]
        data = self._carry + data
        return self._masked(data, self._mask.settled(data))

    def finish(self) -> bytes:
        """The rest."""
        return self._masked(self._carry, len(self._carry))

    @property
    def whole(self) -> bytes | None:
        """All that came, as it was; None where that is more than is kept."""
        return bytes(self._raw) if self._size <= self._keep else None

    def _masked(self, data: bytes, cut: int) -> bytes:
        out, at = [], 0
        for start, end, mark in self._mask.spans(data, self._covered):
            if start >= max(cut, 1 if self._covered else 0):  # what is covered stays so, though nothing be settled
                break
            out += [data[at:start], mark]
            at = end
        out.append(data[at:cut])
        self._covered, self._carry = max(0, at - cut), data[cut:]
        return b"".join(out)


def _all(data: bytes, needle: bytes) -> Iterator[tuple[int, int]]:
    """Where it stands: of those that overlap enough to cover the same bytes, so that `aaaa…` costs no more."""
    at = data.find(needle)
    while at >= 0:
        end = at + len(needle)
        yield at, end
        later = data.rfind(needle, at + 1, end - 1 + len(needle))
        at = later if later >= 0 else data.find(needle, end)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
