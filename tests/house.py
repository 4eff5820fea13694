"""A real supervisor in a throw-away home, for tests that use all of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supervisor.control.client import Client
from supervisor.errors import UnreachableError
from supervisor.stores.home import Home
from tests import driver

CHECKOUT = Path(__file__).resolve().parent.parent
WITHIN = 20.0


def eventually(what: Callable[[], Any], within: float = WITHIN) -> Any:
    """What `what` returns as soon as that is true. There is a CLI behind most of it, on a busy machine."""
    return driver.eventually(what, within)


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

    @property
    def client(self) -> Client:
        """What the CLI asks, without its start: for what has to happen at an instant."""
        return Client(Home(self.root))

    def add(self, **draft: Any) -> dict[str, Any]:
        """Add a job over the socket; the job."""
        return self.client.add_job({"prompt": "hello", "command": "cat", **draft}).model_dump(mode="json")

    def run_now(self, **draft: Any) -> dict[str, Any]:
        """Add a job that is not due for long, and run it; the job."""
        job = self.add(cron_expr="0 0 1 1 *", **draft)
        self.client.run_job(job["id"])
        return job

    def start(self) -> None:
        """Start one and wait until it keeps time."""
        argv = [sys.executable, "-m", "supervisor", "--home", str(self.root), "supervise"]
        log = open(self.root.parent / "supervisor.log", "ab")  # noqa: SIM115  # the child's
        self.process = subprocess.Popen(
            argv, cwd=CHECKOUT, env={**os.environ, **self.environ}, stderr=log, start_new_session=True
        )
        log.close()
        eventually(self._keeps_time)

    def _keeps_time(self) -> bool:
        """Whether the process that was started last does. A killed one's socket and description lie there still."""
        assert self.process is not None
        code = self.process.poll()
        assert code is None, f"the supervisor ended with {code}; its log ends: {self.log()[-3000:]}"
        try:
            status = self.client.status()
        except UnreachableError:
            return False
        return bool(status["pid"] == self.process.pid and status["keeping_time"])

    def log(self) -> str:
        return (self.root.parent / "supervisor.log").read_text()

    def stop(self, how: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(WITHIN * 2)

    def runs(self, job_id: str) -> list[dict[str, Any]]:
        """The newest record of each run, oldest run first, read from the file itself."""
        path = self.root / "runs" / f"{job_id}.jsonl"
        # A line that is being written has no newline yet, and does not count.
        lines = path.read_text().split("\n")[1:-1] if path.exists() else []
        newest: dict[str, dict[str, Any]] = {}
        for line in lines:
            record = json.loads(line)
            newest[record["id"]] = record
        return list(newest.values())

    def ended(self, job_id: str, count: int = 1, within: float = WITHIN) -> list[dict[str, Any]]:
        """Wait for so many runs of the job to be over; what became of them."""
        final = ("completed", "failed", "canceled", "skipped", "unknown")

        def over() -> list[dict[str, Any]] | None:
            found = [run for run in self.runs(job_id) if run["status"] in final]
            return found if len(found) >= count else None

        found: list[dict[str, Any]] = eventually(over, within)
        return found


@contextmanager
def house(folder: Path, **environ: str) -> Iterator[House]:
    """A home below `folder`; whatever was started in it is gone afterwards."""
    # The bombs of another test are not to hold up the runs of this one.
    made = House(folder / "home", {"CRONWARD_GRACE_SECONDS": "1", "CRONWARD_MAX_MEMORY_PRESSURE": "0", **environ})
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait()
