"""Spawning, listening to and ending runners. Theory of operation:

A runner is a fresh interpreter, exec'd in a session of its own, with three descriptors: its standard input carries the
request and, later, an order to stop; its standard output carries its messages; its standard error is a file of the
attempt. We hold the other ends, and a pidfd. The end of the first pipe tells the runner that we are gone.

What each death means. A runner that reported a result and exited is the ordinary end. One that exited without a result
broke; its last word may still be on disk (`result.json`, synced before it is said). One that breaks the framing, or
does not stop when told, is killed: its death closes the life pipe of the cell's init, and the kernel ends the cell.

An attempt is over (`Gone`) only when the runner is reaped and nothing of its tree is left. What outlives a killed
runner, at most a stuck `bwrap`, becomes our child (the supervisor is a subreaper) and is swept here.

Nothing in this file waits: everything is a callback of the loop that was given.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from shared.masking import recorded
from shared.messages import ExecuteRequest, ExecuteResult, RunnerMessage, Stop
from shared.reasons import Reason
from shared.record import asdict, replace
from shared.wire import MAX_LINE, LineSplitter, ProtocolError, encode
from supervisor.spawning import leavings
from supervisor.spawning.cgroup import Cgroup, CgroupError, Leaf
from supervisor.spawning.figures import flaw

RUNNER = Path(__file__).resolve().parents[2] / "runner" / "__main__.py"
_MESSAGES: TypeAdapter[RunnerMessage] = TypeAdapter(Annotated[RunnerMessage, Field(discriminator="type")])
_RESULT: TypeAdapter[ExecuteResult] = TypeAdapter(ExecuteResult)
_READ = 64 * 1024
_SWEEP_AGAIN, _SWEEP_SELDOM = 0.02, 1.0
_STOP_MARGIN = 10.0
_DRAIN_READS = 2 * MAX_LINE // _READ
_MESSAGES_AT_LEAST = 100
MAX_SLUG = 32


@dataclass(frozen=True, slots=True)
class Spoke:
    """A runner said something while its attempt goes on."""

    run_id: str
    attempt: int
    message: RunnerMessage


@dataclass(frozen=True, slots=True)
class Gone:
    """An attempt is over and nothing of its tree is left. No result: `fault` says what broke."""

    run_id: str
    attempt: int
    result: ExecuteResult | None
    fault: str = ""


News = Spoke | Gone


class SpawnError(Exception):
    """The runner could not be started, or not be listened to; none lives."""


class Runner:
    """One live attempt, seen from the supervisor."""

    def __init__(
        self,
        request: ExecuteRequest,
        process: subprocess.Popen[bytes],
        loop: asyncio.AbstractEventLoop,
        tell: Callable[[News], None],
        sweep: Callable[[int], bool],
        leaf: Leaf | None,
    ) -> None:
        self.request, self._leaf = request, leaf
        self.pid = process.pid
        self._process = process
        self._loop = loop
        self._tell, self._sweep = tell, sweep
        self._splitter = LineSplitter()
        # Progress comes at most once a second; who says far more than that keeps us busy on purpose.
        self._may_say = _MESSAGES_AT_LEAST + 2 * int(request.limits.wall_seconds)
        self._unsent = b""
        self._result: ExecuteResult | None = None
        self._fault = ""
        assert process.stdin is not None  # both are pipes, see Executor.spawn
        assert process.stdout is not None
        self._to, self._from = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        # Room for any request at once, so that a slow runner costs no callback; a host that refuses loses nothing.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._to, fcntl.F_SETPIPE_SZ, MAX_LINE)
        self._pidfd = os.pidfd_open(process.pid)
        self._reaped = False
        loop.add_reader(self._pidfd, self._reap)
        loop.add_reader(self._from, self._listen)

    def send(self, line: bytes) -> None:
        """Say a line, after whatever is still unsent. A runner that is gone already hears nothing."""
        if self._reaped:  # and the descriptor's number may be somebody else's by now
            return
        self._unsent += line
        self._flush()

    def stop(self, reason: Reason) -> None:
        """Ask for the end of the tree: TERM, grace, KILL, by the runner's own ladder."""
        self.send(encode(asdict(Stop(reason=reason))))

    def kill(self) -> None:
        """End it without asking. The kernel ends the cell with it."""
        if self._reaped:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _flush(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[os.write(self._to, self._unsent) :]
        except BlockingIOError:
            self._loop.add_writer(self._to, self._flush)
            return
        except BrokenPipeError:
            self._unsent = b""
        self._loop.remove_writer(self._to)

    def _listen(self) -> None:
        try:
            data = os.read(self._from, _READ)
        except BlockingIOError:
            return
        if not data:
            self._loop.remove_reader(self._from)
            return
        self._hear(data)

    def _hear(self, data: bytes) -> None:
        try:
            for line in self._splitter.feed(data):
                self._heard(_MESSAGES.validate_json(line))
        except ProtocolError as error:
            self._break(f"The runner broke the protocol: {error}")
        except ValidationError as error:
            # Without the message itself, in which an answer may stand.
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            self._break(f"The runner broke the protocol: {ascii(where)[1:-1][:100]}: {first['msg'][:200]}.")

    def _heard(self, message: RunnerMessage) -> None:
        if self._fault:
            return
        self._may_say -= 1
        if where := flaw(message):
            self._break(f"The runner broke the protocol: {ascii(where)[1:-1][:100]}: nobody can mean this number.")
        elif self._may_say < 0:
            self._break("The runner broke the protocol: it says far more than it has to say.")
        elif isinstance(message, ExecuteResult):
            if self._result is not None or not self._asked_for(message):
                self._break("The runner reported a result that is not of this attempt.")
                return
            self._result = message
        else:
            self._tell(Spoke(self.request.run_id, self.request.attempt, message))

    def _asked_for(self, result: ExecuteResult) -> bool:
        return (result.run_id, result.attempt) == (self.request.run_id, self.request.attempt)

    def _break(self, fault: str) -> None:
        self._fault, self._result = fault, None
        self._loop.remove_reader(self._from)
        self.kill()

    def _reap(self) -> None:
        code = self._process.poll()
        if code is None:
            return
        self._loop.remove_reader(self._pidfd)
        self._drain()
        self._reaped = True
        self._loop.remove_reader(self._from)
        self._loop.remove_writer(self._to)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        os.close(self._pidfd)
        if self._result is None and not self._fault:
            self._result = read_result(Path(self.request.log_dir), self.request.run_id, self.request.attempt)
            if self._result is None:
                self._fault = _fault_of(code, Path(self.request.log_dir))
        self._settle()

    def _drain(self) -> None:
        """Hear what a dead runner had still written: it fits the pipe. Whoever else still writes there is not heard."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(_DRAIN_READS):
                data = b"" if self._fault else os.read(self._from, _READ)
                if not data:
                    return
                self._hear(data)

    def _settle(self, again: float = _SWEEP_AGAIN) -> None:
        # Both are asked each time: what one kills may be what the other waits for.
        left = self._sweep(self.pid)
        if (self._leaf is not None and not self._leaf.clear()) or left:
            # What cannot be killed (a dead network file system) is asked about ever more seldom.
            self._loop.call_later(again, self._settle, min(again * 2, _SWEEP_SELDOM))
            return
        result = None if self._fault else self._result
        if result is None and self.request.cell.isolation != "required":
            about = (self.request.run_id, self.request.attempt, leavings.of_this_user)
            threading.Thread(target=leavings.remove, args=about, daemon=True).start()  # it may be large
        self._tell(Gone(self.request.run_id, self.request.attempt, result, self._fault))


class Executor:
    """Starts runners on a loop. `execute` is the seed's blocking call, for programs without a loop."""

    def __init__(
        self,
        python: str = sys.executable,
        pycache_prefix: Path | None = None,
        runner: Path = RUNNER,
        sweep: Callable[[int], bool] = lambda _session: False,
        cgroup: Cgroup | None = None,
    ) -> None:
        """`sweep`: `strays.sweep`, where this process adopts what its runners leave; not among others' children."""
        self._python, self._runner, self._sweep, self._cgroup = python, runner, sweep, cgroup
        self._options = ["-X", f"pycache_prefix={pycache_prefix}"] if pycache_prefix else []

    def spawn(
        self,
        request: ExecuteRequest,
        tell: Callable[[News], None],
        loop: asyncio.AbstractEventLoop,
        slug: str = "",
    ) -> Runner:
        """Start one attempt. `tell` hears all of it, `Gone` last. Raises SpawnError or ProtocolError; then none lives.

        Must be called from a thread that outlives the run: the kernel kills a runner when the *thread* that spawned
        it ends (prctl(2), PR_SET_PDEATHSIG).
        """
        leaf = self._leaf(request)
        try:
            if leaf is not None:
                request = replace(request, cell=replace(request.cell, cgroup=str(leaf.path)))
            return self._spawn(request, tell, loop, slug, leaf)
        except BaseException:
            if leaf is not None:
                leaf.clear()
            raise

    def _leaf(self, request: ExecuteRequest) -> Leaf | None:
        if self._cgroup is None:
            return None
        try:
            return self._cgroup.leaf(request.run_id, request.attempt, request.limits)
        except CgroupError as error:
            raise SpawnError(str(error)) from error

    def _spawn(
        self,
        request: ExecuteRequest,
        tell: Callable[[News], None],
        loop: asyncio.AbstractEventLoop,
        slug: str,
        leaf: Leaf | None,
    ) -> Runner:
        line = encode(asdict(request))  # before there is a process to clean up
        log_dir = Path(request.log_dir)
        try:
            _write(log_dir / "request.json", encode(recorded(request)) if request.secrets or request.keep else line)
            diagnostics = os.open(log_dir / "runner.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SpawnError(f"The run's directory {log_dir} cannot be written: {error.strerror}.") from error
        try:
            process = subprocess.Popen(
                self._argv(request, slug),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=diagnostics,
                env={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"},
                cwd="/",
                start_new_session=True,
                close_fds=True,
            )
        except OSError as error:
            raise SpawnError(f"The runner cannot be started ({self._python}): {error.strerror}.") from error
        finally:
            os.close(diagnostics)
        try:
            runner = Runner(request, process, loop, tell, self._sweep, leaf)
        except OSError as error:  # no descriptor left: one that cannot be watched must not live
            with process:
                process.kill()
            raise SpawnError(f"The runner cannot be watched: {error.strerror}.") from error
        runner.send(line)
        return runner

    def execute(self, request: ExecuteRequest) -> ExecuteResult:
        """Run one attempt to its end and return how it ended. Blocks; raises SpawnError or ProtocolError.

        Ctrl-C has it stop in order, a second one kills it.
        """
        with asyncio.Runner() as on:
            return on.run(self._execute(request))

    async def _execute(self, request: ExecuteRequest) -> ExecuteResult:
        loop = asyncio.get_running_loop()
        over: asyncio.Future[Gone] = loop.create_future()
        runner = self.spawn(request, lambda news: over.set_result(news) if isinstance(news, Gone) else None, loop)
        try:
            await asyncio.wait({over})
        except (
            asyncio.CancelledError
        ):  # Ctrl-C. A runner that is killed takes nothing home, as a login that was renewed
            runner.stop(Reason.CANCELED_BY_USER)
            await asyncio.wait({over}, timeout=request.limits.grace_seconds + _STOP_MARGIN)
            raise
        finally:
            if not over.done():
                runner.kill()
        gone = over.result()
        return gone.result or broken(request.run_id, request.attempt, gone.fault)

    def _argv(self, request: ExecuteRequest, slug: str) -> list[str]:
        """What `ps` shows of a runner, to every user of the host: ids and a slug, nothing else."""
        told = ["cronward-run", "--run", request.run_id, "--attempt", str(request.attempt)]
        return [self._python, "-I", "-S", *self._options, str(self._runner), *told, *(["--job", slug] if slug else [])]


def slug_of(name: str) -> str:
    """A job's name as it may stand in an argv."""
    kept = "".join(char if char.isascii() and (char.isalnum() or char in "-_") else "-" for char in name)
    return kept.strip("-")[:MAX_SLUG]


def broken(run_id: str, attempt: int, fault: str) -> ExecuteResult:
    """The result of an attempt whose runner left none."""
    return ExecuteResult(run_id=run_id, attempt=attempt, reason=Reason.RUNNER_BROKE, error=fault)


def read_result(log_dir: Path, run_id: str, attempt: int) -> ExecuteResult | None:
    """The result that a runner synced to disk, if it is whole and of this attempt."""
    try:
        with open(os.open(log_dir / "result.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            data = file.read(MAX_LINE + 1)
        result = _RESULT.validate_json(data)
    except (OSError, ValidationError):
        return None
    if len(data) > MAX_LINE or flaw(result):
        return None
    return result if (result.run_id, result.attempt) == (run_id, attempt) else None


def _fault_of(code: int, log_dir: Path) -> str:
    how = f"by signal {-code}" if code < 0 else f"with status {code}"
    try:
        with open(log_dir / "runner.log", "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 300))
            said = file.read(300).decode("utf-8", "replace").strip().splitlines()
    except OSError:
        said = []
    words = f" It said: {said[-1]}" if said else ""
    return f"The runner ended {how} without a result.{words}"


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(data)
