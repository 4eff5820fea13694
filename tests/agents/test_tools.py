"""What the agents' own CLIs do with their tools: in the work directory, outside of it, and while somebody cancels."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.agents.stand import AGENTS, FULL, Stand, lodging, spent, stand
from tests.driver import marker, survivors
from tests.house import eventually
from tests.lacks import need
from tests.passage import let_through
from tests.providers.serving import provider

# llm has no tools but those that it is given.
WITH_TOOLS = [
    pytest.param(agent, marks=need(agent))
    for agent in AGENTS
    if agent != "llm" and (FULL or agent in ("claude", "codex"))
]
# llm cannot be canceled in the middle of a tool; gemini ends well, by its exit code, when it is told to end.
WAITING = [pytest.param(agent, marks=need(agent)) for agent in ("llm", "gemini") if FULL or agent == "llm"]
pytestmark = [need("cell"), pytest.mark.timeout(320)]


@pytest.mark.parametrize("agent", WITH_TOOLS)
def test_a_tool_writes_in_the_work_directory_and_the_run_says_so(stood: Stand, agent: str) -> None:
    run = stood.run(agent, "tool", f"write: {stood.work}/made.txt")
    assert (run["status"], run["reason"]) == ("completed", "ok"), run
    assert (stood.work / "made.txt").read_text() == "stub"
    result = stood.result(run)
    assert result["tool_called"]
    assert (result["spending"]["input_tokens"], result["spending"]["output_tokens"]) == spent(2)


@pytest.mark.skipif(not FULL, reason="the cell's own tests hold it; with every agent in the full run")
@pytest.mark.parametrize("agent", WITH_TOOLS)
def test_a_tool_that_tries_outside_changes_nothing_there(stood: Stand, agent: str) -> None:
    (stood.outside / "kept.txt").write_text("as it was")
    tries = f"echo hacked > {stood.outside}/kept.txt; echo made > {stood.outside}/new.txt"
    run = stood.run(agent, "tool", f"run: touch {stood.work}/tried; {tries}")
    assert (run["status"], run["reason"]) == ("completed", "ok"), run
    assert (stood.work / "tried").exists()
    assert (stood.outside / "kept.txt").read_text() == "as it was"
    assert [path.name for path in stood.outside.iterdir()] == ["kept.txt"]


@pytest.mark.parametrize("agent", WITH_TOOLS)
def test_a_run_that_is_canceled_in_the_middle_of_a_tool_leaves_nothing_alive(stood: Stand, agent: str) -> None:
    mark = marker()
    job = stood.add(agent, "tool", f"run: setsid sleep {mark} & touch {stood.work}/begun; sleep {mark}")
    eventually((stood.work / "begun").exists, within=200)
    assert survivors(mark)
    assert stood.left()
    done = stood.home.cronward("cancel", stood.home.runs(job["id"])[0]["id"])
    assert done.returncode == 0, done.stderr
    (run,) = stood.home.ended(job["id"])
    assert (run["status"], run["reason"]) == ("canceled", "canceled_by_user"), run
    assert survivors(mark) == []
    assert stood.left() == []


@pytest.mark.parametrize("agent", WAITING)
def test_a_run_that_is_canceled_while_its_provider_is_silent_is_no_success(stood: Stand, agent: str) -> None:
    job = stood.add(agent, "hang")
    eventually(stood.provider.asked, within=200)
    done = stood.home.cronward("cancel", stood.home.runs(job["id"])[0]["id"])
    assert done.returncode == 0, done.stderr
    (run,) = stood.home.ended(job["id"])
    assert (run["status"], run["reason"], run["response"]) == ("canceled", "canceled_by_user", ""), run
    assert stood.left() == []


@pytest.mark.skipif(not FULL, reason="the tests of caps hold it; with every agent in the full run")
@pytest.mark.parametrize("agent", WITH_TOOLS)
def test_an_endless_loop_of_tools_ends_at_the_runs_cap(stood: Stand, agent: str) -> None:
    run = stood.run(agent, "loop", max_turns=4)
    assert (run["status"], run["reason"]) == ("failed", "budget_exceeded"), run
    assert 4 <= stood.provider.asked() <= 40
    assert stood.left() == []


@pytest.mark.skipif(not FULL, reason="the kill matrix holds it; with every agent in the full run")
@pytest.mark.parametrize("agent", WITH_TOOLS)
def test_nothing_outlives_a_supervisor_that_is_killed_in_the_middle_of_a_tool(tmp_path: Path, agent: str) -> None:
    mark = marker()
    with provider() as stub, lodging(let_through(tmp_path)) as home, stand(tmp_path, home, stub) as stood:
        stood.add(agent, "tool", f"run: setsid sleep {mark} & touch {stood.work}/begun; sleep {mark}")
        eventually((stood.work / "begun").exists, within=200)
        home.stop(signal.SIGKILL)
        eventually(lambda: not survivors(mark) and not stood.left())
