"""Where a supervisor's log goes: a journald of its own make, a file that is its owner's alone."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.config import Config
from supervisor.errors import StoreError
from supervisor.logs.journal import Journal, handler
from supervisor.logs.logbook import log_file, open_file
from supervisor.logs.logline import about
from supervisor.stores.home import Home
from tests.house import CHECKOUT, House, house


def record(message: str) -> logging.LogRecord:
    extra = about("run.ended", run="r-1")
    return logging.Logger("cronward").makeRecord("cronward", logging.INFO, "", 0, "%s", (message,), None, extra=extra)


def journald(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(str(path))
    made.settimeout(5)
    return made


def all_of(heard: socket.socket) -> Iterator[bytes]:
    heard.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            yield heard.recv(1 << 16)


def test_journald_gets_an_entry_each_also_after_it_was_started_anew(tmp_path: Path) -> None:
    with journald(tmp_path / "j") as heard:
        found = os.fstat(2)
        chosen = handler({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}, 2, tmp_path / "j")
        assert isinstance(chosen, Journal)
        chosen.handle(record("first"))
        assert heard.recv(1 << 16).startswith(b"MESSAGE=first\nPRIORITY=6\n")
    (tmp_path / "j").unlink()
    chosen.handle(record("lost"))
    with journald(tmp_path / "j") as heard:
        chosen.handle(record("second"))
        data = heard.recv(1 << 16)
    chosen.close()
    assert data.startswith(b"MESSAGE=second\n")
    assert data.endswith(b"CRONWARD_RUN=r-1\nCRONWARD_LOST=1\n")


def test_a_journald_that_hangs_costs_lines_and_no_time(tmp_path: Path) -> None:
    with journald(tmp_path / "j") as heard:
        chosen = Journal(tmp_path / "j")
        began = time.monotonic()
        for _ in range(2000):
            chosen.handle(record("x" * 5000))
        assert time.monotonic() - began < 20
        taken = sum(1 for _ in all_of(heard))
        chosen.handle(record("at last"))
        assert f"CRONWARD_LOST={2000 - taken}\n".encode() in heard.recv(1 << 16)
        chosen.close()


def test_a_file_is_its_owners_alone_whatever_it_was_and_no_link_is_followed(tmp_path: Path) -> None:
    config, path = Config(supervisor_log_bytes=4096, supervisor_log_files=2), tmp_path / "log"
    path.write_text("before\n")
    path.chmod(0o666)
    chosen = open_file(path, config)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for number in range(200):
        chosen.handle(record(f"{number} " + "x" * 100))
    chosen.close()
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["log", "log.1", "log.2"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert all(file.stat().st_size <= 4096 for file in files)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot be written"):
        open_file(tmp_path / "link", config)
    with pytest.raises(StoreError, match="cannot be written"):
        open_file(tmp_path / "no" / "log", config)


def test_a_supervisor_logs_to_the_file_that_is_configured_and_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "mine.log"
    with house(tmp_path, CRONWARD_SUPERVISOR_LOG=str(path)) as home:
        home.start()
        assert home.stop() == 0
        assert home.log() == ""
    lines = path.read_text().splitlines()
    assert all(re.match(r"ts=\S+ level=\w+ event=\S+ .*msg=\"", line) for line in lines), lines
    events = [line.split()[2] for line in lines]
    assert events[-1] == "event=supervisor.stopped"
    assert "event=supervisor.ready" in events
    with house(tmp_path / "other", CRONWARD_SUPERVISOR_LOG=str(tmp_path / "no" / "log")) as home:
        said = refused(home)
    assert "cannot be written" in said


def refused(home: House) -> str:
    done = home.cronward("supervise")
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    assert home.cronward("supervise", "--ensure").returncode == 1
    return done.stderr


def test_whatever_nobody_catches_is_a_line_without_its_words() -> None:
    broken = (
        "import logging, threading, warnings; from supervisor.config import Config; "
        "from supervisor.logs import logbook\n"
        "class Dies:\n    def __del__(self): raise ValueError('SECRET')\n"
        "def breaks(): raise KeyError('SECRET')\n"
        "logbook.begin(Config()); Dies(); thread = threading.Thread(target=breaks); thread.start(); thread.join()\n"
        "logging.getLogger('x').error('%d', 'SECRET')\n"
        "breaks()"
    )
    done = subprocess.run([sys.executable, "-c", broken], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    lines = done.stderr.splitlines()
    assert "SECRET" not in done.stderr
    assert [line.split()[2] for line in lines] == ["event=defect"] * 3
    assert [line.rpartition(" ")[2] for line in lines] == ['ValueError"', 'KeyError"', 'KeyError"']


def test_it_lies_in_the_home_where_none_is_configured(tmp_path: Path) -> None:
    assert log_file(Home(tmp_path), Config()) == tmp_path / "supervisor.log"
