"""The program as people start it: a process, a terminal, a pipe, a running supervisor."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.reasons import Reason
from supervisor.models import SECOND
from supervisor.status import Status
from supervisor.stores.jobs import CronStore
from supervisor.stores.runs import RunsStore
from tests.driver import marker, survivors
from tests.fakes import make_job, make_run
from tests.house import CHECKOUT, House, eventually, house
from tests.lacks import need

EVIL = "\x1b[2J[red]loud[/red]\u202e\x9b31m"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


def argv_of(home: House, *args: str) -> list[str]:
    return [sys.executable, "-m", "supervisor", "--home", str(home.root), *args]


def on_terminal(home: House, columns: int, *args: str, **environ: str) -> str:
    """What a terminal of this width gets to see."""
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (50, columns))
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    with subprocess.Popen(
        argv_of(home, *args),
        cwd=CHECKOUT,
        env={**kept, "TERM": "xterm-256color", **environ},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        found = b""
        # The kernel says EIO when the last process has closed the other end.
        while piece := _read(ours):
            found += piece
    os.close(ours)
    return found.decode().replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""


def without_colours(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_tables_fit_the_terminal_and_nothing_stored_acts_on_it(home: House) -> None:
    jobs, runs = CronStore(home.root), RunsStore(home.root)
    jobs.add(make_job(name=f"{EVIL} with a long name of many words", prompt=f"{EVIL} and so on " * 20))
    begun = datetime.now(UTC)
    facts = {"started_at": begun, "finished_at": begun, "duration": SECOND, "attempt": 1, "error": EVIL * 9}
    runs.record(make_run(status=Status.FAILED, reason=Reason.AGENT_ERROR, job_name=EVIL, **facts))
    for columns in (60, 80, 140):
        for call in (("list",), ("runs",)):
            plain = without_colours(on_terminal(home, columns, *call))
            assert max(map(len, plain.splitlines())) <= columns, plain
            assert plain.isprintable() or set(plain) - {"\n"} == {char for char in plain if char.isprintable()}
            assert "\\x1b[2" in plain
    wide = without_colours(on_terminal(home, 140, "list"))
    assert "PROMPT" in wide
    assert wide.count("[red]loud[/red]") == 2
    assert "\x1b[31m" in on_terminal(home, 80, "runs")
    assert "\x1b" not in on_terminal(home, 80, "runs", NO_COLOR="1")
    assert "\x1b" not in on_terminal(home, 80, "show", make_job().id, NO_COLOR="1")


def test_the_main_verbs_work_without_a_supervisor(home: House) -> None:
    job = home.json("add", "--cron", "0 0 1 1 *", "--prompt", "x", "--name", "n")
    assert home.json("list") == [job]
    assert home.json("show", job["id"][:8]) == job
    assert not home.json("pause", "n")["enabled"]
    assert home.json("resume", "n")["enabled"]
    assert home.json("remove", "n")["id"] == job["id"]
    assert home.json("list") == []
    for call in (("run", "n"), ("cancel", "x"), ("ps",), ("stop",), ("status",)):
        done = home.cronward(*call)
        assert done.returncode == 4, call
        assert "No supervisor is running" in done.stderr


def test_a_running_supervisor_is_seen_edited_and_stopped(home: House) -> None:
    home.start()
    assert home.cronward("ps").stdout == "Nothing is running.\n"
    job = home.json("add", "--cron", "0 0 1 1 *", "--prompt", "x", "--name", "n")
    status = home.json("status")
    assert (status["jobs"], status["running"], status["keeping_time"]) == (1, 0, True)
    assert status["next_due"] == job["next_run"].replace("Z", "+00:00")
    shown = home.cronward("status").stdout
    assert f"keeping time, pid {status['pid']}" in shown
    assert f"\nsince       {status['since'][:4]}" in shown
    assert "\ncronward_up 1\n" in home.cronward("metrics").stdout
    assert home.cronward("cancel", "99999999").returncode == 3
    assert home.cronward("run", "nobody").returncode == 3
    assert home.cronward("stop").stdout == "Stopped.\n"
    assert home.process is not None
    assert home.process.wait(10) == 0
    asleep = home.cronward("status")
    assert asleep.returncode == 4
    assert "now; it was told to end" in asleep.stdout or "ago; it was told to end" in asleep.stdout
    assert home.json("list") == [job]


@need("cell")
def test_run_and_wait_gives_the_answer_and_whether_it_completed(home: House) -> None:
    home.start()
    home.json("add", "--cron", "0 0 1 1 *", "--command", "cat", "--prompt", f"said {EVIL[5:13]}", "--name", "good")
    home.json("add", "--cron", "0 0 1 1 *", "--command", "false", "--prompt", "x", "--name", "bad", "--retries", "0")
    done = home.cronward("run", "good", "--wait")
    assert (done.returncode, done.stdout) == (0, f"said {EVIL[5:13]}\n")
    assert " completed after " in done.stderr
    failed = home.cronward("run", "bad", "--wait")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "failed (agent_error)" in failed.stderr
    assert home.json("run", "good", "--wait")["status"] == "completed"
    assert "said" in on_terminal(home, 80, "run", "good", "--wait")


@need("cell")
def test_a_live_run_is_followed_shown_with_its_tree_and_canceled(home: House) -> None:
    mark = marker()
    home.start()
    command = f"/bin/sh -c 'echo begun; echo oops >&2; sleep {mark}'"
    job = home.json("add", "--cron", "0 0 1 1 *", "--command", command, "--prompt", "x", "--name", "slow")
    run = home.json("run", "slow")
    follower = subprocess.Popen(argv_of(home, "logs", "-f", run["id"]), cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)
    waiter = subprocess.Popen(argv_of(home, "run", "slow", "--wait"), cwd=CHECKOUT, stderr=subprocess.PIPE, text=True)
    with follower, waiter:
        eventually(lambda: survivors(mark))
        (tree,) = home.json("ps")
        names = []
        node = tree["runner"]
        while node:
            names.append(node["name"])
            node = node["children"][0] if node["children"] else None
        assert [names[1], *names[3:]] == ["bwrap", "sh", "sleep"]
        listed = home.cronward("ps").stdout
        assert [word in listed for word in ("supervisor", "runner", "bwrap", "init", f"sleep {mark}")] == [True] * 5
        # A second run of the same job, while it is not over, is refused in a sentence.
        assert waiter.wait(20) == 5
        asked = home.cronward("cancel", "slow")
        assert (asked.returncode, f"with: cronward cancel {run['id'][:8]}" in asked.stderr) == (3, True)
        told = home.json("cancel", run["id"])
        assert told["status"] in ("stopping", "canceled")
        followed, _ = follower.communicate(timeout=20)
    assert follower.returncode == 0
    assert "begun" in followed
    assert "oops" in followed
    assert "canceled" in followed
    assert home.ended(job["id"])[0]["reason"] == "canceled_by_user"
    assert survivors(mark) == []


@need("cell")
def test_an_interrupted_wait_leaves_the_run_alone(home: House) -> None:
    mark = marker()
    home.start()
    home.json("add", "--cron", "0 0 1 1 *", "--command", f"sleep {mark}", "--prompt", "x", "--name", "slow")
    with subprocess.Popen(argv_of(home, "run", "slow", "--wait"), cwd=CHECKOUT, stderr=subprocess.PIPE) as waiting:
        eventually(lambda: survivors(mark))
        waiting.send_signal(signal.SIGINT)
        _, err = waiting.communicate(timeout=20)
    assert waiting.returncode == 130
    assert b"Traceback" not in err
    assert home.json("ps")[0]["run"]["status"] == "running"
    home.cronward("stop", "--now")
    assert eventually(lambda: survivors(mark) == [])


def test_a_reader_that_has_enough_ends_it_quietly(home: House) -> None:
    store = CronStore(home.root)
    for number in range(40):
        store.add(make_job(id=f"job-{number}", prompt="x" * 9000))
    with subprocess.Popen(
        argv_of(home, "list", "--json"), cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(20) == 1
        assert process.stderr.read() == b""


def test_a_full_or_closed_standard_output_is_no_traceback(home: House) -> None:
    home.json("add", "--cron", "0 0 1 1 *", "--prompt", "x")
    with open("/dev/full", "wb") as full:
        # Unbuffered, the text would be gone at once, and nothing left for the flush at the end.
        buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        call = argv_of(home, "list")
        done = subprocess.run(call, cwd=CHECKOUT, stdout=full, stderr=subprocess.PIPE, check=False, env=buffered)
    assert done.returncode == 1
    assert done.stderr == b"cronward: No space left on device.\n"
    shell = ["/bin/sh", "-c", 'exec "$@" >&- <&-', "sh", *argv_of(home, "list")]
    closed = subprocess.run(shell, cwd=CHECKOUT, stderr=subprocess.PIPE, check=False)
    assert (closed.returncode, closed.stderr) == (0, b"")


def test_a_locale_that_lacks_characters_gets_their_numbers(home: House) -> None:
    home.json("add", "--cron", "0 0 1 1 *", "--prompt", "5 \u20ac", "--name", "n")
    home.environ = {"PYTHONIOENCODING": "latin-1"}
    assert "5 \\u20ac" in home.cronward("show", "n").stdout


def test_the_version_needs_no_library(home: House) -> None:
    code = "import sys; from supervisor.__main__ import main; main(['--version']); sys.exit('typer' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, check=False)
    assert (done.returncode, done.stdout[:9]) == (0, b"cronward ")


def test_a_shell_completes_commands_jobs_and_runs(home: House) -> None:
    home.json("add", "--cron", "0 0 1 1 *", "--prompt", "x", "--name", "nightly")
    RunsStore(home.root).record(make_run())
    for words, wanted in (("show n", "nightly"), ("cron del", "del_cron"), ("logs 9", make_run().id), ("show x", "")):
        environ = {
            "_CRONWARD_COMPLETE": "complete_bash",
            "COMP_WORDS": f"cronward {words}",
            "COMP_CWORD": str(len(words.split())),
            "CRONWARD_HOME": str(home.root),
        }
        done = subprocess.run(
            [sys.executable, "-m", "supervisor"],
            cwd=CHECKOUT,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == wanted
        assert done.stderr == ""
