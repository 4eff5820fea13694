"""Drive one real runner as the supervisor does: two pipes, one request, a list of messages."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

from shared import kinship, wire
from shared.messages import AgentSpec, Cell, ExecuteRequest, Limits, RunAs

ROOT = Path(__file__).resolve().parent.parent
RUNNER = ROOT / "runner" / "__main__.py"
# Uids that nobody has: each worker of a parallel run takes its own.
FIRST_UID = 1_900_000_000
PATIENCE = 30.0
# A supervisor gives its runners a clean environment; here is what must not come through even if it did not.
CANARY = {"CANARY": "top-secret-of-the-host"}
_numbers = count(1)


def limits(**changes: Any) -> Limits:
    usual = Limits(
        memory_bytes=1 << 30,
        processes=64,
        open_files=256,
        file_bytes=64 << 20,
        tmp_bytes=32 << 20,
        output_bytes=8 << 20,
        cpu_seconds=None,
        wall_seconds=20.0,
        setup_seconds=15.0,
        grace_seconds=0.3,
    )
    return replace(usual, **changes)


def run_as() -> RunAs | None:
    """A throw-away uid where we are root, as the supervisor would choose one."""
    uid = FIRST_UID + os.getpid() % 60_000
    return RunAs(uid=uid, gid=uid) if os.geteuid() == 0 else None


def request(log_dir: Path, *argv: str, prompt: str = "", **changes: Any) -> ExecuteRequest:
    """An attempt at `argv`. `env`, `binds`, `files`, `require_answer` change the agent, `work_dir` the cell."""
    agent = AgentSpec(
        name="command",
        argv=argv,
        env=changes.pop("env", {}),
        binds=changes.pop("binds", ()),
        files=changes.pop("files", {}),
        require_answer=changes.pop("require_answer", False),
    )
    cell = changes.pop("cell", Cell(run_as=run_as(), work_dir=changes.pop("work_dir", None)))
    usual = ExecuteRequest(
        run_id="run-1",
        attempt=1,
        job_id="job-1",
        session_id="session-1",
        prompt=prompt,
        agent=agent,
        cell=cell,
        limits=limits(),
        log_dir=str(log_dir),
        import_paths=tuple(path for path in sys.path if path.endswith("site-packages")),
    )
    return replace(usual, **changes)


class Driven:
    """One runner process. `messages` grow as they are read; `result` waits for the last one."""

    def __init__(self, first_line: bytes | ExecuteRequest, python: str = sys.executable) -> None:
        requests, self._requests = os.pipe()
        self._messages, messages = os.pipe()
        os.set_inheritable(requests, True)
        os.set_inheritable(messages, True)
        # Not a run's usual id: by that a supervisor under test, beside us, finds and kills what it takes for left over.
        told = ["cronward-run", "--run", f"driven-{os.getpid()}", "--attempt", "1", "--job", "test"]
        argv = [python, "-I", "-S", str(RUNNER), *told]
        self.process = subprocess.Popen(
            argv, stdin=requests, stdout=messages, stderr=subprocess.PIPE, env=CANARY, cwd="/", start_new_session=True
        )
        os.close(requests)
        os.close(messages)
        self.messages: list[dict[str, Any]] = []
        self._splitter = wire.LineSplitter()
        self._ended = False
        line = first_line if isinstance(first_line, bytes) else wire.encode(asdict(first_line))
        self.write(line)

    def __enter__(self) -> Driven:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            os.close(self._messages)
            if self.process.stderr:
                self.process.stderr.close()

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._requests, view) :]
        except BrokenPipeError:
            return

    def say(self, message: Mapping[str, Any]) -> None:
        self.write(wire.encode(dict(message)))

    def stop(self, reason: str = "canceled_by_user") -> None:
        self.say({"type": "stop", "reason": reason})

    def hang_up(self) -> None:
        if self._requests >= 0:
            os.close(self._requests)
            self._requests = -1

    def read(self, within: float) -> bool:
        """Take what comes within that time. False at the end, or when nothing came."""
        if self._ended or not select.select([self._messages], [], [], within)[0]:
            return False
        data = os.read(self._messages, 1 << 16)
        self._ended = not data
        self.messages += [json.loads(line) for line in self._splitter.feed(data)]
        return not self._ended

    def wait_for(self, kind: str, within: float = PATIENCE) -> dict[str, Any]:
        until = time.monotonic() + within
        while True:
            for message in self.messages:
                if message["type"] == kind:
                    return message
            if not self.read(max(0.0, until - time.monotonic())):
                raise AssertionError(f"no {kind}, but {self.messages}; {self.diagnostics()}")

    def result(self, within: float = PATIENCE) -> dict[str, Any]:
        return self.wait_for("result", within)

    def exit_code(self, within: float = PATIENCE) -> int:
        return self.process.wait(within)

    def diagnostics(self) -> str:
        self.hang_up()
        assert self.process.stderr is not None
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            return "it still runs"
        return f"exit code {self.process.returncode}: {self.process.stderr.read().decode(errors='replace')}"


def execute(wanted: ExecuteRequest, **options: Any) -> dict[str, Any]:
    """One attempt to its end: its result."""
    with Driven(wanted, **options) as driven:
        return driven.result()


def marker() -> str:
    """A duration that no other sleep on this machine has."""
    return f"98765.{os.getpid()}{next(_numbers):04d}"


def survivors(*marks: str) -> list[int]:
    """Pids of the host, zombies apart, in whose argv one of these marks stands. One walk, however many they are."""
    found, wanted = [], [mark.encode() for mark in marks]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                argv, state = (entry / "cmdline").read_bytes(), (entry / "stat").read_text().rpartition(") ")[2][:1]
            except OSError:
                continue
            if state not in "ZX" and any(mark in argv for mark in wanted):
                found.append(int(entry.name))
    return found


def eventually(holds: Callable[[], Any], within: float = 20.0) -> Any:
    """Wait until it is true, and return it; or fail with what it was instead."""
    until = time.monotonic() + within
    while not (found := holds()):
        assert time.monotonic() < until, f"not within {within} s: {found!r}"
        time.sleep(0.005)
    return found


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Be the subreaper, as the supervisor is: what a killed runner leaves becomes our child, where it can be seen.

    At the end all that came is killed and reaped. A suite once left its process seven hundred zombies.
    """
    known = kinship.children(os.getpid()) or []
    _be_subreaper(True)
    try:
        yield
    finally:
        while came := set(kinship.children(os.getpid()) or []).difference(known):
            kinship.signal(list(came), signal.SIGKILL)
            for pid in came:
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)
        _be_subreaper(False)


def _be_subreaper(wanted: bool) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(36, int(wanted), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def children(of: int | None = None) -> list[int]:
    """Pids of the living children of a process, ours by default."""
    parent, found = str(os.getpid() if of is None else of), []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, ppid = (entry / "stat").read_text().rpartition(") ")[2].split()[:2]
            except OSError:
                continue
            if ppid == parent and state not in "ZX":
                found.append(int(entry.name))
    return found
