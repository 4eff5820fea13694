"""The JSON of a request: an object in which no two readers could see different things, or a sentence why it is not."""

from __future__ import annotations

import json
from typing import Any

from supervisor.errors import InvalidError

MAX_DEPTH = 16
MAX_DIGITS = 40


def read_body(body: bytes) -> dict[str, Any]:
    """The JSON object in a request's body; InvalidError for anything that two readers could understand differently."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_no_duplicates,
            parse_constant=_no_constant,
            parse_int=_bounded_int,
        )
        deep = _depth(value) > MAX_DEPTH
    except RecursionError:
        deep = True
    except ValueError as error:
        raise InvalidError(f"The body is not JSON in UTF-8: {error}.") from error
    if deep:
        raise InvalidError(f"The body's JSON is nested deeper than {MAX_DEPTH} levels.")
    if not isinstance(value, dict):
        raise InvalidError(f"The body must be a JSON object, not {_kind(value)}.")
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidError(f"The body gives the key {twice[:100]!r} twice: leave one of the two out.")
    return found


def _no_constant(text: str) -> float:
    raise InvalidError(f"The body has the number {text}, which JSON does not know.")


def _bounded_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise InvalidError(f"The body has a number of {len(digits)} digits; nothing here needs more than {MAX_DIGITS}.")
    return int(digits)


def _depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def _kind(value: object) -> str:
    names = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
