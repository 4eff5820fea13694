"""From facts to a verdict: did the agent do what was asked, and if not, whose doing was it?

Pure: `judge` sees what was kept of the answer and how the tree ended, and touches nothing.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from errno import E2BIG, EACCES, ENOENT, ENOEXEC, ENOTDIR

from runner import answers
from runner.relay import Ending
from runner.repair import repair
from runner.report import Report
from shared.messages import ExecuteRequest
from shared.reasons import Reason

SIGNALS = {
    1: "HUP",
    2: "INT",
    3: "QUIT",
    4: "ILL",
    6: "ABRT",
    7: "BUS",
    8: "FPE",
    9: "KILL",
    11: "SEGV",
    13: "PIPE",
} | {14: "ALRM", 15: "TERM", 24: "XCPU", 25: "XFSZ", 31: "SYS"}
SIGKILL, SIGXCPU, SIGXFSZ = 9, 24, 25
ERROR_MOST = 300
# A response is one field of one line of the protocol, and each of its bytes may take six there.
RESPONSE_MOST = 128 << 10
START_FAILURES = {
    ENOENT: "was not found in the cell (or the interpreter that its first line names was not)",
    ENOTDIR: "was not found in the cell",
    EACCES: "may not be executed",
    ENOEXEC: "is not a program",
    E2BIG: "has too long a command or environment",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What was kept of the agent's standard output: its size, its beginning, and the whole where that is short."""

    size: int
    blank: bool
    head: bytes
    whole: bytes | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`accepted`: the answer is one, whatever it is worth; only then is any of it a response."""

    reason: Reason
    error: str = ""
    exit_code: int | None = None
    signal: int | None = None
    response: str = ""
    accepted: bool = False


def judge(
    request: ExecuteRequest, ending: Ending, answer: Answer, last_words: bytes, settings: dict[str, str]
) -> Verdict:
    """`last_words`: the end of the agent's standard error, which is bubblewrap's where init never spoke."""
    code, number = decode_status(ending.report.status)
    verdict = _judge_end(request, ending, last_words, settings)
    if verdict.reason is Reason.OK:
        verdict = _judge_answer(request, answer)
    return replace(verdict, exit_code=code, signal=number)


def decode_status(status: int | None) -> tuple[int | None, int | None]:
    """Exit code or signal out of a wait status. 128 + n is a shell's way of speaking and proves nothing."""
    if status is None:
        return None, None
    if os.WIFSIGNALED(status):
        return None, os.WTERMSIG(status)
    return os.WEXITSTATUS(status), None


def _judge_end(request: ExecuteRequest, ending: Ending, last_words: bytes, settings: dict[str, str]) -> Verdict:
    report, words = ending.report, last_line(last_words)
    if ending.stuck:
        pids = ", ".join(map(str, ending.stuck))
        return Verdict(Reason.RUNNER_BROKE, f"The kernel does not end process {pids}. Look at its disks and mounts.")
    if ending.cause is not None:
        return Verdict(ending.cause.reason, ending.cause.error)
    if report.hello is None:
        return Verdict(Reason.SANDBOX_UNAVAILABLE, _no_cell(words, settings))
    if report.failure is not None:
        return _not_started(request.agent.argv[0], *report.failure)
    if report.status is None:
        return Verdict(
            Reason.RUNNER_BROKE, "The cell's init ended without a report; the kernel may have been short of memory."
        )
    return _judge_status(request, report, words)


def _no_cell(words: str, settings: dict[str, str]) -> str:
    sentence = f"No cell could be made: {words or 'bubblewrap ended without a word'}."
    return f"{sentence} {repair(words, settings)}".rstrip()


def _not_started(program: str, step: str, number: int) -> Verdict:
    if step == "exec":
        problem = START_FAILURES.get(number, f"could not be started ({os.strerror(number)})")
        return Verdict(Reason.BAD_DEFINITION, f"The program {shown(program)} {problem}.")
    return Verdict(
        Reason.SANDBOX_UNAVAILABLE, f"The agent's process could not be made ready ({step}: {os.strerror(number)})."
    )


def _judge_status(request: ExecuteRequest, report: Report, words: str) -> Verdict:
    code, number = decode_status(report.status)
    limit = request.limits.cpu_seconds
    cpu = (report.user_us + report.system_us) / 1e6
    if number == SIGXCPU or (number == SIGKILL and limit is not None and cpu >= limit):
        return Verdict(Reason.CPU_LIMIT, f"The agent used its {limit} s of CPU time.")
    if number == SIGXFSZ:
        return Verdict(Reason.DISK_LIMIT, f"The agent wrote a file of more than {request.limits.file_bytes} bytes.")
    if number is not None:
        name = f"SIG{SIGNALS[number]}" if number in SIGNALS else f"signal {number}"
        return Verdict(Reason.KILLED_BY_SIGNAL, f"The agent was killed by {name}." + (f" {words}" if words else ""))
    if code:
        return Verdict(Reason.AGENT_ERROR, f"The agent ended with exit code {code}." + (f" {words}" if words else ""))
    return Verdict(Reason.OK)


def _judge_answer(request: ExecuteRequest, answer: Answer) -> Verdict:
    response = cut(answer.head, min(request.response_bytes, RESPONSE_MOST))
    verdict = Verdict(Reason.OK, response=response, accepted=True)
    if answer.blank and (request.agent.require_answer or request.output_format != "text"):
        return replace(verdict, reason=Reason.EMPTY_ANSWER, error="The agent ended well but gave no answer.")
    if request.output_format == "text":
        return verdict
    try:
        answers.check(answer.whole, request.output_schema if request.output_format == "structured" else "")
    except answers.AnswerError as error:
        return replace(verdict, reason=error.reason, error=str(error))
    return verdict


def cut(head: bytes, most: int) -> str:
    """The first `most` bytes as text, cut between characters; what is not UTF-8 becomes a replacement mark."""
    text = head.decode("utf-8", "replace")
    return text.encode()[:most].decode("utf-8", "ignore")


def last_line(words: bytes) -> str:
    lines = [line for line in words.decode("utf-8", "replace").splitlines() if line.strip()]
    return shown(lines[-1].strip()) if lines else ""


def shown(text: str) -> str:
    """Safe for a terminal and a log, and short: whatever does not print is written out."""
    escaped = re.sub(r"[^\x20-\x7e]", lambda found: found[0] if found[0].isprintable() else ascii(found[0])[1:-1], text)
    return escaped if len(escaped) <= ERROR_MOST else escaped[: ERROR_MOST - 1] + "…"
