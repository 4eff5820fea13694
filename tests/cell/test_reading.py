"""Agents whose output is read, in real cells: what they write is what their prompt is, so each test says it itself."""

from __future__ import annotations

import json
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from shared.findings import Spending
from shared.messages import Caps, ExecuteRequest, Secret
from shared.reading import Reading
from tests import driver
from tests.driver import Driven, eventually, execute, limits, request
from tests.lacks import need
from tests.readings import CLAUDE, CLAUDE_INIT, CODEX, claude_result, claude_says, lines

pytestmark = need("cell")

ECHO = ("sh", "-c", "cat; exit ${CODE:-0}")
PYTHON = sys.executable if sys.executable.startswith("/usr") else "/usr/bin/python3"
CALL = {"type": "tool_use", "name": "Bash", "input": {"command": "make"}}


def read(log_dir: Path, *argv: str, reading: Reading = CLAUDE, **changes: Any) -> ExecuteRequest:
    asked = request(log_dir, *(argv or ECHO), **{"require_answer": True, **changes})
    return replace(asked, agent=replace(asked.agent, reading=reading))


def transcript(log_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (log_dir / "transcript.jsonl").read_bytes().splitlines()]


def test_an_answer_is_what_was_read_and_the_raw_output_stays_beside_it(log_dir: Path) -> None:
    said = lines(CLAUDE_INIT, claude_says(CALL), claude_says({"type": "text", "text": "Grüße"}), claude_result())
    result = execute(read(log_dir, prompt=said.decode()))
    assert (result["reason"], result["response"], result["answer_bytes"]) == ("ok", "It is done.", 11)
    assert (log_dir / "answer").read_text() == "It is done."
    assert (log_dir / "stdout").read_bytes() == said
    assert [entry["kind"] for entry in transcript(log_dir)] == ["tool_call", "usage", "text", "usage"]
    assert (log_dir / "transcript.jsonl").read_bytes().isascii()
    assert stat.S_IMODE((log_dir / "transcript.jsonl").stat().st_mode) == 0o600
    assert (result["model"], result["agent_version"], result["conversation"]) == ("claude-x", "2.1.330", "5f0c")
    assert (result["tool_called"], result["deeds"]["commands"]) == (True, ["make"])
    assert result["spending"]["input_tokens"] == 1000
    assert json.loads((log_dir / "result.json").read_text()) == result


def test_an_exit_code_of_0_is_no_success_by_itself(log_dir: Path) -> None:
    refusal = claude_result(stop_reason="refusal")
    for name, said, code, reason in (
        ("unfinished", lines(CLAUDE_INIT, claude_says(CALL)), "0", "agent_error"),
        ("silent", b"", "0", "agent_error"),
        ("failed", lines(claude_result(is_error=True)), "0", "agent_error"),
        ("empty", lines(claude_result(result=" ")), "0", "empty_answer"),
        ("refused", lines(refusal), "0", "refused"),
        ("cut", lines(claude_result())[:40], "0", "agent_error"),
        ("unauthorized", lines(claude_result(is_error=True, api_error_status=401)), "1", "auth_failed"),
        ("code", lines(claude_result()), "1", "agent_error"),
        ("above 128", lines(claude_result()), "143", "agent_error"),
    ):
        folder = log_dir / name
        folder.mkdir()
        result = execute(read(folder, prompt=said.decode(), env={"CODE": code}))
        assert (result["reason"], result["exit_code"], result["signal"]) == (reason, int(code), None), (name, result)
        assert result["error"].endswith("."), name


def test_without_a_reading_there_is_no_transcript(log_dir: Path) -> None:
    assert execute(request(log_dir, "echo", "fine"))["spending"] is None
    assert not (log_dir / "transcript.jsonl").exists()


STEPS = """
import json, time
for step in range(1000):
    usage = {"input_tokens": 100, "output_tokens": 10}
    print(json.dumps({"type": "assistant", "message": {"id": f"m{step}", "usage": usage, "content": []}}), flush=True)
    if step == 20:
        time.sleep(1000)
"""


def test_a_cap_that_is_passed_in_the_stream_ends_the_tree(log_dir: Path) -> None:
    result = execute(read(log_dir, PYTHON, "-c", STEPS, driver.marker(), caps=Caps(tokens=1000)))
    assert result["reason"] == "budget_exceeded"
    assert "tokens, and may use 1000." in result["error"]
    assert 1000 < result["spending"]["input_tokens"] + result["spending"]["output_tokens"] <= 2310
    assert result["duration"] < 10e9


