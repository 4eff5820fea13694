from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticSerializationError

from supervisor.stores.asciijson import to_ascii_json


@given(st.text())
def test_it_says_the_same_in_printable_characters(text: str) -> None:
    data = to_ascii_json({"a": [text, "\x7f\\\x7f"]})
    assert json.loads(data) == {"a": [text, "\x7f\\\x7f"]}
    assert all(0x20 <= byte < 0x7F for byte in data)


def test_half_a_pair_is_refused() -> None:
    with pytest.raises(PydanticSerializationError):
        to_ascii_json("\ud800")


def test_an_indent_is_for_eyes() -> None:
    assert to_ascii_json({"a": "é\x1b"}, indent=1) == b'{\n "a": "\\u00e9\\u001b"\n}'
