"""From facts to a verdict: did the agent do what was asked, and if not, whose doing was it?

`verdict` is pure: it sees what was kept of the answer and how the tree ended. `judge` gathers that for it.
"""

from __future__ import annotations

import os
from errno import E2BIG, EACCES, ENOENT, ENOEXEC, ENOTDIR

from runner import logs
from runner.ending import Ending
from runner.logs import Logs
from runner.repair import repair, settings
from shared.findings import Usage
from shared.messages import ExecuteRequest, ExecuteResult, Layer
from shared.reasons import Reason
from shared.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runner.account import Account
    from runner.hiding import Hiding

SIGNALS = {1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL", 11: "SEGV", 13: "PIPE"}
SIGNALS |= {14: "ALRM", 15: "TERM", 24: "XCPU", 25: "XFSZ", 31: "SYS"}
SIGKILL, SIGXCPU, SIGXFSZ = 9, 24, 25
INIT_AND_AGENT = 2
WORDS_MOST = 4096
ERROR_MOST = 300
# A longer answer is not judged as JSON.
JSON_MOST = 1 << 20
# A response is one field of one line of the protocol, and each of its bytes may take six there.
RESPONSE_MOST = 128 << 10
START_FAILURES = {
    ENOENT: "was not found in the cell (or the interpreter that its first line names was not)",
    ENOTDIR: "was not found in the cell",
    EACCES: "may not be executed",
    ENOEXEC: "is not a program",
    E2BIG: "has too long a command or environment",
}


class Answer(NamedTuple):
    """What was kept of the agent's standard output: its size, its beginning, and the whole where that is short."""

    size: int
    blank: bool
    head: bytes
    whole: bytes | None


class Verdict(NamedTuple):
    """`answer_bytes` and `response` are there only where the agent gave an answer, whatever it is worth."""

    reason: Reason
    error: str = ""
    response: str = ""
    answer_bytes: int = 0


NO_ANSWER = Answer(0, True, b"", b"")


def judge(
    request: ExecuteRequest,
    ending: Ending,
    files: Logs | None,
    hiding: Hiding | None = None,
    said: Account | None = None,
) -> Verdict:
    """Look at what was kept, judge it, and file the answer if there is one. `files`: None where there are none.

    `hiding`: where the job has secrets. Its files are masked; what has to be JSON is judged as it was written. `said`:
    where it is known how the agent's output is read."""
    if files is None:
        return verdict(request, ending, NO_ANSWER, b"", {})
    answer, words = read_answer(request, files), logs.tail(files.stderr, WORDS_MOST)
    hide, kept = hiding.mask.text if hiding is not None else str, None
    if hiding is not None:
        answer = answer._replace(whole=hiding.stdout.whole)
    if said is not None:
        from runner import judgement

        answer, kept = judgement.spoken(request, said, hide) or (answer, None)
    found = verdict(request, ending, answer, words, settings(), hide, said)
    try:
        return file_answer(request, found, files, answer.whole, hiding, kept) if found.answer_bytes else found
    except OSError as error:
        sentence = f"The answer could not be kept ({error.strerror}). Make room on the disk."
        return Verdict(Reason.RUNNER_BROKE, sentence)


def file_answer(
    request: ExecuteRequest,
    found: Verdict,
    files: Logs,
    whole: bytes | None,
    hiding: Hiding | None,
    kept: bytes | None = None,
) -> Verdict:
    """Keep the answer, and say what was kept. `whole`: as the agent wrote it. `kept`: what was read out of its output,
    masked; None: that is all of it. Of good JSON only that is kept, for whoever reads it: what the agent said around it
    stays in its output. Raises OSError."""
    if whole is not None and request.output_format != "text" and found.reason is Reason.OK:
        from runner import answers

        try:
            kept = hiding.answer(whole) if hiding is not None else answers.json_text(whole)
        except answers.AnswerError as error:
            found = found._replace(reason=error.reason, error=str(error))
        else:
            response = cut(kept, min(request.response_bytes, RESPONSE_MOST))
            found = found._replace(response=response, answer_bytes=len(kept))
    if kept is None:
        logs.copy(files.stdout, files.answer)
    else:
        logs.write_all(files.answer, kept)
    return found


def read_answer(request: ExecuteRequest, files: Logs) -> Answer:
    """As much of the output as is to be looked at; the rest stays on disk."""
    size = os.fstat(files.stdout).st_size
    # A character more than is kept, so that the cut is seen to lie inside one.
    head = logs.head(files.stdout, min(request.response_bytes, RESPONSE_MOST) + 4)
    short = request.output_format != "text" and size <= JSON_MOST
    return Answer(size, logs.is_blank(files.stdout), head, logs.head(files.stdout, size) if short else None)


def verdict(
    request: ExecuteRequest,
    ending: Ending,
    answer: Answer,
    last_words: bytes,
    found: Mapping[str, str],
    hide: Callable[[str], str] = str,
    said: Account | None = None,
) -> Verdict:
    """`last_words`: the end of the agent's standard error, which is bubblewrap's where init never spoke. `found`: the
    kernel's settings. `hide`: what takes secrets out of a sentence, before it is cut. `said`: the agent's own account.
    The order of the questions is the order of trust: our own causes, then init, then the agent."""
    report, words = ending.report, last_line(last_words)
    if ending.stuck:
        pids = ", ".join(map(str, ending.stuck))
        return Verdict(Reason.RUNNER_BROKE, f"The kernel does not end process {pids}. Look at its disks and mounts.")
    if ending.cause is not None:
        return Verdict(ending.cause.reason, shown(ending.cause.error, 2 * ERROR_MOST))
    if report.hello is None:
        return Verdict(Reason.SANDBOX_UNAVAILABLE, no_cell(words, found))
    if report.failure is not None:
        return not_started(request.agent.argv[0], *report.failure)
    if report.status is None:
        sentence = "The cell's init ended without a report. Look for the kernel's out-of-memory killer in its log."
        return Verdict(Reason.RUNNER_BROKE, sentence)
    ended = of_status(request, ending, words)
    if said is not None and request.agent.reading is not None:
        from runner import judgement

        code, _ = decode_status(report.status)
        ended = judgement.of_account(request.agent.reading, said, code, ended, words, hide)
    return ended or of_answer(request, answer, hide, said)


def no_cell(words: str, found: Mapping[str, str]) -> str:
    sentence = f"No cell could be made: {words or 'bubblewrap ended without a word'}."
    return f"{sentence} {repair(words, found)}".rstrip()


def not_started(program: str, step: str, number: int) -> Verdict:
    if step == "exec":
        problem = START_FAILURES.get(number, f"could not be started ({os.strerror(number)})")
        return Verdict(Reason.BAD_DEFINITION, f"The program {shown(program)} {problem}.")
    if step == "path":
        sentence = "A path that the cell was to show was exchanged for another meanwhile. Look who can write beside it."
        return Verdict(Reason.SANDBOX_UNAVAILABLE, sentence)
    sentence = f"The agent's process could not be made ready ({step}: {os.strerror(number)})."
    return Verdict(Reason.SANDBOX_UNAVAILABLE, sentence)


def of_status(request: ExecuteRequest, ending: Ending, words: str) -> Verdict | None:
    """What the agent's end says; None: it ended well."""
    report = ending.report
    code, number = decode_status(report.status)
    limit = request.limits.cpu_seconds
    cpu = (report.user_us + report.system_us) / 1e6
    if number == SIGXCPU or (number == SIGKILL and limit is not None and cpu >= limit):
        return Verdict(Reason.CPU_LIMIT, f"The agent used its {limit} s of CPU time.")
    if number == SIGXFSZ:
        return Verdict(Reason.DISK_LIMIT, f"The agent wrote a file of more than {request.limits.file_bytes} bytes.")
    if (number or code) and at_process_limit(request, ending):
        sentence = f"The agent failed, and had reached its limit of {request.limits.processes} processes and threads."
        return Verdict(Reason.PROCESS_LIMIT, f"{sentence} {words}".rstrip())
    if number is not None:
        name = f"SIG{SIGNALS[number]}" if number in SIGNALS else f"signal {number}"
        return Verdict(Reason.KILLED_BY_SIGNAL, f"The agent was killed by {name}. {words}".rstrip())
    if code:
        return Verdict(Reason.AGENT_ERROR, f"The agent ended with exit code {code}. {words}".rstrip())
    return None


def at_process_limit(request: ExecuteRequest, ending: Ending) -> bool:
    """Whether the limit was really met: the kernel counted a refusal, or so many were seen, or left at the end.

    Beyond that nobody knows: a fork that fails is only told to the one that asked for it.
    """
    used = ending.used
    if used.refused is not None:
        return used.refused > 0
    return max(used.processes, ending.report.left + INIT_AND_AGENT) >= request.limits.processes


def decode_status(status: int | None) -> tuple[int | None, int | None]:
    """Exit code or signal out of a wait status. 128 + n is a shell's way of speaking and proves nothing."""
    if status is None:
        return None, None
    if os.WIFSIGNALED(status):
        return None, os.WTERMSIG(status)
    return os.WEXITSTATUS(status), None


def of_answer(
    request: ExecuteRequest, answer: Answer, hide: Callable[[str], str], said: Account | None = None
) -> Verdict:
    response = cut(answer.head, min(request.response_bytes, RESPONSE_MOST))
    good = Verdict(Reason.OK, response=response, answer_bytes=answer.size)
    if answer.blank and (request.agent.require_answer or request.output_format != "text"):
        return good._replace(reason=Reason.EMPTY_ANSWER, error="The agent ended well but gave no answer.")
    if request.output_format == "text":
        return good
    if request.output_format == "structured" and said is not None and said.gives_structured and not said.structured:
        return good._replace(reason=Reason.INVALID_OUTPUT, error="The agent gave no object that meets the schema.")
    from runner import answers

    try:
        answers.check(answer.whole, request.output_schema if request.output_format == "structured" else "", hide)
    except answers.AnswerError as error:
        return good._replace(reason=error.reason, error=shown(str(error)))
    return good


def cut(head: bytes, most: int) -> str:
    """The first `most` bytes as text, cut between characters; what is not UTF-8 becomes a replacement mark."""
    return head.decode("utf-8", "replace").encode()[:most].decode("utf-8", "ignore")


def last_line(words: bytes, most: int = ERROR_MOST) -> str:
    lines = [line for line in words.decode("utf-8", "replace").splitlines() if line.strip()]
    return shown(lines[-1].strip(), most) if lines else ""


def shown(text: str, most: int = ERROR_MOST) -> str:
    """Safe for a terminal and a log, and short: what does not print, bidirectional marks too, is written out."""
    escaped = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return escaped if len(escaped) <= most else f"{escaped[: most - 1]}…"


def result(
    request: ExecuteRequest, ending: Ending, found: Verdict, held: tuple[Layer, ...], seconds: tuple[float, float]
) -> ExecuteResult:
    """The last line. `seconds`: from the request to the end of the tree, and until it was judged as well."""
    report = ending.report
    code, number = decode_status(report.status if report.failure is None else None)
    usage = Usage(
        wall_seconds=seconds[0],
        cpu_seconds=max((report.user_us + report.system_us) / 1e6, ending.used.cpu_seconds),
        peak_rss_bytes=report.max_rss_kib * 1024,
        output_bytes=ending.output_bytes,
        # What was over before anybody looked had at least its largest process.
        peak_memory_bytes=max(ending.used.memory, report.max_rss_kib * 1024),
        processes_peak=max(ending.used.processes, report.left + INIT_AND_AGENT),
        peak_disk_bytes=ending.used.disk,
    )
    return ExecuteResult(
        run_id=request.run_id,
        attempt=request.attempt,
        reason=found.reason,
        error=found.error,
        response=found.response,
        answer_bytes=found.answer_bytes,
        exit_code=code,
        signal=number,
        duration=int(seconds[1] * 1e9),
        usage=usage if report.started else None,
        layers=held,
        left_behind=report.left,
    )
