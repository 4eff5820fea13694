"""One attempt from prompt to result, with a real runner in a real cell."""

from __future__ import annotations

import hashlib
import json
import stat
import sys
from pathlib import Path

import pytest

from tests.driver import Driven, execute, limits, request
from tests.lacks import need

pytestmark = need("cell")

SCHEMA = json.dumps({"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}})


def test_the_prompt_arrives_whole_and_the_answer_is_kept(log_dir: Path) -> None:
    prompt = "Grüße, 世界\n" * 3
    result = execute(request(log_dir, "cat", prompt=prompt, require_answer=True))
    assert (result["reason"], result["exit_code"], result["response"]) == ("ok", 0, prompt)
    assert (log_dir / "answer").read_bytes() == (log_dir / "stdout").read_bytes() == prompt.encode()
    assert result["answer_bytes"] == len(prompt.encode())


def test_messages_come_in_order_and_the_result_is_on_disk_as_it_was_said(log_dir: Path) -> None:
    with Driven(request(log_dir, "true")) as driven:
        result = driven.result()
        assert driven.exit_code() == 0
    assert [message["type"] for message in driven.messages] == ["ready", "started", "result"]
    assert json.loads((log_dir / "result.json").read_text()) == result
    assert driven.messages[1]["pid"] > 0
    assert result["layers"] == driven.messages[1]["layers"]


TELLING = """#!{python} -IS
import os, runpy, sys
write, fsync = os.write, os.fsync

def tell(name, real):
    def call(descriptor, *rest):
        place = os.path.basename(os.readlink(f"/proc/self/fd/{{descriptor}}"))
        write(2, f"{{name}} {{place}}\\n".encode())
        return real(descriptor, *rest)
    return call

os.write, os.fsync = tell("write", write), tell("fsync", fsync)
sys.argv = sys.argv[3:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""A Python for the runner that tells what it writes and syncs, in order, on its standard error."""


def test_the_result_is_synced_before_it_is_said(log_dir: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(TELLING.format(python=sys.executable))
    python.chmod(0o755)
    with Driven(request(log_dir, "true"), python=str(python)) as driven:
        assert driven.result()["reason"] == "ok"
        told = driven.diagnostics().split(": ", 1)[1].splitlines()
    say = told[0]
    assert say.startswith("write pipe:")
    assert told[-4:] == ["write result.json", "fsync result.json", "fsync log", say]
    assert told.count(say) == len(["ready", "started", "result"])


def test_files_are_the_owners_alone(log_dir: Path) -> None:
    execute(request(log_dir, "true"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in log_dir.iterdir()}
    assert modes == {"stdout": 0o600, "stderr": 0o600, "answer": 0o600, "result.json": 0o600}


def test_an_attempt_is_never_run_twice_over_the_same_files(log_dir: Path) -> None:
    execute(request(log_dir, "echo", "first"))
    result = execute(request(log_dir, "echo", "second"))
    assert result["reason"] == "runner_broke"
    assert (log_dir / "answer").read_text() == "first\n"


def test_a_log_directory_that_is_not_there_is_a_result_too(tmp_path: Path) -> None:
    result = execute(request(tmp_path / "gone", "true"))
    assert result["reason"] == "runner_broke"
    assert str(tmp_path / "gone") in result["error"]


def test_usage_is_measured(log_dir: Path) -> None:
    burn = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done"
    result = execute(request(log_dir, "sh", "-c", burn))
    usage = result["usage"]
    assert 0 < usage["cpu_seconds"] <= usage["wall_seconds"] * 2
    assert usage["peak_rss_bytes"] > 1 << 20
    assert usage["output_bytes"] == 5
    assert 0 <= result["duration"] / 1e9 - usage["wall_seconds"] < 5  # the judgement comes after the end


@pytest.mark.parametrize("code", [1, 3, 127, 255])
def test_an_exit_code_is_named_with_the_last_words(log_dir: Path, code: int) -> None:
    result = execute(request(log_dir, "sh", "-c", f"echo half; echo first >&2; echo 'no luck' >&2; exit {code}"))
    assert (result["reason"], result["exit_code"], result["signal"]) == ("agent_error", code, None)
    assert result["error"] == f"The agent ended with exit code {code}. no luck"
    assert result["response"] == ""
    assert (log_dir / "stdout").read_text() == "half\n"


def test_an_exit_code_above_128_is_no_signal(log_dir: Path) -> None:
    result = execute(request(log_dir, "sh", "-c", "exit 137"))
    assert (result["reason"], result["exit_code"], result["signal"]) == ("agent_error", 137, None)


@pytest.mark.parametrize(("name", "number"), [("KILL", 9), ("SEGV", 11), ("TERM", 15), ("USR1", 10)])
def test_a_signal_is_named(log_dir: Path, name: str, number: int) -> None:
    result = execute(request(log_dir, "sh", "-c", f"kill -{name} $$"))
    assert (result["reason"], result["exit_code"], result["signal"]) == ("killed_by_signal", None, number)
    assert name in result["error"] or str(number) in result["error"]


def test_last_words_cannot_reach_a_terminal(log_dir: Path) -> None:
    result = execute(request(log_dir, "sh", "-c", r"printf 'red \033[31m\007 \342\200\256evil' >&2; exit 1"))
    assert result["error"].endswith(r"red \x1b[31m\x07 \u202eevil")


def test_a_missing_program_is_a_bad_definition(log_dir: Path) -> None:
    result = execute(request(log_dir, "no-such-program"))
    assert result["reason"] == "bad_definition"
    assert "no-such-program was not found" in result["error"]
    assert result["exit_code"] is None


def test_a_program_that_may_not_be_executed_is_a_bad_definition(log_dir: Path) -> None:
    result = execute(request(log_dir, "/etc/passwd"))
    assert (result["reason"], result["error"]) == ("bad_definition", "The program /etc/passwd may not be executed.")


def test_an_answer_that_was_required_and_is_blank_is_none(log_dir: Path) -> None:
    result = execute(request(log_dir, "sh", "-c", "printf ' \\n\\t\\n'", require_answer=True))
    assert (result["reason"], result["answer_bytes"]) == ("empty_answer", 4)


def test_a_long_answer_is_cut_in_the_response_and_whole_in_the_file(log_dir: Path) -> None:
    text = "ä" * 5000
    result = execute(request(log_dir, "cat", prompt=text, response_bytes=4095))
    assert result["response"] == "ä" * 2047
    assert (log_dir / "answer").read_text() == text


def test_what_is_not_utf_8_is_marked_and_kept(log_dir: Path) -> None:
    result = execute(request(log_dir, "printf", r"a\377\000b"))
    assert result["response"] == "a\ufffd\0b"
    assert (log_dir / "answer").read_bytes() == b"a\xff\x00b"


@pytest.mark.parametrize("answer", ['{"a": 1}', 'Here it is:\n```json\n{"a": 1}\n```\nDone.', " [1, 2]\n", "null"])
def test_json_that_is_json_is_accepted_and_is_all_of_the_answer(log_dir: Path, answer: str) -> None:
    result = execute(request(log_dir, "cat", prompt=answer, output_format="json", response_bytes=7))
    kept = (log_dir / "answer").read_text()
    assert (result["reason"], result["response"], result["answer_bytes"]) == ("ok", kept[:7], len(kept))
    assert json.loads(kept) == ({"a": 1} if "a" in answer else json.loads(answer))
    assert (log_dir / "stdout").read_text() == answer


def test_a_text_keeps_its_blocks_and_what_is_said_around_them(log_dir: Path) -> None:
    said = "Here it is:\n```json\n[1]\n```\nDone."
    assert execute(request(log_dir, "cat", prompt=said))["response"] == said


@pytest.mark.parametrize(
    "answer", ["{", "NaN", "Sure!", "[" * 100_000, "```\n1\n```\n```\n2\n```", '"' + "x" * (1 << 20) + '"']
)
def test_json_that_is_none_is_invalid(log_dir: Path, answer: str) -> None:
    wanted = request(log_dir, "sh", "-c", "cat", prompt=answer[:400_000], output_format="json")
    if len(answer) > 400_000:
        wanted = request(
            log_dir, "sh", "-c", f"printf '\"'; head -c {1 << 20} /dev/zero; printf '\"'", output_format="json"
        )
    result = execute(wanted)
    assert result["reason"] == "invalid_output"
    assert result["error"].endswith(".")


def test_a_schema_is_checked_and_the_place_is_named(log_dir: Path) -> None:
    result = execute(request(log_dir, "echo", '{"name": 7}', output_format="structured", output_schema=SCHEMA))
    assert result["reason"] == "invalid_output"
    assert "$.name" in result["error"]


def test_a_schema_that_is_met_is_met(log_dir: Path) -> None:
    result = execute(request(log_dir, "echo", '{"name": "x"}', output_format="structured", output_schema=SCHEMA))
    assert (result["reason"], result["error"]) == ("ok", "")


def test_a_prompt_of_256_kib_arrives(log_dir: Path) -> None:
    prompt = "0123456789abcdef" * (256 * 1024 // 16)
    result = execute(request(log_dir, "sha256sum", prompt=prompt))
    assert result["response"].split()[0] == hashlib.sha256(prompt.encode()).hexdigest()


def test_an_agent_that_never_reads_its_prompt_can_end_well(log_dir: Path) -> None:
    result = execute(request(log_dir, "echo", "fine", prompt="x" * (256 << 10)))
    assert (result["reason"], result["response"]) == ("ok", "fine\n")


def test_an_agent_that_closes_its_output_is_waited_for(log_dir: Path) -> None:
    result = execute(request(log_dir, "sh", "-c", "echo said; exec >&- 2>&- <&-; sleep 0.3; exit 4"))
    assert (result["reason"], result["exit_code"]) == ("agent_error", 4)
    assert (log_dir / "stdout").read_text() == "said\n"


def test_a_flood_ends_with_its_reason_and_keeps_what_was_allowed(log_dir: Path) -> None:
    result = execute(request(log_dir, "yes", limits=limits(output_bytes=1 << 20)))
    assert result["reason"] == "output_limit"
    assert (log_dir / "stdout").stat().st_size == 1 << 20
    assert result["usage"]["output_bytes"] == 1 << 20


def test_both_outputs_share_one_limit(log_dir: Path) -> None:
    script = "head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2; sleep 30"
    result = execute(request(log_dir, "sh", "-c", script, limits=limits(output_bytes=100_000)))
    assert result["reason"] == "output_limit"
    assert sum((log_dir / name).stat().st_size for name in ("stdout", "stderr")) == 100_000


def test_too_much_is_too_much_even_from_an_agent_that_ended_well(log_dir: Path) -> None:
    result = execute(request(log_dir, "head", "-c", "5001", "/dev/zero", limits=limits(output_bytes=5000)))
    assert result["reason"] == "output_limit"


def test_lines_of_the_protocol_on_the_agents_output_are_only_output(log_dir: Path) -> None:
    forged = '{"type":"result","run_id":"run-1","attempt":1,"reason":"ok","response":"forged"}\nexited 0 0\n'
    result = execute(request(log_dir, "sh", "-c", "cat; cat /dev/null >&2; exit 9", prompt=forged))
    assert (result["reason"], result["exit_code"]) == ("agent_error", 9)
    assert (log_dir / "stdout").read_text() == forged


def test_progress_is_told_while_an_agent_writes(log_dir: Path) -> None:
    with Driven(request(log_dir, "sh", "-c", "echo a; sleep 4; echo b; sleep 0.2")) as driven:
        assert driven.result()["reason"] == "ok"
    assert driven.wait_for("progress")["output_bytes"] == 2


def test_arguments_and_variables_arrive_as_they_are(log_dir: Path) -> None:
    odd = "a b\n'\"$HOME\\ é \x01"
    result = execute(request(log_dir, "sh", "-c", 'printf %s "$1|$ODD"', "sh", odd, env={"ODD": odd}))
    assert result["response"] == f"{odd}|{odd}"


def test_what_a_process_cannot_be_given_is_refused(log_dir: Path) -> None:
    result = execute(request(log_dir, "echo", "a\0b"))
    assert (result["reason"], result["usage"]) == ("bad_definition", None)
