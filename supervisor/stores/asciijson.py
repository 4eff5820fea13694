"""JSON in printable ASCII: what an agent answered, or a path holds, must not steer the terminal of whoever looks with
`tail` or `cat`."""

from __future__ import annotations

from pydantic_core import to_json


def to_ascii_json(value: object, indent: int | None = None) -> bytes:
    """One JSON text of models, records and plain values; half the time of `json.dumps`, a seventh with an indent.

    Raises PydanticSerializationError for half a surrogate pair, which other readers refuse too.
    """
    # DEL is ASCII, and left as it is there. In JSON it stands only in texts, where this escape means the same.
    return to_json(value, indent=indent, ensure_ascii=True).replace(b"\x7f", b"\\u007f")
