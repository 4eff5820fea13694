"""The way of each agent to its provider: through the proxy, with its login, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.agents.stand import AGENTS, FULL, lodging, stand
from tests.lacks import need
from tests.passage import let_through
from tests.providers.serving import NAME, provider

pytestmark = [need("cell", "openssl"), pytest.mark.timeout(320)]
LOGIN = "sk-stub-login-77c2"
# It has one for each provider, and this one is not the first.
VARIABLE = {"opencode": ("--variable", "OPENAI_API_KEY")}
EACH = [pytest.param(agent, marks=need(agent)) for agent in AGENTS if FULL or agent == "claude"]


@pytest.mark.parametrize("agent", EACH)
def test_it_finds_its_provider_by_name_and_tls_with_its_login_and_asks_nobody_else(tmp_path: Path, agent: str) -> None:
    with (
        provider(let_through(tmp_path)) as stub,
        lodging(tmp_path, ca_bundle=stub.authority) as home,
        stand(tmp_path, home, stub) as stood,
    ):
        done = stood.home.cronward("login", agent, "--api-key", *VARIABLE.get(agent, ()), stdin=LOGIN)
        assert done.returncode == 0, done.stderr
        run = stood.run(agent, "answer", secrets=(), login=True)
        assert (run["status"], run["reason"]) == ("completed", "ok"), run
        assert LOGIN in json.dumps(stood.provider.headers)
        (log,) = (stood.home.root / "logs" / run["id"]).rglob("network.jsonl")
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        assert {line["host"] for line in lines if line["verdict"] == "allowed"} == {NAME}
        # opencode wants to fetch a package whenever it starts, and does without.
        assert agent == "opencode" or not [line for line in lines if line["host"] != NAME], lines
