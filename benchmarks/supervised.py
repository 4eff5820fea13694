"""A supervisor of its own, in a throw-away home, for what can only be asked of a whole one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from supervisor.control.client import Client
from supervisor.errors import UnreachableError
from supervisor.stores.home import Home

CHECKOUT = Path(__file__).resolve().parent.parent
WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Supervised:
    """A supervisor that keeps time. `folder` holds its home, its log, and room for what a benchmark puts there."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def client(self) -> Client:
        return Client(Home(self.home), WITHIN)

    @property
    def log(self) -> Path:
        return self.folder / "supervisor.log"

    def work_dir(self, name: str) -> Path:
        """A directory that an agent can write."""
        path = self.folder / "work" / name
        path.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:  # there an agent has a uid of its own
            path.chmod(0o777)
        return path


@contextmanager
def supervised(config: str = "", program: str = "supervisor") -> Iterator[Supervised]:
    """Start one with these settings; when the block ends it is told to stop, and all of it is removed.

    `program`: the module that is the command line, or stands in for it.
    """
    with tempfile.TemporaryDirectory(prefix="cronward-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "config.toml").write_text(config)
        with open(folder / "supervisor.log", "wb") as log:
            process = subprocess.Popen(_argv(folder, program), cwd=CHECKOUT, stderr=log, start_new_session=True)
        made = Supervised(folder, process)
        try:
            eventually(lambda: _keeps_time(made))
            yield made
        finally:
            process.terminate()
            process.wait(WITHIN)


def _argv(folder: Path, program: str) -> list[str]:
    where = ("--home", str(folder / "home"), "--config", str(folder / "config.toml"))
    return [sys.executable, "-m", program, *where, "supervise"]


def _keeps_time(made: Supervised) -> bool:
    if made.process.poll() is not None:
        raise SystemExit(f"The supervisor ended; its log ends: {made.log.read_text()[-2000:]}")
    try:
        return bool(made.client.status()["keeping_time"])
    except UnreachableError:
        return False


def eventually(holds: Callable[[], bool], within: float = WITHIN) -> None:
    """Wait until it does."""
    until = time.monotonic() + within
    while not holds():
        if time.monotonic() > until:
            raise SystemExit(f"Waited {within:g} s for what did not come: {holds!r}")
        time.sleep(0.02)
