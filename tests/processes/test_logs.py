"""`cronward logs` of runs whose agents tell what they do: rendered, followed, raw; called in this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from shared.findings import TaskEnd, Traffic
from shared.reasons import Reason
from supervisor.status import Status
from supervisor.stores.home import Home
from supervisor.stores.runs import RunsStore
from tests.command import Command
from tests.fakes import NOON, make_run

RAW = b'\x1b[2J{"type": "result"}\n\xff'
ENTRIES = [
    {"at": 0.5, "kind": "tool_call", "name": "Bash", "command": "ls"},
    {"at": 1.0, "kind": "text", "text": "Two files."},
]


def kept(cronward: Command, answer: str = "Two files.\n", **files: bytes) -> Path:
    """A run that is over, with the files of its one attempt."""
    run = make_run(id="run-1", status=Status.COMPLETED, reason=Reason.OK, started_at=NOON, finished_at=NOON, attempt=1)
    RunsStore(cronward.home).record(run)
    folder = Home.of(cronward.home).log_dir("run-1", 1)
    folder.mkdir(parents=True)
    transcript = "".join(json.dumps(entry) + "\n" for entry in ENTRIES).encode()
    told = {"answer": answer.encode(), "stdout": RAW, "transcript.jsonl": transcript, **files}
    for name, data in told.items():
        (folder / name).write_bytes(data)
    return folder


def test_a_transcript_stands_in_the_place_of_the_output(cronward: Command) -> None:
    kept(cronward, gate=b"3 mails\n", check=b"fine\n")
    out = cronward("logs", "run-1").out
    assert "--- attempt 1: transcript\n    0.5 s  Bash: ls\nTwo files.\n" in out
    assert "result" not in out
    assert "--- attempt 1: gate\n3 mails\n" in out
    assert "--- attempt 1: check\nfine\n" in out
    assert out.count("Two files.") == 1, "the answer stands in the transcript"
    assert cronward("logs", "-f", "run-1").out == out
    (attempt,) = cronward.json("logs", "run-1")["attempts"]
    assert attempt["transcript"] == ENTRIES
    assert (attempt["gate"], attempt["check"]) == ("3 mails\n", "fine\n")


def test_an_answer_that_is_not_the_last_text_is_shown_as_well(cronward: Command) -> None:
    kept(cronward, answer='{"files": 2}')
    assert '--- attempt 1: answer\n{"files": 2}\n' in cronward("logs", "run-1").out


def test_a_run_is_shown_at_a_glance_where_no_job_has_that_name(cronward: Command) -> None:
    line = {"time": NOON.isoformat(), "address": "", "why": "", "up": 1, "down": 1, "seconds": 0.1}
    hosts = [("b.example", "allowed"), ("a.example", "denied"), ("b.example", "allowed"), *_many()]
    log = "".join(json.dumps({**line, "host": host, "port": 443, "verdict": verdict}) + "\n" for host, verdict in hosts)
    kept(cronward, **{"network.jsonl": log.encode()})
    traffic = Traffic(connections=15, denied=1, bytes_up=1, bytes_down=1)
    end = {"status": Status.COMPLETED, "reason": Reason.OK, "started_at": NOON, "finished_at": NOON, "attempt": 1}
    run = make_run(id="run-1", traffic=traffic, response="Two files.", tainted=True, gate=TaskEnd(exit_code=0), **end)
    RunsStore(cronward.home).record(run)
    out = cronward("show", "run-1").out
    words = [line.split("  ")[0] for line in out.splitlines()]
    assert {"reached", "was denied", "answer", "tainted", "gate", "network"} <= set(words)
    assert "b.example:443 (2)" in out
    assert "was denied  a.example:443\n" in out
    assert "and 3 more (logs --network)" in out
    assert cronward.json("show", "run-1")["tainted"] is True
    said = cronward("show", "run-2")
    assert (said.code, "There is no job" in said.err) == (3, True)


def _many() -> list[tuple[str, str]]:
    return [(f"{number}.example", "allowed") for number in range(12)]


def test_raw_is_the_output_byte_by_byte_and_never_for_a_terminal(cronward: Command) -> None:
    kept(cronward)
    argv = [sys.executable, "-m", "supervisor", "--home", str(cronward.home), "logs", "--raw", "run-1"]
    piped = subprocess.run(argv, capture_output=True, check=True)
    assert piped.stdout == RAW
    ours, theirs = os.openpty()
    refused = subprocess.run(argv, stdout=theirs, stderr=subprocess.PIPE, check=False)
    os.close(theirs)
    os.close(ours)
    assert refused.returncode == 2
    assert b"commands to your terminal" in refused.stderr
    for more in ("--json", "--network"):
        said = cronward("logs", "--raw", more, "run-1")
        assert (said.code, "leave --network or --json out" in said.err) == (2, True)
