"""Framing: what one side says arrives whole at the other, however the pipe cuts it, and a breach is one error."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.wire import MAX_LINE, LineSplitter, ProtocolError, decode, encode

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def fed(splitter: LineSplitter, data: bytes, size: int) -> list[bytes]:
    return [line for start in range(0, len(data), size) for line in splitter.feed(data[start : start + size])]


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=5), st.integers(1, 40))
def test_messages_arrive_whole_however_the_stream_is_cut(messages: list[dict[str, Any]], size: int) -> None:
    splitter = LineSplitter()
    lines = fed(splitter, b"".join(map(encode, messages)), size)
    assert [decode(line) for line in lines] == messages
    assert not splitter.unfinished


@given(st.binary(max_size=200), st.integers(1, 30), st.integers(2, 30))
def test_any_bytes_end_in_lines_or_in_one_error(data: bytes, size: int, limit: int) -> None:
    splitter = LineSplitter(limit)
    lines: list[bytes] = []
    errors = 0
    for start in range(0, len(data), size):
        try:
            lines += splitter.feed(data[start : start + size])
        except ProtocolError:
            errors += 1
    first_bad = next((n for n, line in enumerate(data.split(b"\n")) if len(line) >= limit), None)
    assert errors == (first_bad is not None)
    complete = data.split(b"\n")[:-1]
    assert lines == (complete if first_bad is None else complete[: len(lines)])


def test_a_line_may_be_exactly_as_long_as_the_limit() -> None:
    line = b"x" * (MAX_LINE - 1) + b"\n"
    assert len(line) == MAX_LINE
    assert LineSplitter().feed(line) == [line[:-1]]


@pytest.mark.parametrize("size", [MAX_LINE + 1, 1 << 16])
def test_one_byte_more_is_an_error(size: int) -> None:
    with pytest.raises(ProtocolError, match="longer than"):
        fed(LineSplitter(), b"x" * MAX_LINE + b"\n", size)


def test_an_unfinished_line_is_refused_before_its_newline_comes() -> None:
    with pytest.raises(ProtocolError):
        LineSplitter(10).feed(b"0123456789")


def test_the_encoder_keeps_to_the_same_limit() -> None:
    room = MAX_LINE - len(encode({"a": ""}))
    assert len(encode({"a": "x" * room})) == MAX_LINE
    with pytest.raises(ProtocolError, match=str(MAX_LINE + 1)):
        encode({"a": "x" * (room + 1)})


def test_a_hundred_megabytes_without_a_newline_are_one_error_and_flat_memory() -> None:
    splitter, chunk, errors = LineSplitter(), b"x" * (1 << 16), 0
    tracemalloc.start()
    for _ in range(1600):
        try:
            assert splitter.feed(chunk) == []
        except ProtocolError:
            errors += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert errors == 1
    assert peak < 3 * MAX_LINE


def test_a_hundred_megabytes_of_lines_pass_in_flat_memory() -> None:
    splitter, chunk, count = LineSplitter(), b"x" * 999_999 + b"\n", 0
    tracemalloc.start()
    for _ in range(100):
        for start in range(0, len(chunk), 1 << 16):
            count += len(splitter.feed(chunk[start : start + (1 << 16)]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 100
    assert peak < 4 * MAX_LINE


def test_a_broken_stream_is_not_listened_to_again() -> None:
    splitter = LineSplitter(10)
    with pytest.raises(ProtocolError):
        splitter.feed(b"0123456789abc")
    assert splitter.feed(b"\n{}\n") == []


def test_the_encoded_line_is_ascii_and_one_line() -> None:
    line = encode({"text": "é\n\x1b[31m\u2028😀"})
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert b"\x1b" not in line


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"1", b"null", b'"x"', b"\xff", b"{}x", b'{"a":' + b"[" * 100_000, b"9" * 5000],
    ids=["empty", "cut", "list", "number", "null", "text", "not UTF-8", "more", "deep", "digits"],
)
def test_a_line_that_is_no_object_is_a_breach(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode(line)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_say_is_not_said(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode({"a": value})
