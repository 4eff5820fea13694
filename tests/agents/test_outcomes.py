"""The agents' own CLIs in real cells under a real supervisor, against a provider that says what each row wants."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.agents.stand import AGENTS, FULL, KEY, Stand, spent
from tests.agents.table import ANY, CAP, SOME, TABLE, Case
from tests.lacks import need
from tests.providers.scenario import MEETS, RETRY_AFTER, UNFINISHED

STATUS = {"ok": "completed"}
ROWS = [
    pytest.param(agent, scenario, marks=need(agent), id=f"{agent}-{scenario}")
    for scenario, case in TABLE.items()
    for agent in AGENTS
    if FULL or agent in case.quick
]
pytestmark = [need("cell"), pytest.mark.timeout(320)]


@pytest.mark.parametrize(("agent", "scenario"), ROWS)
def test_what_a_provider_says_becomes_the_right_end_of_the_run(stood: Stand, agent: str, scenario: str) -> None:
    case = TABLE[scenario]
    run = _run(stood, agent, scenario, case)
    reason = case.reason_of(agent)
    assert (run["reason"], run["status"]) == (reason, STATUS.get(reason, "failed")), run
    assert stood.provider.asked() >= case.asked_of(agent)
    assert KEY in json.dumps(stood.provider.headers)
    assert stood.left() == []
    assert case.words_of(agent) in run["error"], run["error"]
    _answer(case, run, scenario)
    # To put its answer right an agent is asked once, and that is no retry.
    assert (run["repair_of"], run["retry_count"]) == (int(scenario in ("schema-unmet", "schema-repaired")), 0)
    # Only opencode says what its provider said of that.
    told = RETRY_AFTER if (agent, scenario) == ("opencode", "429") else None
    assert stood.result(run)["retry_after_seconds"] == told
    _tokens(case, run, agent)
    logs = stood.home.root.glob(f"logs/{run['id']}/**/*")
    kept = "".join(path.read_text(errors="replace") for path in logs if path.is_file())
    assert kept
    assert KEY not in kept + json.dumps(run) + stood.home.log()


def _run(stood: Stand, agent: str, scenario: str, case: Case) -> dict[str, Any]:
    """Its run; on a host so busy that its time is over before it has asked enough, one with more time."""
    draft = case.draft_of(agent)
    for _ in range(3):
        before = stood.provider.asked()
        run = stood.run(agent, scenario, **draft)
        if stood.provider.asked() - before >= case.asked_of(agent) or run["reason"] != "timeout_wall":
            break
        draft["timeout_secs"] *= 2
    return run


def _answer(case: Case, run: dict[str, Any], scenario: str) -> None:
    """What is no answer is not kept as one, and a part of one is none."""
    assert UNFINISHED not in run["response"]
    if run["reason"] not in ("ok", "invalid_output"):
        assert run["response"].strip() == ""
    if case.response is not None:
        assert run["response"].strip() == case.response
    if scenario in ("schema", "schema-repaired"):
        assert json.loads(run["response"]) == MEETS


def _tokens(case: Case, run: dict[str, Any], agent: str) -> None:
    spending = run["spending"] or {}
    found = (spending.get("input_tokens") or 0, spending.get("output_tokens") or 0)
    answers = case.answers_of(agent)
    if answers == SOME:
        assert found >= (spent(1)[0], 1), spending
    elif answers != ANY:
        assert found == spent(answers), spending
    if case.response is not None:
        assert (spending["cost_usd"] is not None) == (agent in ("claude", "opencode")), spending
    if case.draft.get("max_tokens") and not answers:
        assert run["charged_tokens"] == CAP, "what did not say what it used is charged its cap"
