"""The judge: one verdict for each way an attempt can end."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import output
from runner.ending import Cause, Ending, Used
from runner.output import Answer, cut, decode_status, last_line, shown, verdict
from runner.report import Report
from shared import wire
from shared.reasons import Reason
from tests.driver import limits, request

NO_SETTINGS: dict[str, str] = {}


def report(*lines: str) -> Report:
    found = Report()
    for line in ("hello NoNewPrivs=1", *lines):
        found.take(line.encode())
    return found


def answer(text: str) -> Answer:
    raw = text.encode()
    return Answer(len(raw), not text.strip(), raw, raw)


def judged(ending: Ending, said: str = "fine", words: bytes = b"", **changes: Any) -> output.Verdict:
    return verdict(request(Path("/log"), "prog", **changes), ending, answer(said), words, NO_SETTINGS)


def ended(status: int, *more: str, **changes: Any) -> Ending:
    return Ending(report("started", f"exited {status} 0", *more), **changes)


STOPPED = Cause(Reason.REPLACED, "")
TABLE: list[tuple[str, Ending, dict[str, Any], Reason, str]] = [
    ("good", ended(0), {}, Reason.OK, ""),
    ("code", ended(3 << 8), {"words": b"a\nno luck\n\n"}, Reason.AGENT_ERROR, "exit code 3. no luck"),
    ("code above 128", ended(137 << 8), {}, Reason.AGENT_ERROR, "exit code 137."),
    ("killed", ended(9), {}, Reason.KILLED_BY_SIGNAL, "SIGKILL"),
    ("segfault with a core", ended(11 | 128), {}, Reason.KILLED_BY_SIGNAL, "SIGSEGV"),
    ("a nameless signal", ended(40), {}, Reason.KILLED_BY_SIGNAL, "signal 40"),
    ("cpu", ended(24), {"limits": limits(cpu_seconds=5)}, Reason.CPU_LIMIT, "5 s"),
    ("cpu, deaf", ended(9, "usage 9900000 200000 1"), {"limits": limits(cpu_seconds=10)}, Reason.CPU_LIMIT, "10 s"),
    ("killed below", ended(9, "usage 900000 0 1"), {"limits": limits(cpu_seconds=10)}, Reason.KILLED_BY_SIGNAL, ""),
    ("file size", ended(25), {}, Reason.DISK_LIMIT, "file"),
    ("at its processes", ended(1 << 8, used=Used(processes=64)), {"words": b"no"}, Reason.PROCESS_LIMIT, "64 pr"),
    ("killed at its processes", ended(6, used=Used(processes=64)), {}, Reason.PROCESS_LIMIT, "64 processes"),
    ("below its processes", ended(1 << 8, used=Used(processes=63)), {}, Reason.AGENT_ERROR, ""),
    ("well at its processes", ended(0, used=Used(processes=64)), {}, Reason.OK, ""),
    ("left at its processes", Ending(report("started", "exited 256 62")), {}, Reason.PROCESS_LIMIT, ""),
    ("refused processes", ended(1 << 8, used=Used(refused=3)), {}, Reason.PROCESS_LIMIT, ""),
    ("refused none", ended(1 << 8, used=Used(processes=64, refused=0)), {}, Reason.AGENT_ERROR, ""),
    ("CPU at its processes", ended(24, used=Used(processes=64)), {}, Reason.CPU_LIMIT, ""),
    ("stopped", ended(0, cause=STOPPED), {}, Reason.REPLACED, ""),
    ("stopped by a signal", ended(15, cause=STOPPED), {}, Reason.REPLACED, ""),
    ("stuck", ended(0, cause=STOPPED, stuck=(7, 8)), {}, Reason.RUNNER_BROKE, "7, 8"),
    ("no cell", Ending(Report()), {"words": b"bwrap: no"}, Reason.SANDBOX_UNAVAILABLE, "bwrap: no"),
    ("no cell and no word", Ending(Report()), {}, Reason.SANDBOX_UNAVAILABLE, "without a word"),
    ("init died", Ending(report("started")), {}, Reason.RUNNER_BROKE, "init"),
    ("no program", Ending(report("failed exec 2", "exited 32512 0")), {}, Reason.BAD_DEFINITION, "prog was not found"),
    ("no permission", Ending(report("failed exec 13")), {}, Reason.BAD_DEFINITION, "may not be executed"),
    ("odd failure", Ending(report("failed exec 5")), {}, Reason.BAD_DEFINITION, "Input/output error"),
    ("no rlimit", Ending(report("failed rlimit 1")), {}, Reason.SANDBOX_UNAVAILABLE, "rlimit"),
    ("blank", ended(0), {"said": " \n", "require_answer": True}, Reason.EMPTY_ANSWER, "no answer"),
    ("blank is fine", ended(0), {"said": ""}, Reason.OK, ""),
    ("blank is no JSON", ended(0), {"said": "", "output_format": "json"}, Reason.EMPTY_ANSWER, ""),
    ("no JSON", ended(0), {"output_format": "json"}, Reason.INVALID_OUTPUT, "not JSON"),
    ("JSON", ended(0), {"said": "{}", "output_format": "json"}, Reason.OK, ""),
    ("failed with an answer", ended(1 << 8), {"require_answer": True}, Reason.AGENT_ERROR, ""),
]


@pytest.mark.parametrize(
    ("ending", "given", "reason", "word"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_each_end_has_one_reason(ending: Ending, given: dict[str, Any], reason: Reason, word: str) -> None:
    found = judged(ending, **given)
    assert found.reason is reason
    assert word in found.error
    assert bool(found.error) == (reason not in (Reason.OK, Reason.REPLACED))


def test_only_an_agent_that_ended_well_has_given_an_answer() -> None:
    assert judged(ended(0)).response == "fine"
    assert judged(ended(1 << 8)).response == judged(ended(0, cause=STOPPED)).response == ""


def test_a_result_says_how_the_agent_itself_ended() -> None:
    asked = request(Path("/log"), "prog")
    ending = ended(15, "usage 1500000 500000 2048", cause=STOPPED, output_bytes=7)
    found = output.result(asked, ending, judged(ending), (), (1.5, 1.75))
    assert (found.reason, found.exit_code, found.signal, found.duration) == (Reason.REPLACED, None, 15, 1_750_000_000)
    assert found.usage is not None
    assert (found.usage.cpu_seconds, found.usage.peak_rss_bytes, found.usage.output_bytes) == (2.0, 2 << 20, 7)
    assert found.usage.wall_seconds == 1.5  # of the tree, without its judgement
    assert (found.usage.peak_memory_bytes, found.usage.processes_peak) == (2 << 20, 2)


def test_what_was_measured_of_the_whole_tree_counts_where_it_is_more() -> None:
    ending = ended(0, "usage 1500000 500000 2048", used=Used(memory=9 << 20, processes=30, cpu_seconds=4.0))
    found = output.result(request(Path("/log"), "prog"), ending, judged(ending), (), (1.5, 1.75)).usage
    assert found is not None
    assert (found.peak_memory_bytes, found.processes_peak, found.cpu_seconds) == (9 << 20, 30, 4.0)
    assert found.peak_rss_bytes == 2 << 20


def test_an_agent_that_was_never_started_has_no_exit_code_and_no_usage() -> None:
    ending = Ending(report("failed exec 2", "exited 32512 0"))
    found = output.result(request(Path("/log"), "prog"), ending, judged(ending), (), (1.0, 1.0))
    assert (found.exit_code, found.usage) == (None, None)


@given(st.integers(0, 255))
def test_exit_codes_are_read_as_they_are(code: int) -> None:
    assert decode_status(code << 8) == (code, None)


@given(st.sampled_from([number for number in signal.Signals if number not in (signal.SIGSTOP, 127)]))
def test_signals_are_read_as_they_are(number: int) -> None:
    assert decode_status(number) == (None, number)


@given(st.text(), st.integers(0, 64))
def test_a_cut_is_a_beginning_and_lies_between_characters(text: str, most: int) -> None:
    raw = text.encode("utf-8", "replace")
    found = cut(raw[: most + 4], most)
    assert raw.decode().startswith(found)
    assert len(found.encode()) <= most
    assert len(raw) <= most or len(found.encode()) > most - 4


@given(st.binary(), st.integers(0, 64))
def test_any_bytes_can_be_cut_and_said(raw: bytes, most: int) -> None:
    found = cut(raw, most)
    assert len(found.encode()) <= most
    wire.encode({"response": found})


@given(st.text())
def test_what_is_shown_is_short_and_safe(text: str) -> None:
    found = shown(text)
    assert found.isprintable()
    assert len(found) <= output.ERROR_MOST


@given(st.binary())
def test_last_words_are_one_safe_line(words: bytes) -> None:
    assert last_line(words).isprintable()


def test_the_longest_response_fits_into_one_line() -> None:
    worst = cut(b"\x01" * (1 << 20), output.RESPONSE_MOST)
    assert len(wire.encode({"response": worst})) < wire.MAX_LINE
