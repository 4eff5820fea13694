"""cron as the keeper of a supervisor: two lines in its owner's crontab, by the program `crontab` alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psutil

from supervisor.errors import CronwardError
from supervisor.keeping import cronlines
from supervisor.keeping.keeper import By, Kept
from supervisor.stores.home import Home
from supervisor.trials.called import call

DAEMONS = frozenset({"cron", "crond", "fcron", "dcron", "systemd-cron"})
NO_TABLE = (b"no crontab for", b"No such file or directory")
"""What there is to say where nobody has a crontab yet: Vixie's and cronie, busybox."""


def crontab(environ: Mapping[str, str]) -> str | None:
    """The program; None where there is none."""
    return shutil.which("crontab", path=environ.get("PATH", os.defpath))


def cron_runs() -> bool:
    """Whether a daemon reads crontabs here, by the names that such daemons have."""
    return any(process.info["name"] in DAEMONS for process in psutil.process_iter(["name"]))


@dataclass(frozen=True, slots=True)
class CronKeeper:
    """The block of one home. `start`: has a supervisor started now, so that nobody waits five minutes for it."""

    program: str
    home: Home
    block: Callable[[], bytes]
    start: Callable[[], int]
    runs: Callable[[], bool] = cron_runs
    by: By = "cron"

    def install(self) -> Kept:
        """Write our lines, and start one. Raises InvalidError, CronwardError; then the crontab is as it was."""
        table = self._table()
        changed = cronlines.with_lines(table, self.block(), self.home)
        if changed != table:
            self._write(changed)
        return self._kept(installed=True, pid=self.start())

    def uninstall(self) -> bool:
        """Remove our lines and no others. A supervisor that runs goes on."""
        table = self._table()
        if not cronlines.has_lines(table, self.home):
            return False
        self._write(cronlines.without_lines(table, self.home))
        return True

    def look(self) -> Kept:
        """How it stands."""
        return self._kept(installed=cronlines.has_lines(self._table(), self.home), pid=None)

    def _kept(self, *, installed: bool, pid: int | None) -> Kept:
        runs = self.runs()
        note = "No cron daemon seems to run here, so nothing reads the crontab. Ask whoever administers this host."
        return Kept(self.by, "your crontab", installed, runs, pid, notes=() if runs or not installed else (note,))

    def _table(self) -> bytes:
        answer = call([self.program, "-l"])
        if answer.code == 0:
            return answer.out
        # Only this counts as an empty one: to write over a table that could not be read would lose it.
        if any(words in answer.err + answer.out for words in NO_TABLE):
            return b""
        raise CronwardError(f"Your crontab cannot be read: {answer.complaint} It is as it was. Try: crontab -l")

    def _write(self, table: bytes) -> None:
        answer = call([self.program, "-"], given=table)
        if answer.code:
            raise CronwardError(f"Your crontab cannot be changed: {answer.complaint} It is as it was.")
