from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.agents.answerschema import MAX_DEPTH, check_schema
from supervisor.errors import InvalidError
from supervisor.models import MAX_SCHEMA

DRAFT_7 = "http://json-schema.org/draft-07/schema#"


def nested(levels: int, keyword: str = "properties") -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {keyword: {"a": schema}} if keyword == "properties" else {keyword: [schema]}
    return schema


TAKEN: list[dict[str, Any]] = [
    {},
    {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}, "required": ["n"]},
    {"$defs": {"a": {"type": "string"}}, "$ref": "#/$defs/a"},
    {"$schema": DRAFT_7, "definitions": {"a": {"type": "string"}}, "$ref": "#/definitions/a"},
    {"$defs": {"a": {"$anchor": "here"}}, "$ref": "#here"},
    {"properties": {"child": {"$ref": "#"}}},  # a tree, which ends with the answer
    {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"type": "null"}}, "items": {"$ref": "#/$defs/a"}},
    {"anyOf": [{"type": "null"}, {"items": {"$ref": "#"}}, {"additionalProperties": {"$ref": "#"}}]},
    {"$dynamicAnchor": "node", "allOf": [{"properties": {"next": {"$dynamicRef": "#node"}}}]},
    {"$defs": {"a": {"type": "string"}}, "allOf": [{"$ref": "#/$defs/a"}, {"not": {"$ref": "#/$defs/a"}}]},
    {"properties": {"$ref": {"type": "string"}, "pattern": {"type": "string"}}},  # names, not keywords
    {"pattern": "^[a-z]+$", "patternProperties": {"^x-": {}}},
    nested(MAX_DEPTH // 2 - 1),
    nested(MAX_DEPTH // 2 - 1, "allOf"),
]


@pytest.mark.parametrize("schema", TAKEN, ids=lambda schema: json.dumps(schema)[:60])
def test_a_schema_that_needs_nothing_else_is_taken(schema: dict[str, Any]) -> None:
    check_schema(json.dumps(schema))


REFUSED = {
    "": "not JSON",
    "{": "not JSON",
    "[1]": "is a JSON list",
    "true": "is a JSON bool",
    '"a"': "is a JSON str",
    '{"type": "nope"}': "is wrong at $.type",
    '{"properties": {"a": {"minLength": -1}}}': "is wrong at $.properties.a.minLength",
    '{"$ref": "https://example.org/schema.json"}': "nothing is ever fetched",
    '{"$ref": "other.json"}': "nothing is ever fetched",
    '{"$ref": "file:///etc/passwd"}': "nothing is ever fetched",
    '{"properties": {"a": {"$dynamicRef": "https://example.org/#m"}}}': "nothing is ever fetched",
    '{"$ref": "#/$defs/missing"}': "which is not in it",
    '{"items": {"$ref": "#nowhere"}}': "which is not in it",
    '{"$defs": {"a": {"$id": "https://example.org/b", "$ref": "#/c"}}}': "which is not in it",
    '{"$ref": "#"}': "leads back to itself",
    '{"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}': "leads back to itself",
    '{"$ref": 5}': "is wrong at",
    '{"required": ["a"], "items": {"$ref": "#/required"}}': "is no schema",
    '{"other": {"items": {"$ref": "#/missing"}}, "$ref": "#/other"}': "which is not in it",
    '{"$schema": 5}': "has to be a text",
    '{"$schema": []}': "has to be a text",
    '{"$schema": "http://[bad"}': "URI",
    '{"$id": "http://[bad", "$ref": "#/a"}': "",
    '{"pattern": "("}': "has the pattern",
    '{"patternProperties": {"[": {}}}': "has the pattern",
    '{"pattern": "a{99999999999}"}': "has the pattern",
    '{"minLength": ' + "1" * 5000 + "}": "a number of thousands of digits",
    '{"pattern": "' + "(" * 3000 + '"}': "has the pattern",
    '{"a": ' * 20_000: "nested too deeply",
    json.dumps(nested(MAX_DEPTH)): "levels deep",
    '{"description": "' + "x" * MAX_SCHEMA + '"}': "more than",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:60])
def test_what_could_not_judge_an_answer_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InvalidError) as refused:
        check_schema(text)
    said = str(refused.value)
    assert REFUSED[text] in said
    assert said.endswith(".")
    assert len(said) < 500


def test_one_that_comes_back_without_going_into_the_answer_is_refused_by_whichever_way_it_comes() -> None:
    back: dict[str, Any] = {"$ref": "#/$defs/a"}
    for way in (
        *({name: [True, back]} for name in ("allOf", "anyOf", "oneOf")),
        *({name: back} for name in ("not", "if", "then", "else")),
        {"dependentSchemas": {"x": back}},
        {"$dynamicRef": "#a"},
        {"allOf": [{"if": {"not": {"oneOf": [{"$ref": "#/$defs/b"}]}}}]},
    ):
        ends = {"$defs": {"a": {"$dynamicAnchor": "a", "anyOf": [{"$ref": "#/$defs/b"}]}, "b": way}}
        for schema in (ends, {**ends, "$ref": "#/$defs/a"}, {"properties": {"x": {"$ref": "#/$defs/b"}}, **ends}):
            with pytest.raises(InvalidError, match="leads back to itself"):
                check_schema(json.dumps(schema))
        inside = {"$defs": {**ends["$defs"], "b": {"items": way, "properties": {"x": way}}}, "$ref": "#/$defs/a"}
        check_schema(json.dumps(inside))


def test_a_long_row_of_references_is_followed_to_its_end() -> None:
    count = 1500
    row: dict[str, Any] = {f"d{each}": {"$ref": f"#/$defs/d{each + 1}"} for each in range(count)}
    check_schema(json.dumps({"$defs": {**row, f"d{count}": {"type": "null"}}}))
    with pytest.raises(InvalidError, match="leads back to itself"):
        check_schema(json.dumps({"$defs": {**row, f"d{count}": {"not": {"$ref": "#/$defs/d0"}}}}))


KEYWORDS = st.sampled_from(
    ["$ref", "$schema", "$id", "$anchor", "$defs", "type", "properties", "items", "pattern", "allOf"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["#", "#/$defs/a", "string", "a{2", "http://[", "é"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYWORDS, inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(KEYWORDS, VALUES, max_size=4))
def test_any_schema_is_taken_or_refused_in_a_sentence(schema: dict[str, Any]) -> None:
    with suppress(InvalidError):
        check_schema(json.dumps(schema))
