"""No value of a secret gets past a mask, in whatever pieces it comes; what holds none stays as it was."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.keep import Keep, LoginFile
from shared.masking import (
    ENCODED_MOST,
    LOGIN_CHARS,
    LOGIN_TEXTS,
    Mask,
    Stream,
    hidden,
    mark_of,
    recorded,
    writings,
)
from shared.messages import Secret, request_from
from tests.fakes import make_request

# Few letters, so that values overlap, repeat themselves and almost begin again and again.
VALUES = st.lists(st.text("ab", min_size=8, max_size=12), min_size=1, max_size=3)
FIRST = 's3cret-value/&"quoted"\n+é'
MASK = Mask([("FIRST", FIRST), ("SECOND", "correct horse battery")])


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    yield from (data[start:end] for start, end in pairwise(edges))


def streamed(mask: Mask, parts: Iterator[bytes] | list[bytes]) -> bytes:
    stream = Stream(mask)
    return b"".join([*(stream.feed(part) for part in parts), stream.finish()])


def plainly(needles: list[bytes], data: bytes) -> list[tuple[int, int]]:
    """Where the mask has to stand: looked for at every place, and joined where two overlap."""
    found = [(at, at + len(n)) for at in range(len(data)) for n in needles if data.startswith(n, at)]
    joined: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


@given(VALUES, st.text("abc", max_size=60), st.lists(st.integers(0, 60), max_size=8))
@example(["aabbaaab"], "ba", [10])  # nothing new is settled while the end of a value may begin another
@example(["abaababa", "babaabab"], "ab", [9, 10, 11])
def test_the_same_bytes_are_masked_in_whatever_pieces_they_come(values: list[str], text: str, cuts: list[int]) -> None:
    mask = Mask([(f"N{number}", value) for number, value in enumerate(values)])
    text += values[0] + text  # one at least
    data = text.encode()
    spans = plainly(list({n for value in values for n in writings(value)}), data)
    expected, at = "", 0
    masked = streamed(mask, pieces(data, cuts)).decode()
    for start, end in spans:
        expected += data[at:start].decode() + "#"
        at = end
    for number in range(len(values)):
        masked = masked.replace(mark_of(f"N{number}"), "#")
    assert masked == expected + data[at:].decode()
    assert mask.text(text) == streamed(mask, [data]).decode()


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_what_holds_no_secret_is_untouched(data: bytes, cuts: list[int]) -> None:
    assert streamed(MASK, pieces(data, cuts)) == data


@given(st.binary(max_size=30), st.binary(max_size=30), st.lists(st.integers(0, 120), max_size=8))
def test_no_writing_of_a_value_gets_through(before: bytes, after: bytes, cuts: list[int]) -> None:
    for writing in (
        FIRST,
        json.dumps(FIRST),
        json.dumps(FIRST, ensure_ascii=False),
        repr(FIRST),
        quote(FIRST),
        quote_plus(FIRST),
        quote(FIRST).lower(),
        FIRST.encode().hex(),
        base64.b64encode(FIRST.encode() + b"\n").decode(),
    ):
        out = streamed(MASK, pieces(before + writing.encode() + after, cuts))
        assert mark_of("FIRST").encode() in out, writing
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        out = streamed(MASK, pieces(encode(before + FIRST.encode() + after), cuts))
        assert mark_of("FIRST").encode() in out


def test_a_stream_holds_back_only_what_may_be_the_beginning_of_a_value() -> None:
    stream = Stream(MASK)
    assert stream.feed(b"a line\ncorrect") == b"a line\n"
    assert stream.feed(b" horse") == b""
    assert stream.feed(b"man") == b"correct horseman"
    assert stream.feed(b"correct horse battery.") == b"[secret SECOND]."
    assert (stream.feed(b"corr"), stream.finish()) == (b"", b"corr")


def test_a_long_run_of_one_letter_is_one_mark_and_holds_no_more_than_a_value() -> None:
    stream = Stream(Mask([("A", "a" * 9)]))
    out = [stream.feed(b"a" * 1000) for _ in range(50)]
    assert b"".join([*out, stream.finish()]) == b"[secret A]"
    assert len(stream._carry) < 9


def test_what_is_kept_as_it_was_is_all_or_nothing() -> None:
    stream = Stream(MASK, keep=30)
    stream.feed(FIRST.encode()[:10])
    stream.feed(FIRST.encode()[10:])
    assert stream.whole == FIRST.encode()
    stream.feed(b"so much more")
    assert stream.whole is None


def test_the_lines_of_a_long_value_are_found_by_themselves_but_not_the_ordinary_ones() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nshort line\n-----END KEY-----\n"
    mask = Mask([("KEY", key)])
    assert mask.text("x MIIEvQIBADANBgkqhkiG9w0B y, a short line") == "x [secret KEY] y, a short line"
    assert mask.text(f"{key}.") == "[secret KEY]."
    assert writings("x" * (ENCODED_MOST + 1)) == {b"x" * (ENCODED_MOST + 1)}


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.sampled_from(
    [FIRST, "correct horse battery", "x", "12345678", '","status":"', "true true", "[secret FIRST]"]
)
JSONS = st.recursive(
    SCALARS | TEXTS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
ODD = Mask([("N", "12345678"), ("Q", '","status":"'), ("T", "true true"), ("FIRST", FIRST), ("J", '{"a": [1, 2]}')])


@given(JSONS)
def test_masked_json_stays_json_and_holds_no_value(value: Any) -> None:
    found = ODD.json(value)
    json.loads(found)
    assert not ODD.holds(found)
    assert ODD.holds(json.dumps(value).encode()) or json.loads(found) == value


def test_json_keeps_its_structure_under_a_mask() -> None:
    value = {"status": "ok", "token": FIRST, FIRST: 1, f"x{FIRST}": [12345678, 7, True, None, {"q": f"<{FIRST}>"}]}
    assert ODD.value(value) == {
        "status": "ok",
        "token": "[secret FIRST]",
        "[secret FIRST]": 1,
        "x[secret FIRST]": ["[secret N]", 7, True, None, {"q": "<[secret FIRST]>"}],
    }
    assert ODD.value({"12345678": 1, "[secret N]": 2}) == {"[secret N]": 1, "[secret N]'": 2}
    assert json.loads(ODD.json({"x": {"a": [1, 2]}})) == "[secret J]", "a value that is JSON is spread over no text"


def test_a_request_is_recorded_and_shown_without_a_value(tmp_path: Path) -> None:
    secret = Secret(name="FIRST", value=FIRST, variable="TOKEN")
    request = make_request("run-1", 1, tmp_path, prompt=f"Use {FIRST}!", secrets=(secret,))
    told = json.dumps(recorded(request))
    assert request_from(json.loads(json.dumps(asdict(request)))) == request
    for text in (told, repr(replace(request, prompt="")), str(secret)):
        assert not MASK.holds(text.encode())
    assert json.loads(told)["prompt"] == "Use [secret FIRST]!"
    assert json.loads(told)["secrets"] == [{"name": "FIRST", "variable": "TOKEN"}]


def test_a_login_that_an_agent_wrote_anew_is_not_looked_for_in_thousands_of_pieces(tmp_path: Path) -> None:
    lines = "\n".join(f"line {number} of many, as long as a key" for number in range(2000))
    periodic = "a" * 9000
    for document in (
        json.dumps({"lines": lines}),
        json.dumps([f"text {number} that may be a key" for number in range(2000)]),
        json.dumps([periodic, periodic + "b", "b" + periodic]),
        lines,
    ):
        request = make_request("run-1", 1, tmp_path)
        keep = Keep(directory="", login=(LoginFile(path="login", text=document),))
        found = hidden(replace(request, keep=keep))
        assert sum(len(text.splitlines()) for _, text in found) <= LOGIN_TEXTS
        assert sum(len(text) for _, text in found) <= LOGIN_CHARS


@pytest.mark.timeout(15)
def test_a_value_that_repeats_itself_is_not_compared_byte_by_byte() -> None:
    """With views of the bytes it would take a minute."""
    half = "a" * 100_000
    mask = Mask([("A", f"{half}b{half}")])
    assert mask.settled(b"x" + b"a" * 150_000) == 50_001


def test_a_hostile_output_costs_no_more_than_a_few_looks() -> None:
    """An output made of beginnings of a value is the worst there is."""
    size = ENCODED_MOST * 2
    letters = random.Random(size)
    value = "".join(letters.choices("abcdefgh", k=size))
    mask, data = Mask([("A", value)]), value[: size - 1].encode() * (200_000 // size)
    looks = 0

    class Counted(bytes):
        def find(self, *given: Any) -> int:
            nonlocal looks
            looks += 1
            return super().find(*given)

    assert mask.settled(Counted(data)) > len(data) - size
    assert looks <= size * 30
