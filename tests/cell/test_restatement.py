"""An agent is asked to put its answer right, under a real supervisor: a made-up CLI that is known by a TOML alone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import House, house
from tests.lacks import need

pytestmark = need("cell")

ADAPTER = """
structured = "prompt"
network = "none"
[program]
find = "made-up"
[reading]
format = "jsonl"
answer = [{ pointer = "/said" }]
done = [{ pointer = "/done" }]
input_tokens = [{ pointer = "/tokens", take = "sum" }]
events = [{ kind = "tool_call", where = { "/type" = "tool" }, name = "/name" }]
"""
AGENT = """#!/usr/bin/python3
import json, sys
prompt = sys.stdin.read()
if "Do not do the task again" in prompt:
    try:
        open("again", "x")
    except OSError:
        pass
    if "dies" in prompt:
        sys.exit("It fell over.")
    said = "Still prose." if "hopeless" in prompt else json.dumps({"name": "x"})
else:
    print(json.dumps({"type": "tool", "name": "Deploy"}))
    print("done", file=open("deployed", "a"))
    said = "It is x, in prose. " + prompt.splitlines()[0]
    if "fenced" in prompt:
        said = "It is:\\n```json\\n" + json.dumps({"name": "x"}) + "\\n```\\nAnything else?"
print(json.dumps({"said": said, "done": True, "tokens": 10}))
"""
SCHEMA = json.dumps({"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}})


@pytest.fixture
def home(tmp_path: Path, open_dir: Path) -> Iterator[House]:
    programs, adapters = tmp_path / "bin", tmp_path / "config" / "cronward" / "agents"
    for folder in (programs, adapters):
        folder.mkdir(parents=True)
    (programs / "made-up").write_text(AGENT)
    (programs / "made-up").chmod(0o755)
    (adapters / "made-up.toml").write_text(ADAPTER)
    search = f"{programs}:{os.environ.get('PATH', '/usr/bin:/bin')}"
    with house(tmp_path, XDG_CONFIG_HOME=str(tmp_path / "config"), PATH=search) as made:
        made.start()
        yield made
        made.stop()


def run(home: House, work_dir: Path, prompt: str) -> dict[str, object]:
    work_dir.chmod(0o777)  # under root it has a user id that nobody knows yet
    facts = {"agent": "made-up", "command": "", "prompt": prompt, "work_dir": str(work_dir), "retries": 3}
    job = home.run_now(**facts, output_format="structured", output_schema=SCHEMA)
    return home.ended(job["id"])[0]


def test_an_answer_is_put_right_without_its_task_being_done_again(home: House, open_dir: Path) -> None:
    ended = run(home, open_dir, "short")
    assert (ended["status"], ended["attempt"], ended["retry_count"], ended["repair_of"]) == ("completed", 2, 0, 1), (
        ended
    )
    assert json.loads(str(ended["response"])) == {"name": "x"}
    assert (open_dir / "deployed").read_text() == "done\n"
    assert not (open_dir / "again").exists()
    assert ended["deeds"]["tools"] == {"Deploy": 1}


def test_one_that_cannot_be_put_right_is_given_up(home: House, open_dir: Path) -> None:
    ended = run(home, open_dir, "hopeless")
    assert (ended["status"], ended["reason"], ended["attempt"]) == ("failed", "invalid_output", 2), ended
    assert str(ended["error"]).endswith("It had been asked once to put its answer right.")
    assert (open_dir / "deployed").read_text() == "done\n"


def test_one_that_dies_over_it_is_asked_no_more_and_both_failures_are_told(home: House, open_dir: Path) -> None:
    ended = run(home, open_dir, "dies")
    assert (ended["status"], ended["reason"], ended["attempt"]) == ("failed", "invalid_output", 2), ended
    assert str(ended["error"]).startswith("The answer is not JSON: ")
    assert (
        "put its answer right, and that failed (agent_error). The agent ended with exit code 1. It fell over."
        in str(ended["error"])
    )
    assert ended["response"] == "It is x, in prose. dies"
    assert (open_dir / "deployed").read_text() == "done\n"


def test_what_is_printed_of_a_run_that_is_waited_for_is_the_json_alone(home: House, open_dir: Path) -> None:
    ended = run(home, open_dir, "fenced")
    assert (ended["status"], ended["attempt"]) == ("completed", 1), ended
    printed = home.cronward("run", str(ended["job_id"]), "--wait")
    assert json.loads(printed.stdout) == {"name": "x"}, printed
    assert "Anything else?" in home.cronward("logs", str(ended["id"]), "--raw").stdout
