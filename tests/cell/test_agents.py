"""An agent that nobody has heard of, added by its adapter alone, in real cells under a real supervisor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.house import House, house
from tests.lacks import need
from tests.madeup import ADAPTER, NAME, adapters, programs

pytestmark = need("cell")
SCHEMA = '{"type": "object", "properties": {"seeds": {"type": "integer"}}, "required": ["seeds"]}'


@dataclass
class Aviary:
    """A house with the agent in it, and a work directory of its own."""

    home: House
    work: Path
    bin: Path
    agents: Path

    def run(self, prompt: str, **draft: Any) -> dict[str, Any]:
        asked = {"agent": NAME, "command": "", "prompt": prompt, "search_path": str(self.bin), "retries": 0}
        job = self.home.run_now(**{**asked, "work_dir": str(self.work), **draft})
        (run,) = self.home.ended(job["id"])
        return run

    def said(self, run: dict[str, Any], name: str = "result.json") -> str:
        (found,) = (self.home.root / "logs" / run["id"]).rglob(name)
        return found.read_text()


@pytest.fixture
def aviary(open_dir: Path, tmp_path: Path) -> Iterator[Aviary]:
    agents = adapters(tmp_path / "config" / "cronward" / "agents")
    found = str(programs(tmp_path / "bin"))
    with house(tmp_path, XDG_CONFIG_HOME=str(tmp_path / "config"), PATH=f"{found}:/usr/bin:/bin") as home:
        open_dir.chmod(0o777)  # also for the uid that a supervisor of root's gives the job
        yield Aviary(home, open_dir, Path(found), agents)


def test_an_agent_known_by_its_adapter_alone_runs_and_is_understood(aviary: Aviary) -> None:
    aviary.home.start()
    run = aviary.run("speak", model="big")
    assert (run["status"], run["reason"], run["response"]) == ("completed", "ok", "cheerful parrot: on big"), run
    assert (aviary.work / "feather").read_text() == "feather\n"
    result = json.loads(aviary.said(run))
    spent = result["spending"]
    assert (spent["input_tokens"], spent["output_tokens"], spent["cost_usd"]) == (70, 3, 0.25)
    assert (result["model"], result["conversation"], result["tool_called"]) == ("big", "talk-7", True)
    entries = [json.loads(line) for line in aviary.said(run, "transcript.jsonl").splitlines()]
    assert [entry["kind"] for entry in entries] == ["tool_call", "text"]
    assert (entries[0]["name"], entries[0]["command"]) == ("beak", "echo feather > feather")
    # Its file is placed anew for each attempt, and is not the agent's to change.
    assert "on no model" in aviary.run("speak")["response"]


def test_what_it_says_of_a_failure_counts_whatever_its_exit_code_is(aviary: Aviary) -> None:
    aviary.home.start()
    run = aviary.run("molt")
    assert (run["status"], run["reason"], run["exit_code"]) == ("failed", "quota_wait", 0)
    assert "the cage is closed" in run["error"]
    run = aviary.run("fly")
    assert (run["status"], run["exit_code"]) == ("failed", 0), run
    assert "without saying that it is done" in run["error"]


def test_it_is_given_the_schema_in_its_file_and_another_in_the_prompt(aviary: Aviary) -> None:
    aviary.home.start()
    structured = {"output_format": "structured", "output_schema": SCHEMA}
    run = aviary.run("speak", **structured)
    assert (run["reason"], json.loads(run["response"])) == ("ok", {"seeds": 3}), run
    assert json.loads(aviary.said(run, "request.json"))["prompt"] == "speak"
    adapters(aviary.agents, ADAPTER.replace('structured = "flag"\n', ""))
    run = aviary.run("speak", **structured)
    assert run["reason"] == "invalid_output", run
    assert (
        SCHEMA
        in json.loads(sorted((aviary.home.root / "logs" / run["id"]).rglob("request.json"))[0].read_text())["prompt"]
    )


def test_it_is_listed_shown_and_checked(aviary: Aviary) -> None:
    (row,) = (each for each in aviary.home.json("agents", "list") if each["name"] == NAME)
    assert (row["title"], row["built_in"], row["problem"]) == ("a parrot", False, "")
    assert row["program"] == str(aviary.bin / NAME)
    assert aviary.home.json("agents", "show", NAME)["program"]["find"] == NAME
    assert "fetch-a-parrot" not in aviary.home.cronward("agents", "show", NAME).stdout
    findings = {each["name"]: each for each in aviary.home.json("agents", "check", NAME, "--model", "big")}
    assert {name: finding["ok"] for name, finding in findings.items()} == {
        **dict.fromkeys(("adapter", "program", "version", "login", "answer"), True)
    }
    assert (findings["version"]["detail"], findings["login"]["detail"]) == ("1.2.3", "it needs none")
    assert "cheerful parrot: on big" in findings["answer"]["detail"]
    assert "70 tokens in, 3 out; 0.2500 dollars" in findings["answer"]["detail"]
    # Nothing of the trial stays.
    assert aviary.home.json("list") == []
    assert not list((aviary.home.root / "logs").glob("*")) if (aviary.home.root / "logs").exists() else True


def test_a_check_says_what_does_not_work_and_what_to_do(aviary: Aviary) -> None:
    cronward = aviary.home.cronward
    (aviary.bin / NAME).write_text("#!/bin/sh\necho no; exit 3\n")
    done = cronward("agents", "check", NAME)
    assert done.returncode == 1
    assert "NOT OK: The agent ended with exit code 3" in done.stdout
    (aviary.bin / NAME).unlink()
    done = cronward("agents", "check", NAME)
    assert (done.returncode, "To install it: fetch-a-parrot" in done.stdout) == (1, True), done.stdout
    done = cronward("agents", "check", NAME, "--secret", "NOT_SET")
    assert (done.returncode, "secret set NOT_SET" in done.stdout or "fetch-a-parrot" in done.stdout) == (1, True)
    rows = {"command": "cronward doctor JOB", "nobody": "is unknown"}
    for name, words in rows.items():
        done = cronward("agents", "check", name)
        assert (done.returncode, words in done.stderr) == (2, True), (name, done.stderr)
    (aviary.agents / f"{NAME}.toml").write_text("argvv = []")
    done = cronward("agents", "check", NAME)
    assert (done.returncode, "Did you mean `argv`?" in done.stderr) == (2, True)
    assert "Did you mean `argv`?" in cronward("agents", "list").stdout
    assert cronward("agents", "show", NAME).returncode == 2


def test_where_no_cell_can_be_had_a_check_refuses(aviary: Aviary) -> None:
    aviary.home.environ["CRONWARD_BWRAP"] = "/bin/false"
    done = aviary.home.cronward("agents", "check", NAME)
    assert (done.returncode, "No cell can be had here" in done.stderr) == (5, True), (done.stdout, done.stderr)
