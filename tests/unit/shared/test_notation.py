from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import notation

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
ODD = [
    *(b"", b" ", b"{", b"[1,", b'{"a":1} x', b'{"a":1}{"b":2}', b"\xff", b'"\xed\xa0\x80"', b"[" * 100_000, b"nul"),
    *(b' {"a": 1}\r\n', b"\xef\xbb\xbf{}", '{"ä": 1}'.encode("utf-16"), b'{"a":\t"b"}', b'"a\nb"', b"1e999", b"NaN"),
    *(b"-Infinity", b"9" * 5000, b'{"a":1,"a":2}', b'"\\ud800"', b"01", b"[1,]", b"true ", b"-", b'{"a"}'),
]


def outcome(read: Any, line: bytes) -> tuple[str, str]:
    try:
        value = read(line)
    except (ValueError, RecursionError) as error:
        return type(error).__name__, str(error)
    return "value", repr(value)


@given(VALUES)
def test_it_writes_and_reads_what_json_does(value: Any) -> None:
    text = notation.dumps(value)
    assert text == json.dumps(value, separators=(",", ":"), allow_nan=False)
    assert notation.loads(text.encode()) == json.loads(text)


def test_it_reads_and_refuses_odd_lines_as_json_does() -> None:
    for line in ODD:
        assert outcome(notation.loads, line) == outcome(json.loads, line), line[:20]


def test_it_refuses_to_write_what_json_does_not_have() -> None:
    for value in (math.nan, math.inf, [-math.inf]):
        with pytest.raises(ValueError, match="not JSON compliant"):
            notation.dumps(value)
    for other in ({1}, b"x", {"a": object()}):
        with pytest.raises(TypeError, match="not JSON serializable"):
            notation.dumps(other)
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(RecursionError):
        notation.dumps(circle)
    circle.clear()
    assert notation.dumps(circle) == "[]"  # and it is none the worse for it


def test_without_the_half_that_is_c_it_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notation, "scan", None)
    monkeypatch.setattr(notation, "chunks", None)
    assert notation.loads(b' {"a": [1]}') == {"a": [1]}
    assert notation.dumps({"a": [1]}) == '{"a":[1]}'
