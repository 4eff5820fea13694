"""A transcript for reading: tools with their commands, results cut, and not one byte that a terminal would obey."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from supervisor.cli.transcript import RESULT_CHARS, RESULT_LINES, Transcript, cut, entry_of, raw_entries, words_of

EVIL = "\x1b[2J\x9b31m\u202etxt"
SCRIPT: list[dict[str, Any]] = [
    {"at": 0.1, "kind": "thought", "text": "What is here?"},
    {"at": 0.5, "kind": "text", "text": "I will "},
    {"at": 1.25, "kind": "tool_call", "name": "Bash", "command": "ls -la\nwc file"},
    {"at": 1.5, "kind": "tool_result", "text": "one\ntwo\n"},
    {"at": 62.0, "kind": "tool_call", "name": "Edit", "path": "/w/file", "text": "long content"},
    {"at": 62.1, "kind": "tool_result", "text": "no such file", "failed": True},
    {"at": 63.0, "kind": "usage", "text": '{"input_tokens": 10}'},
    {"at": 63.0, "kind": "error", "text": "429 Too Many Requests"},
    {"at": 64.0, "kind": "text", "text": "Done."},
]
WANTED = """HEAD
What is here?
I will 
    1.2 s  Bash: ls -la
           wc file
           one
           two
   62.0 s  Edit: /w/file
           failed: no such file
           usage: {"input_tokens": 10}
   63.0 s  error: 429 Too Many Requests
Done.
"""  # noqa: W291


def written(path: Path, entries: list[dict[str, Any]]) -> Path:
    with path.open("a") as file:
        file.writelines(json.dumps(entry) + "\n" for entry in entries)
    return path


def test_it_reads_like_what_happened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    transcript = Transcript(written(tmp_path / "t", SCRIPT), "HEAD")
    assert transcript.more(last=True) is True
    assert capsys.readouterr().out == WANTED
    assert transcript.said == "Done."


def test_it_is_followed_as_it_grows_and_half_a_line_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t"
    transcript = Transcript(path, "HEAD")
    assert transcript.more(last=False) is False
    for entry in SCRIPT:
        written(path, [entry])
        assert transcript.more(last=False) is True
        with path.open("a") as file:
            file.write(" ")  # white space before an entry is nothing to JSON
    transcript.more(last=True)
    assert capsys.readouterr().out == WANTED


def test_pieces_of_a_text_are_one_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries: list[dict[str, Any]] = [
        {"at": 0, "kind": "text", "text": text, "piece": True} for text in ("To", "get", "her")
    ]
    thought = {"at": 0, "kind": "thought", "text": "hm", "piece": True}
    transcript = Transcript(written(tmp_path / "t", [*entries, thought, entries[0]]), "")
    transcript.more(last=True)
    assert capsys.readouterr().out == "Together\nhm\nTo\n"
    assert transcript.said == "To"
    again = Transcript(written(tmp_path / "u", entries), "")
    again.more(last=False)
    assert again.said == "Together"


def test_long_results_are_cut_and_say_so() -> None:
    assert cut("short\n") == "short"
    assert cut("x" * RESULT_CHARS) == "x" * RESULT_CHARS
    assert cut("x" * (RESULT_CHARS + 7)) == "x" * RESULT_CHARS + "\n… 7 more characters"
    lines = cut("\n".join("abc" for _ in range(RESULT_LINES + 2)))
    assert lines.count("abc") == RESULT_LINES
    assert lines.endswith("… 8 more characters")
    assert "… (cut)" in words_of({"kind": "text", "text": "half", "cut": True}).text


KINDS = ["text", "thought", "tool_call", "tool_result", "usage", "error", 7, None]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(kind=st.sampled_from(KINDS), text=st.text(max_size=50))
def test_nothing_in_it_acts_on_a_terminal(
    kind: object, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for key in ("text", "name", "command", "path", "at"):
        path = tmp_path / "t"
        path.write_text(json.dumps({"kind": kind, key: EVIL + text}) + "\n")
        Transcript(path, "").more(last=True)
        out = capsys.readouterr().out
        assert not {"\x1b", "\x9b", "\u202e", "\r", "\x07"} & set(out), (key, out)


def test_a_line_that_is_no_entry_is_told_and_does_not_end_it(tmp_path: Path) -> None:
    path = tmp_path / "t"
    path.write_bytes(b'[]\n\xff\xfe\n{"kind"\n' + b"[" * 100_000 + b'\n{"kind": "text", "text": "on"}\n')
    kinds = [json.loads(entry)["kind"] for entry in raw_entries(path)]
    assert kinds == ["error", "error", "error", "error", "text"]
    assert "4 bytes" in str(entry_of(b"null")["text"])
