"""What no type says of a reading."""

from __future__ import annotations

import pytest

from shared.reading import Blame, Event, Pick, Reading
from shared.reasons import Reason
from supervisor.agents.readingrules import check_reading

FINE = Reading(
    format="jsonl",
    answer=(Pick(pointer="/a~1b/*/0", where={"/type": "x"}, add=("/c",), once="/id", pattern="(x)"),),
    structured=Pick(pointer=""),
    error=(Pick(stream="stderr"),),
    blame=(Blame(reason=Reason.AUTH_FAILED, words="a|b"), Blame(reason=Reason.RATE_LIMITED, codes=(3,))),
    codes={"41": "x", "0": "y"},
    events=(Event(kind="text", where={"/a": "b"}, each="/c", item={"/d": "e"}, text="/f"),),
)


def test_a_reading_that_can_be_gone_by_stays_as_it_is() -> None:
    texts = Reading(answer=(Pick(pattern="answer: (.*)"),), status=(Pick(pointer="/code", stream="stderr"),))
    for reading in (FINE, Reading(), texts):
        assert check_reading(reading) is reading


def test_what_cannot_be_gone_by_is_told() -> None:
    rows: dict[str, tuple[Reading, str]] = {
        "a pointer": (Reading(format="json", answer=(Pick(pointer="a"),)), "'a', which is no JSON pointer"),
        "its escape": (Reading(format="json", cost_usd=(Pick(pointer="/a~2"),)), "no JSON pointer"),
        "a where": (Reading(format="json", done=(Pick(where={"a": "b"}),)), "no JSON pointer"),
        "a figure more": (Reading(format="json", turns=(Pick(pointer="/a", add=("b",)),)), "'b', which is no JSON"),
        "an id": (Reading(format="json", turns=(Pick(pointer="/a", once="b"),)), "'b', which is no JSON"),
        "structured": (Reading(format="json", structured=Pick(pointer="a")), "no JSON pointer"),
        "an event": (Reading(format="jsonl", events=(Event(kind="text", text="a"),)), "no JSON pointer"),
        "its item": (Reading(format="jsonl", events=(Event(kind="text", item={"a": "b"}),)), "no JSON pointer"),
        "a pattern": (Reading(answer=(Pick(pattern="("),)), "'(', which is no regular expression"),
        "a count": (Reading(answer=(Pick(pattern="a{99999999999999999999}"),)), "no regular expression"),
        "a deep one": (Reading(blame=(Blame(reason=Reason.REFUSED, words="(" * 9000 + ")" * 9000),)), "no regular"),
        "words": (Reading(blame=(Blame(reason=Reason.REFUSED, words="("),)), "no regular expression"),
        "a blame": (Reading(blame=(Blame(reason=Reason.REFUSED),)), "blames refused on everything"),
        "a success": (Reading(blame=(Blame(reason=Reason.OK, words="x"),)), "blames ok, of which no agent fails"),
        "ours": (Reading(blame=(Blame(reason=Reason.NOTHING_TO_DO, codes=(9,)),)), "blames nothing_to_do, of which"),
        "a code": (Reading(codes={"SIGTERM": "x"}), "no exit code"),
        "text": (Reading(answer=(Pick(pointer="/a"),)), "in which nothing can be pointed to"),
        "text's event": (Reading(events=(Event(kind="text", text="/a"),)), "in which nothing can be pointed to"),
    }
    for row, (reading, words) in rows.items():
        with pytest.raises(ValueError, match=r"^(has|is|blames) ") as refused:
            check_reading(reading)
        assert words in str(refused.value), row
