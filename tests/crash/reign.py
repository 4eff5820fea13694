"""One supervisor after another in one home: started, killed, started again, and what of each is left."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from supervisor.control.client import Client
from supervisor.stores.home import Home
from supervisor.stores.lock import read_info
from tests.driver import children, eventually
from tests.house import CHECKOUT

READY_WITHIN = 60.0
GONE_WITHIN = 30.0


class NeverReadyError(AssertionError):
    """A supervisor that was started did not come to keep time."""


@dataclass
class Reign:
    """The home, and whoever keeps time in it. The test must be a subreaper: see `driver.adopting_orphans`."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    known: set[int] = field(default_factory=lambda: set(children()))
    """Children that we had before: none of this home."""
    starts: int = 0
    log_to: Path | None = None
    copying: threading.Thread | None = None
    """What the last one says goes to the log through a pipe: a limit on the size of its files is not to cut it off."""

    @property
    def client(self) -> Client:
        return Client(Home(self.root))

    @property
    def log_path(self) -> Path:
        return self.log_to or self.root.parent / "supervisor.log"

    def log(self) -> str:
        if self.copying is not None and not self.alive():
            self.copying.join(5)
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start one, and do not wait for it."""
        argv = [sys.executable, "-m", "supervisor", "--home", str(self.root), "supervise"]
        environ = {**os.environ, "PYTHONFAULTHANDLER": "1", **self.environ}
        self.process = subprocess.Popen(argv, cwd=CHECKOUT, env=environ, stderr=subprocess.PIPE, start_new_session=True)
        assert self.process.stderr is not None
        self.copying = threading.Thread(target=_copy, args=(self.process.stderr, self.log_path), daemon=True)
        self.copying.start()
        self.starts += 1
        return self.process

    def ready(self) -> bool:
        info = read_info(Home(self.root))
        return info is not None and self.process is not None and info.pid == self.process.pid

    def start(self, within: float = READY_WITHIN) -> None:
        """Start one and wait until it keeps time. Raises NeverReadyError."""
        self.spawn()
        self.wait_until_ready(within)

    def wait_until_ready(self, within: float = READY_WITHIN) -> None:
        """Raises NeverReadyError: it ended, or hangs, and then its log has a traceback of where."""
        assert self.process is not None
        until = time.monotonic() + within
        while not self.ready():
            code = self.process.poll()
            if code is None and time.monotonic() < until:
                time.sleep(0.01)
                continue
            if code is None:
                self.process.send_signal(signal.SIGABRT)  # see PYTHONFAULTHANDLER
                self.process.wait(10)
            how = "hangs" if code is None else f"ended with {code}"
            raise NeverReadyError(f"process {self.process.pid} {how}; the log ends: {self.log()[-3000:]}")

    def revive(self) -> None:
        """Once a full disk has drained: whoever restarts a supervisor does so until it lives. One that met the full
        disk as it started may end only now."""
        eventually(lambda: self.ready() or not self.alive(), READY_WITHIN)
        if not self.alive():
            self.start()

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, within: float = 60.0) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)

    def runners(self) -> list[psutil.Process]:
        """The live runners of this supervisor."""
        assert self.process is not None
        try:
            found = psutil.Process(self.process.pid).children()
        except psutil.NoSuchProcess:
            return []
        return [process for process in found if "cronward-run" in _argv(process)]

    def kill_a_runner(self, draw: random.Random) -> bool:
        """kill -9 of one of them. False: there was none."""
        found = self.runners()
        if found:
            with suppress(psutil.NoSuchProcess):  # it ended in this very moment
                draw.choice(found).kill()
        return bool(found)

    def orphans(self) -> list[str]:
        """What a dead supervisor left alive: it came to us, the subreaper. Says what it is."""
        mine = self.process.pid if self.process is not None else 0
        found = []
        for pid in set(children()) - self.known - {mine}:
            try:
                process = psutil.Process(pid)
                found.append(f"{pid} ({' '.join(process.cmdline())[:120] or process.name()}, {process.status()})")
            except psutil.Error:
                continue
        return found

    def nothing_lives(self) -> bool:
        """Whether all that dead supervisors left is dead as well, and reaped."""
        self.reap()
        return not self.orphans()

    def reap(self) -> None:
        """Reap the dead that came to us."""
        mine = self.process.pid if self.process is not None else 0
        for process in psutil.Process().children():
            if process.pid not in self.known and process.pid != mine:
                try:
                    os.waitpid(process.pid, os.WNOHANG)
                except ChildProcessError:
                    continue

    def end(self) -> None:
        """Leave nothing, whatever happened."""
        if self.alive():
            self.kill()
        for pid in set(children()) - self.known:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                continue


def _copy(said: IO[bytes], log_path: Path) -> None:
    with said, log_path.open("ab", buffering=0) as log:
        for line in said:
            log.write(line)


def _argv(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
