"""What real agents write, read by what their adapters declare: one verdict and one account for each way it can end."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from runner import judgement, logs, output
from runner.ending import Ending
from runner.hiding import Hiding
from runner.listener import Listener
from runner.output import Verdict
from runner.report import Report
from shared.findings import Spending
from shared.messages import Caps, ExecuteRequest, ExecuteResult, Secret
from shared.reading import Event, Pick, Reading
from shared.reasons import Reason
from tests.driver import limits, request
from tests.readings import CLAUDE, CLAUDE_INIT, CODEX, GEMINI, LLM, OPENCODE, claude_result, claude_says, lines

TOOL = {"type": "tool_use", "name": "Bash", "input": {"command": "ls -l"}}
EDIT = {"type": "tool_use", "name": "Edit", "input": {"file_path": "a.py", "new_string": "x"}}
_numbers = count(1)


class Run(NamedTuple):
    verdict: Verdict
    result: ExecuteResult
    transcript: list[dict[str, Any]]
    answer: str


def run(
    folder: Path, reading: Reading, said: bytes, errors: bytes = b"", status: int = 0, piece: int = 50, **changes: Any
) -> Run:
    """An attempt whose agent wrote this and ended so; its output came in pieces."""
    place = folder / str(next(_numbers))
    place.mkdir()
    asked = request(place, "prog", **{"require_answer": True, **changes})
    asked = replace(asked, agent=replace(asked.agent, reading=reading))
    files = logs.open_logs(str(place), "transcript")
    hiding = Hiding(asked) if asked.secrets else None
    listener = Listener(asked, reading, files.transcript, lambda: 1.5, hiding.mask if hiding else None)
    for at in range(0, len(said), piece):
        part = said[at : at + piece]
        logs.write_all(files.stdout, hiding.stdout.feed(part) if hiding else part)
        listener.hear(part)
    logs.write_all(files.stderr, errors)
    told = judged(asked, files, hiding, listener, status)
    for descriptor in (*files[:5], files.transcript):
        os.close(descriptor)
    transcript = [json.loads(line) for line in (place / "transcript.jsonl").read_bytes().splitlines()]
    return Run(*told, transcript, (place / "answer").read_text())


def judged(
    asked: ExecuteRequest, files: logs.Logs, hiding: Hiding | None, listener: Listener, status: int
) -> tuple[Verdict, ExecuteResult]:
    report = Report()
    for line in ("hello Seccomp=0", "started", f"exited {status} 0"):
        report.take(line.encode())
    account = listener.finish(logs.tail(files.stderr, 1 << 16))
    verdict = output.judge(asked, Ending(report), files, hiding, account)
    plain = output.result(asked, Ending(report), verdict, (), (1.0, 1.0))
    return verdict, judgement.told(plain, listener, account, hiding.mask.text if hiding else str)


def codex(*items: dict[str, Any], end: dict[str, Any] | None = None) -> bytes:
    begin = [{"type": "thread.started", "thread_id": "0199-ab"}, {"type": "turn.started"}]
    usage = {"input_tokens": 2000, "cached_input_tokens": 5, "output_tokens": 30}
    done = {"type": "turn.completed", "usage": usage} if end is None else end
    return lines(*begin, *({"type": "item.completed", "item": item} for item in items), done)


def codex_failed(words: str) -> bytes:
    return codex(end={"type": "turn.failed", "error": {"message": words}})


def gemini(*pieces: str, **result: Any) -> bytes:
    texts = [{"type": "message", "role": "assistant", "content": piece, "delta": True} for piece in pieces]
    user = {"type": "message", "role": "user", "content": "not this"}
    return lines({"type": "init", "session_id": "x"}, user, *texts, {"type": "result", "status": "success", **result})


def opencode(*parts: dict[str, Any]) -> bytes:
    return lines(*({"type": part["type"], "sessionID": "ses_1", "part": part} for part in parts))


def finish(reason: str) -> dict[str, Any]:
    return {"type": "step_finish", "reason": reason, "tokens": {"input": 10, "output": 2}, "cost": 0.25}


SAYS = {"type": "agent_message", "text": "Hi."}
TEXT = {"type": "text", "text": "Hi."}
API = "API Error: 401 invalid x-api-key"
TABLE: list[tuple[str, Reading, bytes, bytes, int, Reason, str]] = [
    ("claude", CLAUDE, lines(CLAUDE_INIT, claude_says(TEXT), claude_result()), b"", 0, Reason.OK, "It is done."),
    ("claude cut", CLAUDE, lines(CLAUDE_INIT, claude_says(TEXT)), b"", 0, Reason.AGENT_ERROR, "that it is done"),
    ("claude silent", CLAUDE, b"", b"", 0, Reason.AGENT_ERROR, "that it is done"),
    ("claude half", CLAUDE, lines(claude_result())[:-9], b"", 0, Reason.AGENT_ERROR, "that it is done"),
    ("claude empty", CLAUDE, lines(claude_result(result="")), b"", 0, Reason.EMPTY_ANSWER, "no answer"),
    ("claude error", CLAUDE, lines(claude_result(is_error=True)), b"", 0, Reason.AGENT_ERROR, "0. It is done."),
    (
        *("claude 401", CLAUDE, lines(claude_result(is_error=True, result=API, api_error_status=401))),
        *(b"noise", 1 << 8, Reason.AUTH_FAILED, f"exit code 1. {API}"),
    ),
    (
        *("claude 529", CLAUDE, lines(claude_result(is_error=True, result="API Error", api_error_status=529))),
        *(b"", 1 << 8, Reason.PROVIDER_ERROR, "API Error"),
    ),
    (
        *("claude cost", CLAUDE, lines(claude_result(is_error=True, result="", subtype="error_max_budget_usd"))),
        *(b"", 1 << 8, Reason.BUDGET_EXCEEDED, ""),
    ),
    (
        *("claude refusal", CLAUDE, lines(claude_result(is_error=True, stop_reason="refusal", result="I will not."))),
        *(b"", 1 << 8, Reason.REFUSED, "refused. I will not."),
    ),
    (
        *("claude turns", CLAUDE, lines(claude_result(is_error=True, subtype="error_max_budget_usd", result="Ended."))),
        *(b"", 1 << 8, Reason.BUDGET_EXCEEDED, "1. Ended."),
    ),
    ("claude polite", CLAUDE, lines(claude_result(stop_reason="refusal")), b"", 0, Reason.REFUSED, "refused."),
    ("claude 9000", CLAUDE, lines(claude_result(is_error=True, api_error_status=9000)), b"", 0, Reason.AGENT_ERROR, ""),
    ("claude last words", CLAUDE, b"", b"x\nNot logged in\n", 1 << 8, Reason.AUTH_FAILED, "code 1. Not logged in"),
    ("claude 143", CLAUDE, b"", b"", 143 << 8, Reason.AGENT_ERROR, "exit code 143"),
    ("claude killed", CLAUDE, lines(claude_result()), b"", 9, Reason.KILLED_BY_SIGNAL, "SIGKILL"),
    ("codex", CODEX, codex({"type": "reasoning"}, SAYS), b"", 0, Reason.OK, "Hi."),
    ("codex empty", CODEX, codex(), b"", 0, Reason.EMPTY_ANSWER, ""),
    ("codex retry", CODEX, lines({"type": "error", "message": "429"}) + codex(SAYS), b"", 0, Reason.OK, "Hi."),
    ("codex 429", CODEX, codex_failed("exceeded retry limit, last status: 429"), b"", 1 << 8, Reason.RATE_LIMITED, ""),
    ("codex cut", CODEX, codex_failed("stream disconnected before completion"), b"", 1 << 8, Reason.PROVIDER_ERROR, ""),
    (
        "codex hidden",
        CODEX,
        codex(SAYS, end={"type": "turn.failed"}),
        b"",
        0,
        Reason.AGENT_ERROR,
        "says that it failed",
    ),
    ("gemini", GEMINI, gemini("It ", "is ", "so."), b"", 0, Reason.OK, "It is so."),
    ("gemini signal", GEMINI, b"", b"", 0, Reason.AGENT_ERROR, ""),
    ("gemini empty", GEMINI, gemini(), b"", 0, Reason.EMPTY_ANSWER, ""),
    ("gemini error", GEMINI, gemini(status="error", error={"message": "no"}), b"", 0, Reason.AGENT_ERROR, "0. no"),
    ("gemini 41", GEMINI, b"", b"x", 41 << 8, Reason.AUTH_FAILED, "41 (it is not logged in). x"),
    ("gemini 173", GEMINI, b"", b"", 173 << 8, Reason.RATE_LIMITED, "exit code 173"),
    (
        "gemini 400",
        GEMINI,
        gemini(status="error", error={"message": "API key not valid."}),
        b"",
        0,
        Reason.AUTH_FAILED,
        "",
    ),
    ("opencode", OPENCODE, opencode(TEXT, finish("tool-calls"), TEXT, finish("stop")), b"", 0, Reason.OK, "Hi.Hi."),
    ("opencode cut", OPENCODE, opencode(TEXT, finish("length")), b"", 0, Reason.AGENT_ERROR, "failed, though"),
    ("opencode empty", OPENCODE, opencode(finish("stop")), b"", 0, Reason.EMPTY_ANSWER, ""),
    ("opencode rejected", OPENCODE, opencode(finish("tool-calls")), b"", 0, Reason.AGENT_ERROR, "that it is done"),
    ("opencode filter", OPENCODE, opencode(TEXT, finish("content-filter")), b"", 1 << 8, Reason.REFUSED, ""),
    (
        *("opencode 500", OPENCODE, lines({"type": "error", "error": {"data": {"message": "x", "statusCode": 500}}})),
        *(b"", 1 << 8, Reason.PROVIDER_ERROR, "x"),
    ),
    ("llm", LLM, json.dumps([{"id": "1", "response": "Hi."}], indent=2).encode(), b"", 0, Reason.OK, "Hi."),
    ("llm failed", LLM, b"", b"Error: Connection error.\n", 1 << 8, Reason.PROVIDER_ERROR, "1. Connection error."),
    ("llm cut", LLM, b'[{"id": "1", "respo', b"Error: eof\n", 1 << 8, Reason.AGENT_ERROR, "eof"),
    ("llm cut well", LLM, b'[{"id": "1", "respo', b"", 0, Reason.AGENT_ERROR, "that it is done"),
]


def test_each_way_an_agent_can_end_has_its_reason_and_its_words(tmp_path: Path) -> None:
    for name, reading, said, errors, status, reason, word in TABLE:
        found = run(tmp_path, reading, said, errors, status)
        assert found.verdict.reason is reason, (name, found.verdict)
        if reason is Reason.OK:
            assert (found.answer, found.verdict.response, found.verdict.answer_bytes) == (word, word, len(word)), name
        else:
            assert word in found.verdict.error, (name, found.verdict)
            assert found.answer == "", name


def test_words_on_a_failure_are_short_and_safe(tmp_path: Path) -> None:
    for said in (codex_failed("red \x1b[31m\n" + "x" * 9000 + "\ud800"), codex_failed("\u202e")):
        error = run(tmp_path, CODEX, said, status=1 << 8).verdict.error
        assert error.isprintable()
        assert len(error) < 400


def test_in_whatever_pieces_it_comes_it_is_read_alike(tmp_path: Path) -> None:
    said = lines(CLAUDE_INIT, claude_says(TOOL), claude_says(TEXT, id="m2"), claude_result())
    whole = run(tmp_path, CLAUDE, said, piece=1 << 20)
    for piece in (1, 7, 64):
        assert run(tmp_path, CLAUDE, said, piece=piece) == whole


def test_what_an_agent_says_of_itself_is_in_its_result(tmp_path: Path) -> None:
    result = run(tmp_path, CLAUDE, lines(CLAUDE_INIT, claude_says(TOOL), claude_result())).result
    assert (result.model, result.agent_version, result.conversation) == ("claude-x", "2.1.330", "5f0c")
    spent = Spending(input_tokens=1000, output_tokens=20, cached_tokens=996, cost_usd=0.005, turns=2)
    assert result.spending == result.spent_in_all == spent
    assert result.tool_called
    summed = run(tmp_path, OPENCODE, opencode(finish("tool-calls"), TEXT, finish("stop"))).result.spending
    assert summed == Spending(input_tokens=20, output_tokens=4, cost_usd=0.5)
    assert not run(tmp_path, CODEX, codex(SAYS)).result.tool_called


def test_of_figures_from_the_beginning_of_a_conversation_this_runs_are_taken(tmp_path: Path) -> None:
    before = Spending(input_tokens=1500, output_tokens=40, cost_usd=1.0)
    result = run(tmp_path, CODEX, codex(SAYS), spent_before=before).result
    assert result.spending == Spending(input_tokens=500, output_tokens=0)
    assert result.spent_in_all == Spending(input_tokens=2000, output_tokens=30)
    claude = run(tmp_path, CLAUDE, lines(claude_result(total_cost_usd=1.25)), spent_before=before).result
    assert claude.spending is not None
    assert (claude.spending.cost_usd, claude.spending.input_tokens) == (0.25, 1000)


def test_figures_that_nobody_can_mean_are_none(tmp_path: Path) -> None:
    for hostile in (b"-1", b"NaN", b"Infinity", b"1e999", b'"7"', b"true", b"null", b"[]", b"9" * 5000):
        said = b'{"type":"turn.completed","usage":{"input_tokens":%s,"output_tokens":3}}\n' % hostile
        found = run(tmp_path, CODEX, codex(SAYS)[: -len(lines({}))] + b"\n" + said).result.spending
        assert found is None or found.input_tokens in (None, 2000), hostile
    huge = lines({"type": "turn.completed", "usage": {"input_tokens": 10**400, "output_tokens": 1.7}})
    assert run(tmp_path, CODEX, codex(SAYS) + huge).result.spending == Spending(input_tokens=10**15, output_tokens=1)


def test_a_conversation_that_could_be_an_option_or_a_path_is_none(tmp_path: Path) -> None:
    for hostile in ("--dangerously", "../x", "a b", "", "a\n", "x" * 200, 5, None):
        assert run(tmp_path, CLAUDE, lines(claude_result(session_id=hostile))).result.conversation in ("", "5")


def test_what_a_provider_asks_to_wait_is_told_of_its_limits_only(tmp_path: Path) -> None:
    limited = codex_failed("Rate limit reached. Please try again in 11.5s.")
    assert run(tmp_path, CODEX, limited, status=1 << 8).result.retry_after_seconds == 11.5
    asked = replace(CODEX, retry_after=(Pick(pointer="/error/retry", where={"/type": "turn.failed"}),))
    said = codex(end={"type": "turn.failed", "error": {"message": "429", "retry": "7"}})
    assert run(tmp_path, asked, said, status=1 << 8).result.retry_after_seconds == 7.0
    for hostile in ("-7", "nan", "1e999", 1e9, "soon"):
        said = codex(end={"type": "turn.failed", "error": {"message": "429", "retry": hostile}})
        assert run(tmp_path, asked, said, status=1 << 8).result.retry_after_seconds is None, hostile
    failed = codex_failed("It broke. Do not try again in 5 s.")
    assert run(tmp_path, CODEX, failed, status=1 << 8).result.retry_after_seconds is None


SCHEMA = json.dumps({"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}})


def test_the_object_that_an_agent_gives_for_a_schema_is_its_answer_and_is_checked(tmp_path: Path) -> None:
    wanted = {"output_format": "structured", "output_schema": SCHEMA}
    met = run(tmp_path, CLAUDE, lines(claude_result(structured_output={"name": "x"})), **wanted)
    assert (met.verdict.reason, json.loads(met.answer)) == (Reason.OK, {"name": "x"})
    unmet = run(tmp_path, CLAUDE, lines(claude_result(structured_output={"name": 7})), **wanted)
    assert (unmet.verdict.reason, json.loads(unmet.answer)) == (Reason.INVALID_OUTPUT, {"name": 7})
    assert "$.name" in unmet.verdict.error
    missing = run(tmp_path, CLAUDE, lines(claude_result(result='{"name": "x"}')), **wanted)
    assert (missing.verdict.reason, missing.answer) == (Reason.INVALID_OUTPUT, '{"name": "x"}')
    assert "no object" in missing.verdict.error
    text = run(tmp_path, CODEX, codex({**SAYS, "text": 'So:\n```json\n{"name": "y"}\n```'}), **wanted)
    assert (text.verdict.reason, text.answer, text.verdict.response) == (Reason.OK, '{"name": "y"}\n', text.answer)
    assert "So:" in json.dumps(text.transcript)
    assert run(tmp_path, CODEX, codex(SAYS), **wanted).verdict.reason is Reason.INVALID_OUTPUT


def test_the_transcript_has_what_was_said_and_done_in_order(tmp_path: Path) -> None:
    output = {"type": "tool_result", "content": "total 0", "is_error": True}
    said = lines(
        CLAUDE_INIT,
        claude_says({"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Look."}, TOOL),
        {"type": "user", "message": {"content": [output]}},
        claude_says(EDIT, EDIT, id="m2"),
        claude_result(),
    )
    found = run(tmp_path, CLAUDE, said)
    usage = {"at": 1.5, "kind": "usage", "text": '{"input_tokens": 10, "output_tokens": 5}'}
    edit = {"kind": "tool_call", "name": "Edit", "path": "a.py", "text": '{"file_path": "a.py", "new_string": "x"}'}
    assert found.transcript == [
        {"at": 1.5, "kind": "text", "text": "Look."},
        {"at": 1.5, "kind": "tool_call", "name": "Bash", "command": "ls -l", "text": '{"command": "ls -l"}'},
        usage,
        {"at": 1.5, "kind": "tool_result", "failed": True, "text": "total 0"},
        {"at": 1.5, **edit},
        {"at": 1.5, **edit},
        usage,
    ]
    deeds = found.result.deeds
    assert deeds is not None
    assert (deeds.tools, deeds.commands, deeds.files) == ({"Bash": 1, "Edit": 2}, ("ls -l",), ("a.py",))
    assert (deeds.calls, deeds.failures) == (3, 1)


def test_of_the_events_that_fit_the_first_makes_the_entry_and_what_was_too_long_is_noted(tmp_path: Path) -> None:
    special = Event(
        kind="text", where={"/type": "assistant"}, each="/message/content", item={"/name": "Bash"}, text="/name"
    )
    whole = Event(kind="error", where={"/type": "assistant"}, text="/type")
    reading = replace(CLAUDE, events=(special, *CLAUDE.events, whole))
    found = run(
        tmp_path, reading, lines(claude_says(TOOL, EDIT)) + b"x" * (1 << 20) + b"xx\n" + lines({}), piece=1 << 20
    )
    kinds = [entry["kind"] for entry in found.transcript]
    assert kinds == ["text", "tool_call", "usage", "error"]
    assert found.transcript[-1]["text"] == "Left out, as too long to be read: 1 lines of output."


def test_a_number_that_is_none_is_null_in_the_transcript(tmp_path: Path) -> None:
    said = lines(claude_says({**TOOL, "input": {"x": float("nan"), "y": float("inf")}}), claude_result())
    assert run(tmp_path, CLAUDE, said).transcript[0]["text"] == '{"x": null, "y": null}'


def test_pieces_of_a_text_are_marked_as_such(tmp_path: Path) -> None:
    found = run(tmp_path, GEMINI, gemini("It ", "is."))
    assert found.transcript == [{"at": 1.5, "kind": "text", "piece": True, "text": text} for text in ("It ", "is.")]


def test_an_entry_and_a_transcript_have_their_greatest_size(tmp_path: Path) -> None:
    for text in ("x" * 200_000, "\x01ä" * 40_000, "\U0001f600" * 30_000):
        found = run(tmp_path, GEMINI, gemini(text), piece=1 << 16)
        (entry,) = found.transcript
        assert entry["cut"]
        assert text.startswith(entry["text"])
        assert 20_000 < len(json.dumps(entry)) < 64 << 10
        assert found.verdict.answer_bytes == len(text.encode())
    short = run(tmp_path, GEMINI, gemini(*["word "] * 500), limits=limits(output_bytes=50_000))
    assert short.transcript[-1]["kind"] == "error"
    assert 3 < len(short.transcript) < 500
    assert short.verdict.answer_bytes == 2500


def test_an_answer_has_its_greatest_size_and_says_so(tmp_path: Path) -> None:
    found = run(tmp_path, GEMINI, gemini(*["y" * 400_000] * 4, "z"), piece=1 << 16)
    assert found.answer.endswith("y\n[cut]\n")
    assert found.verdict.answer_bytes == 1 << 20


def test_what_it_did_at_a_glance_is_short(tmp_path: Path) -> None:
    calls = [
        {**TOOL, "name": f"{number}ä" * 90, "input": {"command": "\x1b" * 300 + str(number), "file_path": "ö" * 300}}
        for number in range(200)
    ]
    deeds = run(tmp_path, CLAUDE, lines(claude_says(*calls), claude_result()), piece=1 << 16).result.deeds
    assert deeds is not None
    assert deeds.calls == 200
    assert len(json.dumps([deeds.tools, deeds.commands, deeds.files])) < 8 << 10
    assert all(len(each) <= 200 and each.isprintable() for each in (*deeds.commands, *deeds.files))
    short = [{**TOOL, "name": f"T{number}", "input": {"command": f"ls {number}"}} for number in range(50)]
    deeds = run(tmp_path, CLAUDE, lines(claude_says(*short), claude_result())).result.deeds
    assert deeds is not None
    assert (len(deeds.tools), len(deeds.commands), deeds.commands[-1]) == (32, 20, "ls 19")


TOKEN = "tok-12345678-abcdefgh"


def test_a_secret_that_is_spread_over_what_is_no_text_takes_all_of_an_entry(tmp_path: Path) -> None:
    said = lines(claude_says({**TOOL, "input": {"k": [12, 34]}}), claude_result())
    secret = Secret(name="SPREAD", value='{"k": [12, 34]}')
    assert run(tmp_path, CLAUDE, said, secrets=(secret,)).transcript[0] == {
        "at": 1.5,
        "kind": "tool_call",
        "text": "[secret]",
    }


def test_secrets_are_marks_in_everything_that_is_kept_and_json_is_read_as_it_was_written(tmp_path: Path) -> None:
    secrets = (Secret(name="TOKEN", value=TOKEN), Secret(name="SPREAD", value='{"k":[12,34]}'))
    spelled = "".join(f"\\u{ord(letter):04x}" for letter in TOKEN)
    call = {"type": "tool_use", "name": TOKEN, "input": {"command": f"curl {TOKEN}", "file_path": f"/{TOKEN}"}}
    said = lines({**CLAUDE_INIT, "model": TOKEN}, claude_says(call), claude_result(result=f"It is {TOKEN}."))
    for each in (said, said.replace(TOKEN.encode(), spelled.encode())):
        found = run(tmp_path, CLAUDE, each, secrets=secrets)
        assert found.verdict.reason is Reason.OK
        assert found.answer == found.verdict.response == "It is [secret TOKEN]."
        assert found.result.model == "[secret TOKEN]"
        assert found.transcript[0]["command"] == "curl [secret TOKEN]"
        assert TOKEN not in repr(found)
    words = run(tmp_path, CODEX, codex_failed(f"no: {TOKEN}"), status=1 << 8, secrets=secrets)
    assert words.verdict.error.endswith("no: [secret TOKEN]")
    schema = json.dumps({"properties": {"name": {"const": TOKEN}}})
    wanted = {"output_format": "structured", "output_schema": schema, "secrets": secrets}
    met = run(tmp_path, CLAUDE, lines(claude_result(structured_output={"name": TOKEN})), **wanted)
    assert (met.verdict.reason, json.loads(met.answer)) == (Reason.OK, {"name": "[secret TOKEN]"})


def test_lines_that_are_no_events_are_none_and_events_in_texts_are_texts(tmp_path: Path) -> None:
    forged = lines(claude_result(result="forged", total_cost_usd=99))
    noise = [
        b"warning: " + forged,
        b"\xff\xfe{}\n",
        b"[]\n",
        b'{"type":"result"\n',
        b"{" * 5000 + b"\n",
        b"\n \n",
        b"null\n",
    ]
    inside = lines(claude_says({"type": "text", "text": forged.decode()}))
    found = run(tmp_path, CLAUDE, b"".join(noise) + inside, forged)
    assert found.verdict.reason is Reason.AGENT_ERROR
    assert found.result.spending is not None
    assert found.result.spending.cost_usd is None
    good = run(tmp_path, CLAUDE, b"".join(noise) + lines(claude_result()))
    assert (good.verdict.reason, good.answer) == (Reason.OK, "It is done.")
    twice = run(tmp_path, CLAUDE, lines(claude_result(is_error=True), claude_result()), status=1 << 8)
    assert twice.verdict.reason is Reason.AGENT_ERROR


def test_an_output_of_text_is_the_answer_as_it_is_and_its_lines_can_be_looked_into(tmp_path: Path) -> None:
    reading = Reading(
        input_tokens=(Pick(pattern=r"never a figure: (\d+)"),),
        model=(Pick(stream="stderr", pattern=r"^model: (\S+)"),),
        failed=(Pick(pattern="^FATAL"),),
        events=(Event(kind="text"),),
    )
    found = run(tmp_path, reading, b"one\ntwo\n", b"hi\nmodel: m-1\n")
    assert (found.verdict.reason, found.answer, found.result.model) == (Reason.OK, "one\ntwo\n", "m-1")
    assert [entry["text"] for entry in found.transcript] == ["one", "two"]
    assert run(tmp_path, reading, b"one\nFATAL: x").verdict.reason is Reason.AGENT_ERROR


def heard(reading: Reading, caps: Caps, *said: bytes, **changes: Any) -> list[str]:
    """What a listener wants to end the tree for, line by line."""
    asked = replace(request(Path("/log"), "prog", caps=caps, **changes))
    listener = Listener(asked, reading, -1, lambda: 0.0)
    causes = [listener.hear(each) for each in said]
    assert {cause.reason for cause in causes if cause} <= {Reason.BUDGET_EXCEEDED}
    return [cause.error if cause else "" for cause in causes]


def test_a_cap_is_passed_in_the_middle_of_the_stream(tmp_path: Path) -> None:
    step = opencode(finish("tool-calls"))
    assert heard(OPENCODE, Caps(tokens=24), step, step, step) == ["", "", "It had used 36 tokens, and may use 24."]
    assert heard(OPENCODE, Caps(cost_usd=0.5), step, step, step)[1:] == [
        "",
        "It had cost 0.7500 USD, and may cost 0.5000.",
    ]
    says = [lines(claude_says(TEXT, id=name)) for name in ("m1", "m1", "m2", "m3")]
    assert heard(CLAUDE, Caps(tokens=30), *says) == ["", "", "", "It had used 45 tokens, and may use 30."]
    assert heard(CLAUDE, Caps(turns=2), *says)[2:] == ["", "It had taken 3 turns, and may take 2."]


def test_what_is_done_is_not_ended_for_what_it_cost(tmp_path: Path) -> None:
    assert heard(CLAUDE, Caps(tokens=5), lines(claude_result())) == [""]
    assert heard(CODEX, Caps(tokens=5), codex(SAYS)) == [""]


def test_a_cap_minds_only_what_this_run_spent() -> None:
    reading = replace(OPENCODE, cumulative=("tokens",))
    before = Spending(input_tokens=10, output_tokens=2)
    step = opencode(finish("tool-calls"))
    assert heard(reading, Caps(tokens=12), step, step, step, spent_before=before)[:2] == ["", ""]
