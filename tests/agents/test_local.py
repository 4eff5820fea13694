"""The embedded agent beside the others: offline, with no login and no key."""

from __future__ import annotations

import json

import pytest

from tests.agents.stand import Stand
from tests.agents.table import STRUCTURED
from tests.lacks import need

pytestmark = [pytest.mark.model, need("cell", "model"), pytest.mark.timeout(320)]


def test_it_answers_without_a_network(stood: Stand) -> None:
    run = stood.run("local", "answer", "What is the capital of France?", network="none")
    assert (run["status"], run["reason"]) == ("completed", "ok"), run
    assert run["response"].strip()
    assert run["traffic"] is None
    assert stood.provider.asked() == 0


def test_it_meets_a_schema(stood: Stand) -> None:
    run = stood.run("local", "answer", "How are you?", **STRUCTURED)
    assert (run["status"], run["reason"]) == ("completed", "ok"), run
    answer = json.loads(run["response"])
    assert answer["mood"] in ("good", "bad")
    assert 0 <= answer["level"] <= 9
