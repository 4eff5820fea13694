"""Answers that should be JSON."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import answers
from runner.answers import AnswerError, check, fenced, json_text, parse
from shared.reasons import Reason

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values, st.sampled_from(["{}", " \n{}\n", "Sure:\n```json\n{}\n```\nAnything else?", "```\n{}\n```"]))
def test_a_value_is_found_bare_or_in_its_one_block(value: Any, around: str) -> None:
    text = around.replace("{}", json.dumps(value))
    assert parse(text) == value
    assert json.loads(json_text(text.encode())) == value


@given(st.text())
def test_any_text_is_json_or_an_answer_error(text: str) -> None:
    try:
        json.dumps(parse(text))
    except AnswerError as error:
        told = error.reason
    else:
        told = Reason.INVALID_OUTPUT
    assert told is Reason.INVALID_OUTPUT


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[Infinity]",
        '{"a": -Infinity}',
        "[" * 200_000,
        "1" * 5000,
        "{'a': 1}",
        "",
        "```\n1\n```\n```\n1\n```",
        "1 2",
    ],
)
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(AnswerError) as refused:
        parse(text)
    assert refused.value.reason is Reason.INVALID_OUTPUT
    assert len(str(refused.value)) < 300


def test_what_cannot_be_read_is_said_in_words_of_our_own() -> None:
    for text, words in (
        ("```\n1\n```\nor\n```\n1\n```", "2 fenced blocks"),
        ("1" * 5000, "a number of thousands of digits"),
        ("```\n[" + "1" * 5000 + "]\n```", "a number of thousands of digits"),
        ("[NaN]", "NaN is no JSON number"),
        ("[1", "Expecting"),
    ):
        with pytest.raises(AnswerError) as refused:
            parse(text)
        assert words in str(refused.value), text[:20]
        assert "sys." not in str(refused.value)


def test_beginnings_of_blocks_without_an_end_cost_no_more_than_other_lines() -> None:
    whole = 200_000
    begun = time.process_time()
    for line in ("```x\n", "```\n", " \t```json \n", "`", " ", "\n"):
        with pytest.raises(AnswerError):
            parse("\n" + line * (whole // len(line)))
    assert time.process_time() - begun < 10
    assert fenced("```a\n1\n ``` \n```\n```\nx ```\n\t```b\n2\n```c\n```") == ["1\n", "", "2\n```c\n"]


def against(schema: Any, value: Any) -> AnswerError | None:
    try:
        check(json.dumps(value).encode(), schema if isinstance(schema, str) else json.dumps(schema))
    except AnswerError as error:
        return error
    return None


def test_the_place_of_the_problem_is_named() -> None:
    schema = {"properties": {"list": {"items": {"type": "integer"}}}}
    error = against(schema, {"list": [1, "two"]})
    assert error is not None
    assert error.reason is Reason.INVALID_OUTPUT
    assert "$.list[1]" in str(error)


@pytest.mark.parametrize("schema", ["{", "[]", "7", '{"type": "no such type"}', '{"type": 7}'])
def test_a_schema_that_is_none_is_the_jobs_fault(schema: str) -> None:
    error = against(schema, {})
    assert error is not None
    assert error.reason is Reason.BAD_DEFINITION


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 400], ids=["infinite", "below", "vast"])
def test_a_number_that_cannot_be_checked_is_the_answers_fault(number: str) -> None:
    """Nothing is a multiple of infinity, nor is a number that no float can be."""
    error = against({"multipleOf": 0.01}, json.loads(number))
    assert error is not None
    assert error.reason is Reason.INVALID_OUTPUT


def test_references_within_a_schema_are_followed() -> None:
    schema = {"$ref": "#/$defs/name", "$defs": {"name": {"type": "string"}}}
    assert against(schema, "x") is None
    assert against(schema, 7) is not None


def test_nothing_is_fetched_from_anywhere() -> None:
    error = against({"$ref": "http://127.0.0.1:9/schema.json"}, {})
    assert error is not None
    assert error.reason is Reason.BAD_DEFINITION
    assert "refers to" in str(error)


def test_a_pattern_that_would_take_for_ever_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "CHECK_SECONDS", 0.1)
    began = time.monotonic()
    error = against({"pattern": "^(a+)+$"}, "a" * 40 + "b")
    assert error is not None
    assert error.reason is Reason.INVALID_OUTPUT
    assert time.monotonic() - began < 10


def test_a_long_value_is_not_repeated_in_the_error() -> None:
    error = against({"type": "integer"}, "x" * 100_000)
    assert error is not None
    assert len(str(error)) < 400


def test_too_long_for_json_is_said_without_reading_it() -> None:
    with pytest.raises(AnswerError, match="too long"):
        check(None, "")
