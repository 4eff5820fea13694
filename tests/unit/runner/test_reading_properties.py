"""Whatever an agent writes, reading it comes to an end, keeps little, and never fails."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from runner import pointer
from runner.account import account
from runner.lines import Lines
from runner.listener import Listener
from runner.reading import Reader, document
from runner.transcript import Transcript
from shared.masking import Mask
from shared.messages import Caps
from shared.reading import Blame, Event, Pick, Reading, reading_from
from shared.reasons import Reason
from shared.record import asdict
from shared.wire import encode
from tests.driver import request
from tests.readings import CLAUDE, CODEX, GEMINI, LLM, OPENCODE, claude_says, lines

WORDS = ("type", "result", "usage", "a", "0", "message", "content", "", "item")
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.sampled_from(WORDS) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)
LINE = JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=30)
PARTS = st.lists(st.sampled_from((*WORDS, "*", "~0", "~1", "~")), max_size=3)
POINTER = PARTS.map(lambda parts: "".join(f"/{part}" for part in parts))
PICK = st.builds(
    Pick,
    pointer=POINTER,
    where=st.dictionaries(POINTER, st.sampled_from((*WORDS, "true", "null", "7")), max_size=2),
    take=st.sampled_from(("first", "last", "join", "sum", "count")),
    stream=st.sampled_from(("stdout", "stderr")),
    add=st.lists(POINTER, max_size=1).map(tuple),
    once=POINTER,
    pattern=st.sampled_from(("", "a", "(.)")),
)
PICKS = st.lists(PICK, max_size=2).map(tuple)
EVENT = st.builds(Event, kind=st.sampled_from(("text", "tool_call")), each=POINTER, text=POINTER, name=POINTER)
SAID = ("answer", "done", "failed", "refused", "error", "status", "retry_after", "model", "conversation")
READING = st.builds(
    Reading,
    format=st.sampled_from(("text", "json", "jsonl")),
    structured=st.none() | PICK,
    events=st.lists(EVENT, max_size=2).map(tuple),
    **dict.fromkeys((*SAID, "input_tokens", "output_tokens", "cost_usd", "turns"), PICKS),
)
REAL = st.sampled_from((CLAUDE, CODEX, GEMINI, OPENCODE, LLM))


@settings(max_examples=100, deadline=None)
@given(READING | REAL, st.lists(LINE, max_size=6), st.binary(max_size=40), st.integers(1, 40))
def test_no_output_breaks_the_reader_and_its_account_can_be_said(
    reading: Reading, said: list[bytes], errors: bytes, piece: int
) -> None:
    listener = Listener(request(Path("/log"), "prog", caps=Caps(tokens=5)), reading, -1, lambda: 0.0)
    data = b"\n".join(said)
    for at in range(0, len(data), piece):
        listener.hear(data[at : at + piece])
    found = listener.finish(errors)
    encode({"account": [str(each) for each in found], "spent": found.spent_in_all and asdict(found.spent_in_all)})
    spent = found.spent_in_all
    figures = [] if spent is None else [spent.input_tokens, spent.output_tokens, spent.cost_usd, spent.turns]
    assert all(0 <= figure <= 10**15 for figure in figures if figure is not None)


@settings(max_examples=100, deadline=None)
@given(READING, st.lists(LINE, max_size=5))
def test_a_line_that_is_not_parsed_could_have_mattered_to_nobody(reading: Reading, said: list[bytes]) -> None:
    """What the bytes of a line tell beforehand changes nothing of what is found."""
    quick, thorough = Reader(reading), Reader(reading)
    for group in (*thorough._out, *thorough._err):
        group.needs = ()
    thorough._events = [() for _ in thorough._events]
    # Names and values as every JSON library writes them.
    data = b"".join(line + b"\n" for line in said if b"\n" not in line and b"\\u" not in line)
    for reader in (quick, thorough):
        list(reader.feed(data))
        list(reader.finish())
    assert account(quick) == account(thorough)


@given(READING | REAL)
def test_a_reading_travels_whole(reading: Reading) -> None:
    assert reading_from(json.loads(json.dumps(asdict(reading)))) == reading


def test_a_blame_travels_whole() -> None:
    reading = Reading(blame=(Blame(reason=Reason.REFUSED, words="x", codes=(1, 2)),))
    assert reading_from(json.loads(json.dumps(asdict(reading)))) == reading


def test_a_line_matters_however_its_letters_are_written_and_to_each_who_looks_at_it() -> None:
    where = {"/kind": "grün & gut"}
    reading = Reading(
        format="jsonl", answer=(Pick(pointer="/a", where=where),), model=(Pick(pointer="/b", where=where),), events=()
    )
    for ascii_only in (True, False):
        for key, found in (("a", ("x", "")), ("b", ("", "x"))):
            reader = Reader(reading)
            said = json.dumps({"kind": "grün & gut", key: "x"}, ensure_ascii=ascii_only)
            list(reader.feed(said.encode() + b"\n"))
            assert (account(reader).answer, account(reader).model) == found


@given(st.lists(st.binary(max_size=12), max_size=8), st.integers(1, 9))
def test_lines_are_the_same_in_whatever_pieces_they_come(said: list[bytes], piece: int) -> None:
    data, split = b"\n".join(said), Lines(most=6)
    found = [line for at in range(0, len(data), piece) for line in split.feed(data[at : at + piece])] + split.finish()
    whole = data.split(b"\n")
    assert [line for line in found if line] == [line for line in whole if line and len(line) <= 6]
    assert split.left_out == sum(len(line) > 6 for line in whole)
    assert split.held <= 6


def test_a_line_that_is_too_long_is_left_out_and_counted_however_it_comes() -> None:
    for pieces in (
        (b"1234567\n12\n",),
        (b"123456", b"7\n12\n"),
        (b"1234567", b"89", b"0\n1", b"2\n"),
        (b"x\n1234567", b"\n12\n"),
    ):
        split = Lines(most=6)
        found = [line for piece in pieces for line in split.feed(piece)] + split.finish()
        assert ([line for line in found if line not in (b"", b"x")], split.left_out) == ([b"12"], 1), pieces


def test_pointers_lead_where_the_standard_says() -> None:
    value = {
        "foo": ["bar", "baz"],
        "": 0,
        "a/b": 1,
        "m~n": 8,
        "k": {"x": 1, "y": [2, 3]},
        "~1": 3,
        "l": {"*": 4, "a": 5},
    }
    table: list[tuple[str, list[Any]]] = [
        *(("", [value]), ("/foo", [["bar", "baz"]]), ("/foo/0", ["bar"]), ("/", [0]), ("/a~1b", [1]), ("/m~0n", [8])),
        *(("/foo/2", []), ("/foo/-", []), ("/foo/-1", []), ("/foo/x", []), ("/nope/a", []), ("/foo/0/0", [])),
        *(("/~01", [3]), ("/l/*", [4, 5])),
        *(("/foo/*", ["bar", "baz"]), ("/k/*", [1, [2, 3]]), ("/k/y/*", [2, 3]), ("/*/y", [[2, 3]]), ("/foo/²", [])),
    ]
    for text, found in table:
        assert pointer.found(value, pointer.parts(text)) == found, text
    assert len(pointer.found({"a": [[1] * 5000] * 5}, pointer.parts("/a/*/*"))) == pointer.FOUND_MOST


def test_a_where_is_met_by_texts_and_by_what_json_writes() -> None:
    for where, met in (
        *(({"/a": "x"}, True), ({"/a": "y"}, False), ({"/b": "true"}, True), ({"/b": "True"}, False)),
        *(({"/n": "null"}, True), ({"/i": "7"}, True), ({"/l/*": "2"}, True), ({"/l": "[1, 2]"}, False)),
        *(({"/a": "x", "/b": "false"}, False), ({}, True)),
    ):
        assert pointer.where(where).meets({"a": "x", "b": True, "n": None, "i": 7, "l": [1, 2]}) is met, where


def test_a_flood_is_read_in_little_memory() -> None:
    """Of lines that match everything, of one that has no end, of a document that has none, of nested ones."""
    texts = [claude_says({"type": "text", "text": "y" * 3000}, id=f"m{number}") for number in range(20)]
    floods = (
        *((CLAUDE, "long", b"x" * (1 << 16), 64), (CLAUDE, "matching", lines(*texts), 10)),
        *((CLAUDE, "empty", b"\n" * (1 << 16), 4), (CLAUDE, "nested", b"[" * (1 << 20) + b"\n", 2)),
        (CLAUDE, "deep", b'{"type":' * 30_000 + b"\n", 4),
        (GEMINI, "pieces", lines(*[{"type": "message", "role": "assistant", "content": "ä"}] * 500), 4),
        (CLAUDE, "deep result", b'{"type":"result","result":' + b"[" * 500_000 + b"\n", 2),
        (LLM, "document", b"[" * (1 << 20), 8),
        (LLM, "long document", b"[1]," * (1 << 18), 24),
    )
    for reading, name, data, times in floods:
        listener = Listener(request(Path("/log"), "prog"), reading, -1, lambda: 0.0)
        tracemalloc.start()
        for _ in range(times):
            listener.hear(data)
        listener.finish(b"")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16 << 20, (name, peak)


def test_what_is_nested_too_deeply_to_be_kept_is_noted() -> None:
    event = Event(kind="text", each="/a", text="/b")
    made = Transcript([event], lambda: 0.0, lambda _: None)
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    (line,) = made.lines({"a": [{"b": deep}]})
    assert json.loads(line)["text"] == ""
    masked = Transcript([event], lambda: 0.0, lambda _: None, Mask([("TOKEN", "tok-12345678")]))
    (line,) = masked.lines({"a": [{"b": deep}]})
    assert "too deeply" in json.loads(line)["text"]


def test_a_document_may_have_a_word_before_it() -> None:
    assert document(b'Warning: x\n{"a": 1}\n') == [{"a": 1}]
    assert document(b'{"a": \n[1]') == [[1]]
    assert document(b"none\n{\n") == document(b"") == []
