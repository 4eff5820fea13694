"""`cronward` alone and `cronward recap`, in a pipe and on a real terminal; and runs drawn over time."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from datetime import UTC, datetime, timedelta
from fcntl import ioctl
from pathlib import Path

import pytest

from shared.findings import Branch
from shared.reasons import Reason
from supervisor.cli.cells import width
from supervisor.models import SECOND, CronRun, Trigger
from supervisor.notifications.deliveries import Channel, Delivery, Letter, State
from supervisor.status import Status
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.runs import RunsStore
from tests.command import Command, snapshot
from tests.fakes import make_job, make_run

ROOT = Path(__file__).parents[2]
EVIL = "\x1b[2J\x1b]0;own\x07[red]loud[/red] \u202etxt"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def ago(hours: float) -> datetime:
    """By the clock that the CLI reads, now: a whole run of the tests takes minutes."""
    return datetime.now(UTC) - timedelta(hours=hours)


def ended(name: str, hours: float, status: Status = Status.COMPLETED, **fields: object) -> CronRun:
    at = ago(hours)
    times = {"scheduled_at": at, "queued_at": at, "started_at": at, "finished_at": at + timedelta(minutes=30)}
    reason = Reason.OK if status is Status.COMPLETED else Reason.AUTH_FAILED
    known = {"duration": 1800 * SECOND, "attempt": 1, "trigger": Trigger.SCHEDULE, "reason": reason, **times}
    return make_run(
        **{
            "id": f"run-{name[:3]}-{hours}",
            "job_id": f"job-{name[:3]}",
            "job_name": name,
            **known,
            "status": status,
            **fields,
        }
    )


@pytest.fixture
def filled(cronward: Command) -> Command:
    """A home with a night behind it: good runs, a failure, a hostile job and a wide one."""
    jobs, runs = CronStore(cronward.home), RunsStore(cronward.home)
    for name in ("good", "claude", EVIL, "日本語のジョブ"):
        jobs.add(
            make_job(
                id=f"job-{name[:3]}" if name.isascii() and name.isprintable() else f"job-{len(name)}",
                name=name,
                agent="claude",
            )
        )
    for hours in (30, 5, 2):
        runs.record(ended("good", hours, branch=Branch(original="/w", base="f00d", name=f"b-{hours}", commits=1)))
    runs.record(ended("claude", 3, Status.FAILED, error=f"401 {EVIL}"))
    runs.record(ended(EVIL, 4, id="run-evil", job_id=f"job-{len(EVIL)}", error=EVIL))
    runs.record(ended("日本語のジョブ", 6, id="run-wide", job_id="job-7"))
    return cronward


def on_terminal(home: Path, *args: str, columns: int = 80, **env: str) -> str:
    """What a command writes to a terminal of this width, colours and all."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(ROOT)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "XDG_CONFIG_HOME") if name in os.environ}
        program = [sys.executable, "-m", "supervisor", "--home", str(home), *args]
        os.execve(sys.executable, program, {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **kept, **env})
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    data, deadline = b"", time.monotonic() + 50
    while time.monotonic() < deadline and select.select([terminal], [], [], 30)[0]:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # the other end is closed
            break
        data += piece
    os.close(terminal)
    assert os.waitpid(child, 0)[1] == 0, data
    return data.decode().replace("\r\n", "\n")


def test_with_nothing_set_up_one_screen_says_what_to_begin_with(cronward: Command) -> None:
    out = cronward().out
    assert "cronward supervise --ensure" in out
    assert "cronward --help" in out
    assert len(out.splitlines()) < 20, "the list of commands pushes the beginning out of sight"
    assert max(map(len, out.splitlines())) <= 80
    assert cronward("recap").out.splitlines()[-1] == "  No run has ended, and there are no jobs."
    assert cronward("timeline").out == "Nothing ran in that time.\n"
    assert not cronward.home.exists()


