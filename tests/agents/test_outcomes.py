"""The agents' own CLIs in real cells under a real supervisor, against a provider that says what each row wants."""

from __future__ import annotations

import json

import pytest

from tests.agents.stand import AGENTS, FULL, KEY, Stand, spent
from tests.agents.table import FITTING, TABLE, Case
from tests.lacks import need

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
    run = stood.run(agent, scenario, **case.draft_of(agent))
    reason = case.reason_of(agent)
    assert (run["reason"], run["status"]) == (reason, STATUS.get(reason, "failed")), run
    assert case.words_of(agent) in run["error"], run["error"]
    if case.response is not None:
        assert run["response"].strip() == case.response
    if scenario in ("schema", "schema-repaired"):
        assert json.loads(run["response"]) == FITTING
    # To put its answer right an agent is asked once, and that is no retry.
    assert (run["repair_of"], run["retry_count"]) == (int(scenario in ("schema-unmet", "schema-repaired")), 0)
    _tokens(stood, case, run, agent)
    kept = "".join(path.read_text(errors="replace") for path in stood.home.root.glob("logs/**/*") if path.is_file())
    assert KEY not in kept + json.dumps(run)


def _tokens(stood: Stand, case: Case, run: dict[str, object], agent: str) -> None:
    if case.answers is None:
        return
    spending = stood.result(run)["spending"]
    assert (spending["input_tokens"], spending["output_tokens"]) == spent(case.answers), spending
    assert (spending["cost_usd"] is not None) == (agent in ("claude", "opencode")), spending
