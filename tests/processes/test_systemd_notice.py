"""What a real supervisor tells systemd: over a real socket, without systemd."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervisor.keeping.sdnotify import Systemd
from supervisor.logs.journal import SOCKET
from supervisor.stores.home import Home
from supervisor.stores.lock import read_info
from tests.house import CHECKOUT, eventually

WITHIN = 60.0


@contextmanager
def listening(where: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind("\0" + where[1:] if where.startswith("@") else where)
        channel.settimeout(WITHIN)
        yield channel


def heard(channel: socket.socket) -> list[str]:
    return channel.recv(65536).decode().split("\n")


def silent(channel: socket.socket, seconds: float) -> bool:
    channel.settimeout(seconds)
    try:
        channel.recv(65536)
    except TimeoutError:
        return True
    finally:
        channel.settimeout(WITHIN)
    return False


@contextmanager
def supervised(home: Path, stderr: int, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """As systemd starts it: WATCHDOG_PID is the process itself, which an exec keeps."""
    argv = [sys.executable, "-m", "supervisor", "--home", str(home), "supervise"]
    script = 'WATCHDOG_PID=$$ exec "$@"'
    process = subprocess.Popen(
        ["/bin/sh", "-c", script, "sh", *argv],
        cwd=CHECKOUT,
        env={**os.environ, "CRONWARD_DRAIN_SECONDS": "7", "CRONWARD_GRACE_SECONDS": "1", **environ},
        stderr=stderr,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_it_says_ready_when_it_answers_alive_while_its_loop_turns_and_stopping_at_its_end(
    tmp_path: Path, kind: str
) -> None:
    where = str(tmp_path / "notify") if kind == "path" else f"@cronward-test-{secrets.token_hex(8)}"
    home = Home(tmp_path / "home")
    with listening(where) as channel, open(tmp_path / "log", "wb") as log:
        watched = {"NOTIFY_SOCKET": where, "WATCHDOG_USEC": "1500000"}
        with supervised(home.root, log.fileno(), **watched) as process:
            said: list[str] = []
            while "READY=1" not in said:  # the loop may have turned before
                assert said in ([], ["WATCHDOG=1"])
                said = heard(channel)
            assert said == ["READY=1", f"STATUS=keeping time in {home.root}"]
            info = read_info(home)
            assert info is not None
            assert info.pid == process.pid
            assert [heard(channel) for _ in range(3)] == [["WATCHDOG=1"]] * 3
            process.send_signal(signal.SIGSTOP)
            while not silent(channel, 2.0):  # what was on its way
                pass
            process.send_signal(signal.SIGCONT)
            assert heard(channel) == ["WATCHDOG=1"]
            process.send_signal(signal.SIGTERM)
            said = heard(channel)
            while said == ["WATCHDOG=1"]:
                said = heard(channel)
            assert said == ["STOPPING=1", "STATUS=draining", "EXTEND_TIMEOUT_USEC=38000000"]
            assert process.wait(WITHIN) == 0


def test_the_watchdogs_signal_leaves_stacks_in_the_log_and_no_values(tmp_path: Path) -> None:
    with listening(str(tmp_path / "notify")) as channel, open(tmp_path / "log", "wb") as log:
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "60000000"}
        with supervised(tmp_path / "home", log.fileno(), **environ) as process:
            while "READY=1" not in heard(channel):
                pass
            process.send_signal(signal.SIGABRT)
            assert process.wait(WITHIN) == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in (tmp_path / "log").read_text()


def test_a_watchdog_that_means_another_process_is_not_fed_and_nobody_inherits_the_variables() -> None:
    rows = {
        "ours": ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}, 3.0),
        "anybody's": ({"WATCHDOG_USEC": "3000000"}, 3.0),
        "another's": ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "8"}, None),
        "none": ({}, None),
        "nonsense": ({"WATCHDOG_USEC": "-1"}, None),
        "zero": ({"WATCHDOG_USEC": "0"}, None),
        "more than anybody means": ({"WATCHDOG_USEC": "9" * 40}, None),
    }
    for name, (variables, seconds) in rows.items():
        environ = {"NOTIFY_SOCKET": "/run/x", "PATH": "/bin", **variables}
        assert Systemd.taken_from(environ, 7) == Systemd(b"/run/x", seconds), name
        assert environ == {"PATH": "/bin"}, name
    for nowhere in ("", "@", "run/x", "vsock:2:1"):
        assert Systemd.taken_from({"NOTIFY_SOCKET": nowhere, "WATCHDOG_USEC": "9"}, 7) == Systemd(), nowhere


def test_nobody_there_and_nobody_who_reads_cost_a_message_and_no_time(tmp_path: Path) -> None:
    began = time.monotonic()
    Systemd(os.fsencode(tmp_path / "nobody"), 1.0).ready("x")
    with listening(str(tmp_path / "full")):
        for _ in range(5000):
            Systemd(os.fsencode(tmp_path / "full"), 1.0).alive()
    assert time.monotonic() - began < 10


def test_a_status_cannot_say_more_than_one_thing(tmp_path: Path) -> None:
    with listening(str(tmp_path / "notify")) as channel:
        Systemd(os.fsencode(tmp_path / "notify"), None).ready("a home\nMAINPID=1")
        assert heard(channel) == ["READY=1", "STATUS=a home MAINPID=1"]
        Systemd(os.fsencode(tmp_path / "notify"), None).alive()
        assert silent(channel, 0.05)


def test_its_log_has_priorities_where_standard_error_is_the_journal(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    found = os.fstat(writing)
    try:
        with supervised(tmp_path / "home", writing, JOURNAL_STREAM=f"{found.st_dev}:{found.st_ino}") as process:
            eventually(lambda: read_info(Home(tmp_path / "home")), WITHIN)
            process.send_signal(signal.SIGTERM)
            assert process.wait(WITHIN) == 0
        os.set_blocking(reading, False)
        rows = os.read(reading, 65536).decode().splitlines()
    finally:
        os.close(reading)
        os.close(writing)
    assert all(row.startswith("<6>ts=") for row in rows), rows
    said = f"keeping time in {tmp_path / 'home'}, pid {process.pid}"
    # With a journald of this host it would have gone there, as an entry.
    assert SOCKET.exists() or any(row.endswith(f' event=supervisor.ready msg="{said}"') for row in rows), rows
