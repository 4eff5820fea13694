"""JSON as `json` reads and writes it, without the cost of its import where that can be had.

`json` is two halves: C, which does the work, and Python, which imports regular expressions to find white space, and
with them half of what a runner has no need of: 8 ms, as much as the interpreter's own start. The C half is used here as
the other one uses it, on lines as our own side writes them. Anything else, and an interpreter that has no such half or
another one, goes the usual way, so that every error is `json`'s own.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

try:
    from _json import encode_basestring_ascii, make_encoder, make_scanner
except ImportError:
    make_encoder = make_scanner = None  # type: ignore[assignment,misc]


class Reading:
    """What the scanner asks its decoder for: the defaults of `json.JSONDecoder`."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = {"-Infinity": float("-inf"), "Infinity": float("inf"), "NaN": float("nan")}.__getitem__


def _unknown(value: object) -> object:
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _scanner() -> Callable[[str, int], tuple[object, int]] | None:
    try:
        return make_scanner(Reading)  # type: ignore[arg-type]
    except (AttributeError, TypeError):
        return None


def _encoder() -> Callable[[object, int], tuple[str, ...]] | None:
    try:
        # No dict of what is being written: one that outlives a failed line would find circles where there are none.
        return make_encoder(None, _unknown, encode_basestring_ascii, None, ":", ",", False, False, False)
    except TypeError:
        return None


scan, chunks = _scanner(), _encoder()


def loads(line: bytes) -> object:
    """`json.loads`."""
    if scan is not None:
        try:
            text = line.decode("utf-8")
            message, end = scan(text, 0)
            if end == len(text):
                return message
        except (ValueError, StopIteration, RecursionError):
            pass
    import json

    return json.loads(line)


def dumps(message: object) -> str:
    """`json.dumps` without white space; numbers that JSON does not have are refused with ValueError."""
    if chunks is not None:
        return "".join(chunks(message, 0))
    import json

    return json.dumps(message, separators=(",", ":"), allow_nan=False)
