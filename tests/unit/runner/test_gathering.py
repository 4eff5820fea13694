"""What a pick keeps of the values that it looks at, by its `take`."""

from __future__ import annotations

import json
import time
from typing import Any

from runner.gathering import SEARCH_SECONDS, Figure, Json, Sight, Text, Truth
from shared.reading import Pick

VALUES: list[Any] = [
    {"a": ["one", "two"], "n": [1, 2]},
    {"b": 1},
    {"a": ["three"], "n": [3, "4", -5, True]},
    {"a": [""]},
]


def test_texts_by_what_is_taken() -> None:
    for take, pointer, found in (
        *(("first", "/a/*", "one"), ("last", "/a/*", "three"), ("join", "/a/*", "onetwothree"), ("last", "/a", '[""]')),
        *(("last", "/b", "1"), ("first", "/z", ""), ("last", "/a/1", "two")),
    ):
        gathering = Text(Pick(pointer=pointer, take=take))
        for value in VALUES:
            gathering.take(value)
        assert (gathering.text, gathering.found) == (found, bool(found)), (take, pointer)
        assert gathering.settled is (take == "first" and bool(found))


def test_figures_by_what_is_taken() -> None:
    for take, pointer, found in (
        *(("first", "/n/*", 1), ("last", "/n/*", 3), ("sum", "/n/*", 6), ("count", "/n/*", 6), ("sum", "/a/*", None)),
        *(("last", "/b", 1), ("count", "/z", None), ("join", "/n/*", 3)),
    ):
        gathering = Figure(Pick(pointer=pointer, take=take))
        for value in VALUES:
            gathering.take(value)
        assert gathering.figure == found, (take, pointer)


def test_figures_are_added_and_those_with_one_id_count_once() -> None:
    said = [
        {"id": "a", "n": 1, "m": 10},
        {"id": "b", "m": 5},
        {"id": "a", "n": 2, "m": 10},
        {"n": 1},
        {"id": None, "n": 1},
    ]
    for take, found in (("sum", 12 + 5 + 1 + 1), ("last", 1), ("first", 11)):
        gathering = Figure(Pick(pointer="/n", add=("/m",), once="/id", take=take))
        for value in said:
            gathering.take(value)
        assert gathering.figure == found, take
    count = Figure(Pick(pointer="/id", take="count", once="/id"))
    for number in [*range(5000), *range(4500, 5000)]:
        count.take({"id": number})
    assert count.figure == 5000


def test_what_is_true_by_what_is_taken() -> None:
    for take, said, found in (
        *(("last", [True, False], False), ("last", [False, "x"], True), ("first", [True, False], True)),
        *(("first", [0, 1], False), ("sum", [0, 1, 0], True), ("last", [""], False), ("last", [{}], False)),
        *(("last", [None], False), ("last", [{"a": 0}], True), ("last", [0], False), ("last", [1], True)),
    ):
        one_by_one, at_once = Truth(Pick(pointer="/x", take=take)), Truth(Pick(pointer="/*", take=take))
        for value in said:
            one_by_one.take({"x": value})
        at_once.take(said)
        assert one_by_one.found is at_once.found is found, (take, said)


def test_the_text_that_is_true_is_kept_and_cut() -> None:
    truth = Truth(Pick(pointer="/x", pattern="^error.*"))
    truth.take({"x": "success"})
    assert not truth.found
    truth.take({"x": "error_max_turns" + "x" * 1000})
    assert truth.found
    assert truth.text.startswith("error_max_turns")
    assert len(truth.text) == 256


def test_a_pattern_takes_its_first_group_or_all_that_it_matches() -> None:
    for pattern, found in ((r"v(\d+)", "12"), (r"v\d+", "v12"), (r"(x)?v", ""), ("nothing", "")):
        gathering = Text(Pick(pattern=pattern))
        gathering.take("it is v12, and v13")
        gathering.take({"v14": 1})
        assert gathering.text == found, pattern


def test_a_sight_is_of_anything_and_stays() -> None:
    sight = Sight(Pick(pointer="/x"))
    sight.take({"y": 1})
    assert not sight.found
    sight.take({"x": None})
    assert sight.found
    assert sight.settled


def test_a_value_is_kept_as_json_unless_it_cannot_be() -> None:
    for said, found in (
        ([{"n": 1}, {"n": 2}], {"n": 2}),
        ([{"n": 1}, None], {"n": 1}),
        ([None], None),
        ([False], False),
    ):
        value = Json(Pick(pointer="/x"))
        for each in said:
            value.take({"x": each})
        assert (None if value.written is None else json.loads(value.written)) == found, said
    infinite = Json(Pick(pointer="/x"))
    infinite.take({"x": float("inf")})
    assert infinite.written is None


def test_a_pattern_that_runs_for_ever_over_a_text_made_for_it_is_given_up() -> None:
    gathering = Text(Pick(pointer="/a", pattern="^(a+)+$"))
    begun = time.process_time()
    for _ in range(100):
        gathering.take({"a": "a" * 64 + "b"})
    assert (gathering.text, gathering.found) == ("", False)
    assert time.process_time() - begun < 20 * SEARCH_SECONDS
