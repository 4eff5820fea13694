"""One attempt, as a list of steps. Their order is the security argument: a change of it needs a reason."""

from __future__ import annotations

import os
import resource
import sys
import time
import traceback
from dataclasses import asdict
from types import TracebackType
from typing import NoReturn

from runner import answers, cell, drop, host, kernel, kill, layers, logs, output, repair
from runner.channel import Channel
from runner.logs import Logs
from runner.output import Answer, Verdict
from runner.refusal import RefusalError
from runner.relay import Cause, Ending, Relay
from runner.report import Report
from runner.spawn import spawn
from shared import wire
from shared.messages import ExecuteRequest, ExecuteResult, Layer, Ready, Started, Usage
from shared.reasons import Reason

# Exit codes; 3 is __main__'s. The result tells everything, these only whether there is one.
SAID, ABANDONED, UNSAID = 0, 4, 5
SAY_SECONDS = 30.0


class Attempt:
    """What one attempt has come to know, from its request on."""

    def __init__(self, request: ExecuteRequest, channel: Channel, supervisor: int) -> None:
        self._request, self._channel, self._supervisor = request, channel, supervisor
        self._ready_at, self._ready_ns = time.monotonic(), time.monotonic_ns()
        self._files: Logs | None = None
        self._layers: tuple[Layer, ...] = ()
        self._dropped = False

    def run(self) -> NoReturn:
        sys.excepthook = self._broke
        self._bind_to_supervisor()
        kernel.adopt_orphans()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.umask(0o077)
        self._channel.say(asdict(Ready(pid=os.getpid())))
        try:
            self._files = logs.open_logs(self._request.log_dir)
            self._dropped = drop.take_ordinary_ids(self._request)
            self._bind_to_supervisor()
            ending = self._relay(self._files)
        except RefusalError as refusal:
            ending = Ending(Report(), Cause(refusal.reason, refusal.sentence))
        self._finish(ending)

    def _bind_to_supervisor(self) -> None:
        """Die with it, and hide from others of our uid. Asked for first and checked then: it may be dead already."""
        kernel.die_with_parent()
        kernel.hide_memory()
        if os.getppid() != self._supervisor:
            os._exit(ABANDONED)

    def _relay(self, files: Logs) -> Ending:
        request = self._request
        found = host.look(request)
        cell.check(request, found, files.state)
        started = spawn(cell.arguments(request, found))
        _, cwd = cell.place_of(request, found)
        ours = host.namespaces(layers.NAMESPACES)

        def admit(hello: dict[str, str]) -> bytes:
            layers.check(hello, ours)
            uid = os.geteuid() if self._dropped else None
            self._layers = layers.held(hello, ours, found.bwrap_version, uid, request)
            return cell.config(request, cwd)

        def announce() -> None:
            pid = host.init_pid(started.pipes.info)
            self._channel.say(asdict(Started(pid=pid, layers=self._layers)))

        relay = Relay(
            started, self._channel, files, request.limits, since=self._ready_at, admit=admit, announce=announce
        )
        return relay.run(request.prompt.encode("utf-8", "replace"))

    def _finish(self, ending: Ending) -> NoReturn:
        verdict = self._judge(ending)
        result = self._result(ending, verdict)
        line = wire.encode(asdict(result))
        if self._files is not None:
            if verdict.accepted:
                logs.copy(self._files.stdout, self._files.answer)
            logs.sync(self._files, line)
        self._channel.say(asdict(result))
        said = self._channel.finish(SAY_SECONDS)
        os._exit(ABANDONED if ending.abandoned else SAID if said else UNSAID)

    def _judge(self, ending: Ending) -> Verdict:
        if self._files is None:
            return Verdict(Reason.RUNNER_BROKE, ending.cause.error if ending.cause else "")
        stdout = self._files.stdout
        size = os.fstat(stdout).st_size
        answer = Answer(
            size=size,
            blank=logs.is_blank(stdout),
            head=logs.head(stdout, min(self._request.response_bytes, output.RESPONSE_MOST) + 4),
            whole=logs.head(stdout, size) if size <= answers.JSON_MOST else None,
        )
        sys.path += self._request.import_paths
        words = logs.tail(self._files.stderr, 4096)
        return output.judge(self._request, ending, answer, words, repair.settings())

    def _result(self, ending: Ending, verdict: Verdict) -> ExecuteResult:
        request, report = self._request, ending.report
        elapsed = time.monotonic_ns() - self._ready_ns
        usage = Usage(
            wall_seconds=elapsed / 1e9,
            cpu_seconds=(report.user_us + report.system_us) / 1e6,
            peak_rss_bytes=report.max_rss_kib * 1024,
            output_bytes=ending.output_bytes,
        )
        return ExecuteResult(
            run_id=request.run_id,
            attempt=request.attempt,
            reason=verdict.reason,
            error=verdict.error,
            response=verdict.response,
            answer_bytes=os.fstat(self._files.stdout).st_size if self._files and verdict.accepted else 0,
            exit_code=verdict.exit_code,
            signal=verdict.signal,
            duration=elapsed,
            usage=usage if report.started else None,
            layers=self._layers,
            left_behind=report.left,
        )

    def _broke(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> NoReturn:
        """What nobody caught, as the interpreter's excepthook: nothing is left, and the reason is our own fault."""
        traceback.print_exception(kind, error, trace)
        sys.excepthook = sys.__excepthook__
        kill.sweep()
        sentence = f"The runner broke ({kind.__name__}: {error}). Its diagnostics say more."
        self._finish(Ending(Report(), Cause(Reason.RUNNER_BROKE, output.shown(sentence))))