def test_alone_it_shows_the_last_night(filled: Command) -> None:
    out = filled().out
    assert re.search(r"completed +4  good \(2\), ", out)
    assert re.search(r"failed +1  auth_failed: claude", out)
    assert "good: branch b-2, 1 commit\n    git -C /w log --stat f00d..b-2" in out
    assert "b-30" not in out
    assert "! claude failed (auth_failed): 401 " in out
    assert f"cronward --home {filled.home} login claude" in out
    assert f"cronward --home {filled.home} supervise --ensure" in out
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_it_says_since_when_nothing_kept_time_and_what_was_not_told(filled: Command) -> None:
    assert "! Nothing has ever kept time here, so no job starts.\n" in filled().out
    home = Home(filled.home)
    home.last_info.write_text("{}")
    os.utime(home.last_info, (ago(5).timestamp(),) * 2)
    said = re.search(r"! Nothing has kept time here since .*?, 5 h ago: no job starts\.\n", filled().out)
    assert said, filled().out
    home.info.write_text("{}")
    os.utime(home.info, (ago(3).timestamp(),) * 2)
    assert "3 h ago; what did was killed: no job starts." in filled().out
    for number, hours in enumerate((2, 1, 40)):
        letter = given_up_letter(number, ago(hours))
        (home.outbox / f"{letter.run_id}.json").write_text(json.dumps(letter.record()))
    out = filled().out
    assert "! 2 notifications were given up. The last one: The webhook answered 404.\n" in out
    assert f"    cronward --home {filled.home} outbox list\n" in out
    assert "3 notifications were given up" in filled("recap", "--since", "2d").out
    os.utime(home.outbox / "run-0000.json", (ago(90).timestamp(),) * 2)  # not even opened: it was left alone since
    assert "1 notification was given up" in filled().out


def given_up_letter(number: int, at: datetime) -> Letter:
    known = {"next_at": at, "expires_at": at, "settled_at": at, "state": State.FAILED}
    told = Delivery(
        id=f"msg_{number}", channel=Channel.WEBHOOK, to="https://x.example/", error="The webhook answered 404.", **known
    )
    return Letter(run_id=f"run-{number:04}", job_id="j", status=Status.FAILED, made_at=at, deliveries=(told,))


def test_its_json_says_the_same_and_how_far_back_can_be_said(filled: Command) -> None:
    found = filled.json("recap")
    ends = [(each["status"], each["reason"], each["count"]) for each in found["ends"]]
    assert ends == [("completed", "ok", 4), ("failed", "auth_failed", 1)]
    assert [need["command"].rpartition(f"{filled.home} ")[2] for need in found["needs"]] == [
        "supervise --ensure",
        "login claude",
    ]
    assert not found["keeping_time"]
    assert len(found["due"]) == 4
    assert [change["branch"]["name"] for change in found["changes"]] == ["b-5", "b-2"]
    assert sum(each["count"] for each in filled.json("recap", "--since", "3d")["ends"]) == 6
    assert filled.json("recap", "--since", "1h")["ends"] == []
    for wrong in ("x", "+5m", "2999-01-01", "0001-01-02", "99999d", "-5m"):
        assert filled("recap", "--since", wrong).code == 2, wrong


def test_only_a_look_on_a_terminal_is_noted_and_the_next_begins_there(filled: Command) -> None:
    before = snapshot(filled.home)
    for call in ((), ("recap",), ("recap", "--json"), ("timeline",)):
        filled(*call)
    on_terminal(filled.home, "recap", "--since", "8h")
    assert snapshot(filled.home) == before
    assert on_terminal(filled.home).startswith("\x1b[1mIn the last 24 h (")
    stored = json.loads((filled.home / "looked.json").read_text())
    stored |= {"since": ago(50).isoformat(), "looked_at": ago(3).isoformat()}
    (filled.home / "looked.json").write_text(json.dumps(stored))
    again = on_terminal(filled.home, NO_COLOR="1")
    assert again.startswith("Since you last looked, 3 h ago (")
    assert re.search(r"completed +1  good\n", again)
    # The failure ended within these three hours: half an hour after it began.
    assert re.search(r"failed +1  auth_failed: claude\n", again)


@pytest.mark.parametrize("columns", [60, 160])
def test_every_screen_fits_its_terminal_and_nothing_stored_acts_on_it(filled: Command, columns: int) -> None:
    for call in (("recap", "--since", "9h"), ("list",), ("runs",), ("timeline",), ("show", f"job-{len(EVIL)}")):
        out = on_terminal(filled.home, *call, columns=columns)
        plain = COLOUR.sub("", out)
        assert not {"\x1b", "\x07", "\u202e", "\r"} & set(plain), call
        copied = re.compile(r"^ {4}(cronward|git) ")
        wide = [line for line in plain.split("\n") if width(line) > columns and not copied.match(line)]
        assert wide == [], call
        assert "\x1b[3" in out, (call, "colours")
        if columns == 60:
            assert "\x1b" not in on_terminal(filled.home, *call, columns=columns, NO_COLOR="1").replace(
                "\x1b[1m", ""
            ).replace("\x1b[0m", "")


