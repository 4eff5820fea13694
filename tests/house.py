"""A real supervisor in a throw-away home, for tests that use all of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

CHECKOUT = Path(__file__).resolve().parent.parent
WITHIN = 20.0


def eventually(what: Callable[[], Any], within: float = WITHIN) -> Any:
    """What `what` returns as soon as that is true; it is asked again and again until then."""
    deadline = time.monotonic() + within
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


@dataclass
class House:
    """One home, its supervisor when one is started, and the CLI to talk to it."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def cronward(self, *args: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "supervisor", "--home", str(self.root), *args]
        environ = {**os.environ, **self.environ}
        return subprocess.run(
            argv, cwd=CHECKOUT, env=environ, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )

    def json(self, *args: str) -> Any:
        done = self.cronward(*args, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def start(self) -> None:
        argv = [sys.executable, "-m", "supervisor", "--home", str(self.root), "supervise"]
        log = open(self.root.parent / "supervisor.log", "ab")  # noqa: SIM115  # the child's
        self.process = subprocess.Popen(
            argv, cwd=CHECKOUT, env={**os.environ, **self.environ}, stderr=log, start_new_session=True
        )
        log.close()
        eventually(lambda: (self.root / "control.sock").exists() and (self.root / "supervisor.json").exists())

    def log(self) -> str:
        return (self.root.parent / "supervisor.log").read_text()

    def stop(self, how: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(WITHIN * 2)

    def runs(self, job_id: str) -> list[dict[str, Any]]:
        """The newest record of each run, oldest run first, read from the file itself."""
        path = self.root / "runs" / f"{job_id}.jsonl"
        lines = path.read_text().splitlines()[1:] if path.exists() else []
        newest: dict[str, dict[str, Any]] = {}
        for line in lines:
            record = json.loads(line)
            newest[record["id"]] = record
        return list(newest.values())

    def ended(self, job_id: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait for so many runs of the job to be over; what became of them."""
        final = ("completed", "failed", "canceled", "skipped", "unknown")

        def over() -> list[dict[str, Any]] | None:
            found = [run for run in self.runs(job_id) if run["status"] in final]
            return found if len(found) >= count else None

        found: list[dict[str, Any]] = eventually(over)
        return found


@contextmanager
def house(folder: Path, **environ: str) -> Iterator[House]:
    """A home below `folder`; whatever was started in it is gone afterwards."""
    made = House(folder / "home", {"CRONWARD_GRACE_SECONDS": "1", **environ})
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait()


def marker() -> str:
    """An argument for `sleep` by which a test's own processes are found again, wherever they were moved to."""
    return f"9{uuid.uuid4().int % 10**9:09d}"


def survivors(mark: str) -> list[int]:
    """The processes of this host, in whatever namespace, that have `mark` among their arguments."""
    found = []
    for process in psutil.process_iter():
        try:
            if mark in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found
