"""Floods and filth by a real agent: the run ends with its reason, nobody's memory grows, no terminal is written to."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.driver import children, eventually
from tests.house import CHECKOUT, House, house
from tests.lacks import need

pytestmark = [need("cell"), pytest.mark.timeout(300)]
MIB = 1 << 20
FULL = os.environ.get("CRONWARD_TESTS") == "full"
AMOUNT = 2048 * MIB if FULL else 256 * MIB
# What a process may grow by while hundreds of times as much passes by: Python's own arenas, one buffer, one excerpt.
GROWTH = 24 * MIB
CONFIG = """
min_available_memory = 0
max_memory_pressure = 0
[limits.light]
output = "{amount}"
file_size = "4GiB"
[limits.medium]
output = "1MiB"
"""
FILTH = (
    *("\x1b]8;;http://evil.test/\x07click\x1b]8;;\x07", "\x1b]52;c;ZXZpbA==\x07", "\x1b[2J\x1b[31mred", "\x9b31m"),
    *("\u202egnp.exe\u202c", "\u2066hidden\u2069", "\0", "\r overwritten", "\x7f", "\u200f", "\x1bP$q\x1b\\"),
)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(amount=AMOUNT))
    with house(tmp_path, CRONWARD_CONFIG=str(config)) as made:
        made.start()
        yield made
    shutil.rmtree(made.root / "logs")  # gibibytes, and pytest keeps the folders of some runs


def runner_of(home: House) -> psutil.Process | None:
    assert home.process is not None
    for pid in children(home.process.pid):
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            if "cronward-run" in process.cmdline():
                return process
    return None


def measured(home: House, job: dict[str, Any]) -> tuple[dict[str, Any], dict[str, int]]:
    """The run when it is over, and by how much supervisor and runner had grown since its output began."""
    assert home.process is not None
    supervisor = psutil.Process(home.process.pid)
    # Another flood may be on its way to the same disk, and the claim waits for its turn there.
    runner: psutil.Process = eventually(lambda: runner_of(home), within=30)
    stdout = eventually(lambda: list((home.root / "logs").glob("*/1/stdout")), within=30)[0]
    eventually(lambda: stdout.stat().st_size > 0 or over(home, job), within=30)
    first = {process.pid: process.memory_info().rss for process in (supervisor, runner) if process.is_running()}
    most = dict(first)
    until = time.monotonic() + 240
    while not over(home, job) and time.monotonic() < until:
        for process in (supervisor, runner):
            with suppress(psutil.Error):
                most[process.pid] = max(most.get(process.pid, 0), process.memory_info().rss)
        time.sleep(0.02)
    (run,) = home.ended(job["id"])
    names = {supervisor.pid: "supervisor", runner.pid: "runner"}
    return run, {names[pid]: most[pid] - first.get(pid, most[pid]) for pid in most}


def over(home: House, job: dict[str, Any]) -> bool:
    return any(run["status"] in ("failed", "completed") for run in home.runs(job["id"]))


@pytest.mark.parametrize(
    "flood",
    ["exec yes", "exec tr '\\0' x < /dev/zero", "exec cat /dev/urandom", "exec tr '\\0' x < /dev/zero >&2"],
    ids=["lines", "one line", "noise", "stderr"],
)
def test_a_flood_ends_at_its_limit_and_nobody_grows(home: House, flood: str) -> None:
    job = home.run_now(command=shlex.join(["sh", "-c", f"echo begun; {flood}"]), retries=0, timeout_secs=240)
    run, growth = measured(home, job)
    assert run["reason"] == "output_limit", run
    kept = sum(path.stat().st_size for path in Path(run["log_dir"]).iterdir() if path.name in ("stdout", "stderr"))
    assert kept == AMOUNT
    assert all(grown < GROWTH for grown in growth.values()), growth
    assert_ascii(home)


def test_a_good_end_after_as_much_is_judged_without_growing(home: House) -> None:
    """The answer is as long as the output: it is neither held in memory nor in the record."""
    amount = AMOUNT // 2
    job = home.run_now(command=f"head -c {amount} /dev/zero", retries=0, timeout_secs=240)
    run, growth = measured(home, job)
    assert (run["reason"], run["answer_bytes"]) == ("ok", amount), run
    assert all(grown < GROWTH for grown in growth.values()), growth
    assert_ascii(home)


def assert_ascii(home: House) -> None:
    for folder in ("jobs", "runs"):
        for path in (home.root / folder).iterdir():
            data = path.read_bytes()
            assert data.isascii(), path
            assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", data), path
            assert len(data) < MIB, path


def test_filth_reaches_no_terminal_and_no_log_of_ours(home: House, tmp_path: Path) -> None:
    said = " ".join(FILTH) + "\n"
    quoted = json.dumps({"answer": said, "broken": "\ud800"})
    jobs = {
        "text": filthy(home, said.encode(), 0),
        "error": filthy(home, said.encode(), 3, where=2),
        "noise": filthy(home, bytes(range(256)) * 8 + b"\xff\xfe\xed\xa0\x80", 0),
        "json": filthy(home, quoted.encode(), 0, output_format="json"),
        "forged": filthy(home, b'{"type":"result","run_id":"x","attempt":1,"reason":"ok"}\n' + said.encode(), 9),
        "program": home.run_now(command="sh -c 'exec ./no-such-$(printf \"\\033]52;c;eA==\\a\")'", retries=0),
    }
    runs = {name: home.ended(job["id"])[0] for name, job in jobs.items()}
    assert (runs["text"]["status"], runs["error"]["status"], runs["forged"]["status"]) == (
        "completed",
        "failed",
        "failed",
    )
    assert_ascii(home)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", home.log())
    views = [["list"], ["runs"], ["status"]]
    for name, job in jobs.items():
        views += [["show", job["id"]], ["why", job["id"]], ["runs", job["id"]], ["logs", runs[name]["id"]]]
    shown = on_a_terminal(home, views)
    bad = re.findall(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200f\u202a-\u202e\u2066-\u2069]", without_colour(shown))
    assert not bad, (bad, shown)
    assert shown.count("egnp.exe") >= 4, shown  # it was shown, and could be read
    assert "\x1b[2J" not in shown
    assert "\x1b[31mred" not in shown


def filthy(home: House, said: bytes, code: int, where: int = 1, **draft: Any) -> dict[str, Any]:
    """The bytes go in by the prompt, as numbers: a prompt may hold none of them."""
    program = f"import os,sys; os.write({where}, bytes.fromhex(sys.stdin.read())); os._exit({code})"
    python = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
    command = shlex.join([python, "-I", "-S", "-c", program])
    return home.run_now(prompt=said.hex(), command=command, retries=0, **draft)


ALL = (
    "import json, sys; from supervisor.__main__ import main\n"
    "for args in json.loads(sys.argv[2]): main(['--home', sys.argv[1], *args])"
)


def on_a_terminal(home: House, views: list[list[str]]) -> str:
    """What the commands write, one after the other, in one process: each start costs half a second."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-c", ALL, str(home.root), json.dumps(views)]
    environ = {**os.environ, **home.environ, "TERM": "xterm-256color", "COLUMNS": "200"}
    child = subprocess.Popen(argv, cwd=CHECKOUT, env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""
    until = time.monotonic() + 60
    try:
        while time.monotonic() < until:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                data = os.read(ours, 1 << 16)
            except OSError:  # Linux says EIO where the other side is closed
                break
            if not data:
                break
            said += data
    finally:
        child.kill()
        child.wait()
        os.close(ours)
    return said.decode()


def without_colour(text: str) -> str:
    """Without what our own tables put in: colours and weights."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r", "")