def test_runs_are_drawn_where_they_were_with_their_attempts_and_waits(cronward: Command) -> None:
    runs = RunsStore(cronward.home)
    tried = ended("tried", 4, attempt=2, finished_at=ago(2))
    runs.record(tried)
    runs.record(ended("tried", 3, id="run-beside"))
    for attempt, start, stop in ((1, 4.0, 3.8), (2, 2.5, 2.0)):
        folder = runs.home.log_dir(tried.id, attempt)
        folder.mkdir(parents=True)
        for name, hours in (("request.json", start), ("result.json", stop)):
            (folder / name).write_text("{}")
            os.utime(folder / name, (ago(hours).timestamp(),) * 2)
    cronward.monkeypatch.setenv("COLUMNS", "67")
    times, axis, first, second, _, legend = cronward("timeline", "--since", "6h").out.splitlines()
    assert axis == " " * 7 + re.sub("[^+]", "-", axis[7:])
    assert re.fullmatch(r"tried {20,24}xx{1,3}\.{10,14}#{4,7}", first), first
    assert re.fullmatch(r" {36,39}#{4,7}", second), second
    assert legend == "# completed  x failed  . waiting to be tried again"
    assert re.search(r"\d\d:\d\d", times)
    first_run = cronward.json("timeline", "--since", "6h")["runs"][0]
    assert [attempt["attempt"] for attempt in first_run["attempts"]] == [1, 2]
    assert cronward.json("timeline", "job-tri", "--since", "6h")["runs"] != []
    assert cronward("timeline", "nobody").code == 3


def test_the_runs_of_a_new_home_are_not_all_drawn_in_the_last_column(
    cronward: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    CronStore(cronward.home).add(make_job(id="job-new", name="new"))
    facts = {"started_at": ago(0.5), "finished_at": ago(0.25), "duration": 900 * SECOND, "attempt": 1}
    RunsStore(cronward.home).record(make_run(id="run-new", job_id="job-new", status=Status.COMPLETED, **facts))
    drawn = cronward("timeline").out.splitlines()[2]
    assert drawn.count("#") > 20, drawn
    assert cronward("timeline", "--since", "24h").out.splitlines()[2].count("#") < 3


def test_a_list_on_a_terminal_marks_how_each_last_run_ended(filled: Command) -> None:
    RunsStore(filled.home).record(ended("good", 1, Status.SKIPPED, reason=Reason.OVERLAP))
    CronStore(filled.home).add(make_job(id="job-torn", name="torn", max_runs=1))
    (filled.home / "runs" / "job-torn.jsonl").write_text("{")
    CronStore(filled.home).add(make_job(id="job-over", name="over", max_runs=1))
    RunsStore(filled.home).record(ended("over", 2, id="run-over", job_id="job-over"))
    CronStore(filled.home).add(make_job(id="job-live", name="live"))
    RunsStore(filled.home).record(ended("live", 2, id="run-1", job_id="job-live"))
    goes_on = {"status": Status.RUNNING, "started_at": datetime.now(UTC) - timedelta(minutes=5), "attempt": 1}
    RunsStore(filled.home).record(make_run(id="run-2", job_id="job-live", job_name="live", **goes_on))
    rows = COLOUR.sub("", on_terminal(filled.home, "list", columns=100)).splitlines()
    table = {
        "good": r"in .* \u2713 1 h ago",
        "claude": r"in .* \u2717 auth_failed 2 h ago",
        "torn": r"- +damaged",
        "over": r"- +\u2713 1 h ago",
        "live": r"> running for 5 min",
    }
    for name, wanted in table.items():
        row = next(row for row in rows if f" {name} " in row)
        assert re.search(wanted, row), row
    # Its path may stand on a line of its own, where it is long.
    assert any(row.startswith("Damaged history:") for row in rows)
