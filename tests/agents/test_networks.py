"""The way of each agent to its provider: through the proxy, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.agents.stand import AGENTS, FULL, opened, stand
from tests.lacks import need

pytestmark = [need("cell", "openssl"), pytest.mark.timeout(320)]
EACH = [pytest.param(agent, marks=need(agent)) for agent in AGENTS if FULL or agent == "claude"]


@pytest.mark.parametrize("agent", EACH)
def test_it_finds_its_provider_by_name_and_tls_and_asks_nobody_else(tmp_path: Path, agent: str) -> None:
    with stand(opened(tmp_path), tls=True) as stood:
        run = stood.run(agent, "answer")
        assert (run["status"], run["reason"]) == ("completed", "ok"), run
        (log,) = (stood.home.root / "logs" / run["id"]).rglob("network.jsonl")
        asked = {line["host"]: line["verdict"] for line in map(json.loads, log.read_text().splitlines())}
        assert asked == {"api.stub.example": "allowed"}