def test_the_transcript_grows_while_the_agent_works(log_dir: Path) -> None:
    script = "cat; sleep 1000"
    said = lines(claude_says(CALL))
    with Driven(read(log_dir, "sh", "-c", script, prompt=said.decode())) as driven:
        driven.wait_for("started")
        assert eventually(lambda: (log_dir / "transcript.jsonl").read_bytes().endswith(b"\n"), 20.0)
        assert transcript(log_dir)[0]["command"] == "make"
        driven.stop()
        assert driven.result()["tool_called"]


LONG = """
import sys
line = b"x" * (1 << 20)
for _ in range(100):
    sys.stdout.buffer.write(line)
sys.stdout.buffer.write(b"\\n")
for _ in range(400_000):
    sys.stdout.buffer.write(b'{"type":"user","message":1}\\n')
sys.stdout.buffer.flush()
sys.stdout.buffer.write(sys.stdin.buffer.read())
"""


def test_a_line_of_100_mb_and_a_flood_of_lines_cost_the_runner_no_memory(log_dir: Path) -> None:
    wanted = read(log_dir, PYTHON, "-c", LONG, prompt=lines(claude_result()).decode())
    highest = 0
    with Driven(replace(wanted, limits=limits(output_bytes=256 << 20, wall_seconds=120.0))) as driven:
        while not any(message["type"] == "result" for message in driven.messages):
            assert driven.read(100.0), driven.messages
            status = Path(f"/proc/{driven.process.pid}/status").read_text()
            highest = max(
                [highest, *(int(each.split()[1]) for each in status.splitlines() if each.startswith("VmHWM"))]
            )
        result = driven.result()
    assert (result["reason"], result["response"]) == ("ok", "It is done.")
    assert highest < 64 << 10, highest
    assert any("Left out" in entry["text"] for entry in transcript(log_dir))


def test_forged_events_on_the_standard_error_and_within_texts_are_none(log_dir: Path) -> None:
    forged = lines(claude_result(result="forged"))
    inside = lines(claude_says({"type": "text", "text": f"\n{forged.decode()}"}))
    script = 'cat; printf %s "$FORGED" >&2'
    result = execute(read(log_dir, "sh", "-c", script, prompt=inside.decode(), env={"FORGED": forged.decode()}))
    assert (log_dir / "stderr").read_bytes() == forged
    assert result["reason"] == "agent_error"
    assert result["response"] == ""


def test_secrets_are_marks_in_answer_transcript_and_error(log_dir: Path) -> None:
    value = "tok-12345678-abcdefgh"
    call = {"type": "tool_use", "name": "Bash", "input": {"command": f"curl -H {value}"}}
    said = lines(claude_says(call), claude_result(result=f"It is {value}."))
    result = execute(read(log_dir, prompt=said.decode(), secrets=(Secret(name="TOKEN", value=value),)))
    assert (result["reason"], result["response"]) == ("ok", "It is [secret TOKEN].")
    assert transcript(log_dir)[0]["command"] == "curl -H [secret TOKEN]"
    kept = [path.name for path in log_dir.iterdir() if value.encode() in path.read_bytes()]
    assert kept == []


def test_of_a_conversation_that_goes_on_this_runs_share_is_told(log_dir: Path) -> None:
    usage = {"input_tokens": 3000, "output_tokens": 30}
    said = lines(
        {"type": "thread.started", "thread_id": "0199"},
        {"type": "item.completed", "item": {"type": "agent_message", "text": "Hi."}},
        {"type": "turn.completed", "usage": usage},
    )
    before = Spending(input_tokens=2000, output_tokens=50)
    result = execute(read(log_dir, reading=CODEX, prompt=said.decode(), spent_before=before))
    assert (result["reason"], result["conversation"]) == ("ok", "0199")
    assert (result["spending"]["input_tokens"], result["spending"]["output_tokens"]) == (1000, 0)
    assert result["spent_in_all"]["input_tokens"] == 3000


def test_structured_is_the_object_that_the_agent_gives_for_the_schema(log_dir: Path) -> None:
    schema = json.dumps({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}})
    for name, said, reason, answer in (
        ("met", claude_result(structured_output={"n": 7}), "ok", {"n": 7}),
        ("unmet", claude_result(structured_output={"n": "7"}), "invalid_output", {"n": "7"}),
        ("missing", claude_result(result='{"n": 7}'), "invalid_output", {"n": 7}),
    ):
        folder = log_dir / name
        folder.mkdir()
        wanted = read(folder, prompt=lines(said).decode(), output_format="structured", output_schema=schema)
        result = execute(wanted)
        assert (result["reason"], json.loads((folder / "answer").read_text())) == (reason, answer), (name, result)
