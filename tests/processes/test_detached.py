"""`supervise --ensure`, as cron would call it: real processes, with the little environment that cron gives them."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from supervisor.config import Config
from supervisor.logs.logbook import log_file
from supervisor.stores.home import Home
from supervisor.stores.lock import read_info
from tests.house import CHECKOUT, eventually
from tests.processes.test_lock import another_holder

WITHIN = 90.0


class Crontab:
    """Runs lines as cron does: no terminal, a session of its own, HOME and a short PATH."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / ".local" / "state" / "cronward")
        self.environ = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh", "PYTHONPATH": str(CHECKOUT)}
        folder.mkdir()

    def start(self, *args: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "supervisor", *args],
            cwd=self.environ["HOME"],
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            umask=0o022,
        )

    def run(self, *args: str, **environ: str) -> tuple[int, str, str]:
        """Exit code and outputs. It ends only when nobody holds its outputs any more, as for cron itself."""
        process = self.start(*args, **environ)
        out, err = process.communicate(timeout=WITHIN)
        return process.returncode, out, err

    def pid(self) -> int:
        info = read_info(self.home)
        assert info is not None
        return info.pid


@pytest.fixture
def crontab(tmp_path: Path) -> Iterator[Crontab]:
    made = Crontab(tmp_path / "user")
    try:
        yield made
    finally:
        info = read_info(made.home)
        if info is not None:
            os.kill(info.pid, signal.SIGKILL)


def is_over(pid: int) -> bool:
    """Tests that ran before in this process may have made it the parent of orphans, and it reaps none of them."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def standing(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def test_it_starts_one_cut_off_from_its_starter_and_says_nothing_of_one_that_runs(crontab: Crontab) -> None:
    code, out, err = crontab.run("supervise", "--ensure")
    pid = crontab.pid()
    assert (code, out, err) == (
        0,
        f"Started a supervisor, process {pid}; it writes to {log_file(crontab.home, Config())}\n",
        "",
    )
    process = psutil.Process(pid)
    assert os.getsid(pid) not in (os.getsid(0), pid)
    assert process.terminal() is None
    assert process.cwd() == "/"
    files = {fd: str(Path(f"/proc/{pid}/fd/{fd}").readlink()) for fd in range(3)}
    assert files == {0: "/dev/null", 1: str(log_file(crontab.home, Config())), 2: str(log_file(crontab.home, Config()))}
    assert not [fd for fd in Path(f"/proc/{pid}/fd").iterdir() if "ensure.lock" in str(fd.readlink())]
    assert f"Umask:\t{0o077:04o}" in Path(f"/proc/{pid}/status").read_text()
    assert stat.S_IMODE(log_file(crontab.home, Config()).stat().st_mode) == 0o600
    assert f"keeping time in {crontab.home.root}, pid {pid}" in log_file(crontab.home, Config()).read_text()
    assert crontab.run("supervise", "--ensure") == (0, "", "")
    assert standing(crontab.run("supervise", "--ensure", "--json")[1]) == {"pid": pid, "started": False, "log": ""}
    assert crontab.run("stop") == (0, "Stopped.\n", "")
    eventually(lambda: is_over(pid), WITHIN)
    again = standing(crontab.run("supervise", "--ensure", "--json")[1])
    assert again["started"]
    assert again["pid"] not in (pid, None)


def test_many_at_once_start_exactly_one(crontab: Crontab) -> None:
    started = [crontab.start("supervise", "--ensure", "--json") for _ in range(5)]
    ends = [(process.communicate(timeout=WITHIN), process.returncode) for process in started]
    assert [code for _, code in ends] == [0] * 5, ends
    found = [standing(out) for (out, _), _ in ends]
    assert {each["pid"] for each in found} == {crontab.pid()}
    assert sum(each["started"] for each in found) == 1


def test_after_a_kill_the_next_one_starts_another(crontab: Crontab) -> None:
    crontab.run("supervise", "--ensure")
    pid = crontab.pid()
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: read_info(crontab.home) is None, WITHIN)
    assert standing(crontab.run("supervise", "--ensure", "--json")[1]) == {
        "pid": crontab.pid(),
        "started": True,
        "log": str(log_file(crontab.home, Config())),
    }


def test_one_that_does_not_answer_is_named_and_left_alone(crontab: Crontab) -> None:
    crontab.run("supervise", "--ensure")
    pid = crontab.pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        code, out, err = crontab.run("supervise", "--ensure")
        assert (code, out) == (4, "")
        assert "does not answer" in err or "did not answer" in err, err
        assert psutil.Process(pid).status() == psutil.STATUS_STOPPED
        crontab.home.socket.unlink()
        code, out, err = crontab.run("supervise", "--ensure")
        assert (code, out) == (4, "")
        assert f"The supervisor {pid} holds the home" in err
    finally:
        os.kill(pid, signal.SIGCONT)
    assert crontab.pid() == pid


def test_a_home_that_somebody_holds_for_long_is_named(crontab: Crontab) -> None:
    with another_holder(crontab.home):
        code, _, err = crontab.run("supervise", "--ensure")
    assert code == 4
    assert "A process holds the home" in err


def test_what_keeps_it_from_starting_is_said_by_its_exit_code_and_nothing_is_made(crontab: Crontab) -> None:
    assert crontab.run("supervise", "--ensure", CRONWARD_MAX_CONCURRENT="many")[0] == 2
    assert crontab.run("--config", "missing.toml", "supervise", "--ensure")[0] == 2
    assert crontab.run("supervise", "--json")[0] == 2
    assert not crontab.home.root.exists()
    # Its directory of runs is no directory: only the supervisor itself finds that.
    crontab.home.create()
    crontab.home.jobs.rmdir()
    crontab.home.jobs.symlink_to("/nowhere")
    code, out, err = crontab.run("supervise", "--ensure")
    assert (code, out) == (5, "")
    assert "is a link or no directory" in err


def test_a_config_that_is_named_from_here_is_found_from_there(crontab: Crontab) -> None:
    (Path(crontab.environ["HOME"]) / "mine.toml").write_text("max_concurrent = 3\n")
    crontab.run("supervise", "--ensure", CRONWARD_CONFIG="mine.toml")
    assert standing(crontab.run("status", "--json")[1])["max_concurrent"] == 3


def test_its_log_is_bounded_also_where_others_write_to_it(tmp_path: Path) -> None:
    """In a child, whose outputs it takes."""
    flood = (
        "import logging, os, sys; from pathlib import Path; from supervisor.stores.home import Home;"
        "from supervisor.logs import logbook; from supervisor.config import Config; home = Home(Path(sys.argv[1]));"
        "home.create(); path = logbook.log_file(home, Config());"
        "logbook.begin_with(logbook.open_file(path, Config(), whole=True))\n"
        "for number in range(700): logging.getLogger('x').info('x' * (1 << 20)); os.write(2, b'past the logger')"
    )
    subprocess.run([sys.executable, "-c", flood, str(tmp_path / "h")], cwd=CHECKOUT, check=True, timeout=WITHIN)
    files = sorted((tmp_path / "h").glob("supervisor.log*"))
    assert len(files) == 1 + Config().supervisor_log_files
    assert all(path.stat().st_size < 2 * Config().supervisor_log_bytes for path in files)
    assert files[0].read_bytes().endswith(b"past the logger")
