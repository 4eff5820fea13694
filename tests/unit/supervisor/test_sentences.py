"""What is wrong, as a person can read it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from supervisor.models import CronJob
from supervisor.sentences import PROBLEMS, SHOWN, sentence, shown

GOOD: dict[str, Any] = {"id": "a", "prompt": "hi"}


def said(**fields: Any) -> str:
    with pytest.raises(ValidationError) as error:
        CronJob.model_validate({**GOOD, **fields})
    return sentence(error.value, "The job", CronJob)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"retries": "many"},
            "The job: `retries` should be a valid integer, unable to parse string as an integer, not 'many'.",
        ),
        ({"retries": 21}, "The job: `retries` should be less than or equal to 20, not 21."),
        ({"type": "big"}, "The job: `type` should be 'light', 'medium' or 'resource-intensive', not 'big'."),
        ({"promt": "x"}, "The job: there is no key 'promt'. Did you mean `prompt`?"),
        ({"zzzzzz": "x"}, "The job: there is no key 'zzzzzz'."),
        ({"notify_on": ["no"]}, "The job: `notify_on.0` should be 'completed', 'failed' or 'canceled', not 'no'."),
    ],
)
def test_a_problem_is_a_sentence_with_key_and_value(fields: dict[str, Any], expected: str) -> None:
    assert said(**fields) == expected


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ValidationError) as error:
        CronJob.model_validate({"id": "a"})
    assert sentence(error.value, "The job") == "The job: `prompt` is missing."


def test_several_problems_are_several_sentences_up_to_a_number() -> None:
    text = said(**{f"wrong{number}": number for number in range(PROBLEMS + 3)})
    assert text.count("there is no key") == PROBLEMS
    assert text.endswith(" And 3 more.")


def test_a_prompt_is_never_repeated() -> None:
    assert "secret" not in said(prompt=["secret"])
    assert "secret" not in said(prompt=b"\xffsecret")
    assert "secret" not in said(output_schema={"secret": 1})


def test_what_is_wrong_as_a_whole_is_not_repeated() -> None:
    with pytest.raises(ValidationError) as error:
        CronJob.model_validate_json('{"prompt": "secret')
    assert "secret" not in sentence(error.value, "The job")


@pytest.mark.parametrize(
    "value", ["x" * 10**6, b"\xff" * 10**6, "\x1b]0;title\x07" * 1000, "\u202e" * 1000, "\u05d0" * 1000]
)
def test_a_huge_or_hostile_value_is_cut_and_escaped(value: str | bytes) -> None:
    text = shown(value)
    assert len(text) <= SHOWN + 1
    assert all(32 <= ord(char) < 127 or char == "…" for char in text)


@given(st.dictionaries(st.text(max_size=20), st.none() | st.text() | st.integers() | st.lists(st.text()), max_size=4))
def test_whatever_is_sent_the_answer_is_one_printable_line(fields: dict[str, Any]) -> None:
    try:
        CronJob.model_validate_json(json.dumps({**fields, "retries": "x"}))
    except ValidationError as error:
        text = sentence(error, "The job", CronJob)
    assert text.isprintable()
    assert len(text) < (PROBLEMS + 1) * 300
