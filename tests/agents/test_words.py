"""What an agent cannot do, or ends otherwise with than the rest, is told to those who use it. No agent is needed."""

from __future__ import annotations

import re
from pathlib import Path

from tests.agents.stand import AGENTS, MODELS, TYPES, VARIABLES
from tests.agents.table import TABLE

PAGE = (Path(__file__).parents[2] / "docs/agents.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_the_page_says_of_each_agent_what_the_table_expects_of_it_alone() -> None:
    for scenario, case in TABLE.items():
        assert case.weak.keys() == case.but.keys(), scenario
        for agent, words in case.weak.items():
            assert words in " ".join(SECTIONS[agent].split()), (agent, scenario)


def test_the_page_shows_each_agent_with_the_key_the_type_and_the_model_that_it_is_tried_with() -> None:
    for agent in AGENTS:
        (shown,) = re.findall(rf"^cronward add .*--agent {agent} .*$", SECTIONS[agent], re.MULTILINE)
        assert f"={VARIABLES[agent]} " in shown or f"`{VARIABLES[agent]}`" in SECTIONS[agent], agent
        assert f"--type {TYPES[agent]} " in shown if agent in TYPES else "--type" not in shown, agent
        assert "--model" in shown or not MODELS.get(agent, "").startswith("gateway/"), agent
