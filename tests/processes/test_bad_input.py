"""Bad input of every command: a sentence, the right exit code, and a home that is byte for byte as it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.control.routes import answer
from supervisor.cronscheduler import CronScheduler
from supervisor.status import Status
from supervisor.stores.jobs import CronStore
from supervisor.stores.runs import RunsStore
from tests.command import Command, snapshot
from tests.fakes import make_job, make_run
from tests.lacks import need

FAILED, USAGE, NOT_FOUND, UNREACHABLE, REFUSED = 1, 2, 3, 4, 5
BIG = 10 * 1000 * 1000
ADD = ("add", "--every", "1h", "--prompt", "x")
REFS = ("nobody", "../../etc/passwd", "", ".", "..", "/", "a/b", "x" * 5000, "a\nb\x1b[31m", "\u202e", "*", "-", "%2e")
NO_REF = {
    "show": ("show", "{}"),
    "edit": ("edit", "--prompt", "x", "--", "{}"),
    "why": ("why", "{}"),
    "pause": ("pause", "{}"),
    "resume": ("resume", "{}"),
    "remove": ("remove", "{}"),
    "next": ("next", "{}"),
    "runs": ("runs", "{}"),
    "logs": ("logs", "{}"),
    "logs -f": ("logs", "-f", "{}"),
    "logs --json": ("logs", "--json", "{}"),
    "del_cron": ("cron", "del_cron", "--id", "{}"),
    "pause_cron": ("cron", "pause_cron", "--id", "{}"),
    "resume_cron": ("cron", "resume_cron", "--id", "{}"),
    "list_runs": ("cron", "list_runs", "--job-id", "{}"),
}
EXPRESSIONS = (
    "",
    " ",
    "* * * *",
    "* * * * * * *",
    "61 * * * *",
    "* * * * mon-",
    "*/0 * * * *",
    "-1 * * * *",
    "99999999999999999999 * * * *",
    "0 0 31 2 *",
    "@never",
    "@every",
    "@every x",
    "TZ=Mars/Base * * * * *",
    "0 0 * * *; rm -rf /",
    "\x1b[31m * * * *",
    "\u0660 * * * *",
    "* " * 5000,
)
ZONES = ("", "Mars/Base", "../../etc/passwd", "/etc/localtime", "europe/berlin", "UTC+1", "localtime", "x" * 5000)
SCHEMAS = (
    "",
    "{",
    "[]",
    "7",
    '{"type": "nonsense"}',
    '{"type": 7}',
    "@",
    "@/nowhere",
    "@/",
    '{"$ref": "http://x/y"}',
    "[" * 100_000,
)


def wrong_calls() -> Iterator[tuple[str, int, tuple[str, ...]]]:
    for name, call in NO_REF.items():
        for number, ref in enumerate(REFS):
            yield f"{name} {number}", NOT_FOUND, tuple(ref if word == "{}" else word for word in call)
    for number, expr in enumerate(EXPRESSIONS):
        yield f"add --cron {number}", USAGE, ("add", "--cron", expr, "--prompt", "x")
        yield f"add_cron {number}", USAGE, ("cron", "add_cron", "--cron", expr, "--prompt", "x")
        yield f"validate {number}", USAGE, ("validate", "--", expr)
        yield f"next --cron {number}", USAGE, ("next", "--cron", expr)
    for number, zone in enumerate(ZONES):
        yield f"add --tz {number}", USAGE, ("add", "--cron", "0 7 * * *", "--prompt", "x", "--tz", zone)
        yield f"add --at --tz {number}", USAGE, ("add", "--at", "2099-01-01 07:00", "--prompt", "x", "--tz", zone)
        yield f"next --tz {number}", USAGE, ("next", "--cron", "0 7 * * *", "--tz", zone)
        yield f"validate --tz {number}", USAGE, ("validate", "0 7 * * *", "--tz", zone)
    for number, policy in enumerate(POLICIES):
        yield f"add {number} {policy[0]}", USAGE, (*ADD, *policy)
        yield f"edit {number} {policy[0]}", USAGE, ("edit", "kept", *policy)
    for number, schema in enumerate(SCHEMAS):
        yield f"schema {number}", USAGE, (*ADD, "--output-schema", schema)
    yield from ((f"{' '.join(map(repr, call))[:60]}", code, call) for code, call in SINGLES)


# Refused of a new job as well as of an edit.
POLICIES: tuple[tuple[str, ...], ...] = (
    ("--overlap", "maybe"),
    ("--catch-up", "twice"),
    ("--grace", "-1s"),
    ("--grace", "1500ms"),
    ("--grace", "500d"),
    ("--jitter", "2d"),
    ("--jitter", "soon"),
    ("--dst", "never"),
    ("--start", "tomorrow"),
    ("--start", "2099-01-01T00:00:00Z", "--until", "2098-01-01T00:00:00Z"),
    ("--until", "2001-01-01T00:00:00Z"),
    ("--until", "2099-01-01 07:00", "--tz", "Mars/Base"),
    ("--max-runs", "-1"),
    ("--max-runs", "few"),
    ("--disable-after", "-1"),
    ("--disable-after", "5000"),
    ("--disable-after", "\u0663"),
    ("--on-complete", "ftp://x"),
    ("--on-fail", "x" * 5000),
    ("--notify-on", "everything"),
    ("--notify", "nobody"),
    ("--ping", "ftp://x"),
    ("--on-fail", "http://169.254.169.254/latest"),
    ("--notify-on", "all", "--notify-on", "failed"),
    ("--silent=maybe",),
)
SINGLES: tuple[tuple[int, tuple[str, ...]], ...] = (
    (USAGE, ("edit", "kept")),
    (USAGE, ("edit", "kept", "--disabled")),
    (USAGE, ("edit", "kept", "--prompt", "")),
    (USAGE, ("edit", "kept", "--cron", "0 7 * * *", "--every", "1h")),
    (USAGE, ("edit", "kept", "--at", "2001-01-01T00:00:00Z")),
    (USAGE, ("edit", "kept", "--command", "/nowhere/program")),
    (USAGE, ("pause", "kept", "--reason", "a\x1bb")),
    (USAGE, ("pause", "kept", "--reason", "x" * 501)),
    (USAGE, ("nonsense",)),
    (USAGE, ("list", "--nonsense")),
    (USAGE, ("list", "too", "many")),
    (USAGE, ("add",)),
    (USAGE, ("add", "--prompt", "x")),
    (USAGE, ("add", "--every", "1h")),
    (USAGE, ("add", "--every", "1h", "--cron", "* * * * *", "--prompt", "x")),
    (USAGE, (*ADD, "--prompt-file", "/etc/hostname")),
    (USAGE, ("add", "--every", "0s", "--prompt", "x")),
    (USAGE, ("add", "--every", "1ms", "--prompt", "x")),
    (USAGE, ("add", "--every=-1h", "--prompt", "x")),
    (USAGE, ("add", "--every", "9" * 60 + "h", "--prompt", "x")),
    (USAGE, ("add", "--every", "1h * * * *", "--prompt", "x")),
    (USAGE, ("add", "--at", "2001-01-01T00:00:00Z", "--prompt", "x")),
    (USAGE, ("add", "--at", "tomorrow", "--prompt", "x")),
    (USAGE, ("add", "--at", "+0s", "--prompt", "x")),
    (USAGE, ("add", "--at", "9999-12-31T23:59:59-14:00", "--prompt", "x")),
    (USAGE, ("add", "--every", "1h", "--prompt", "")),
    (USAGE, ("add", "--every", "1h", "--prompt", " \n")),
    (USAGE, ("add", "--every", "1h", "--prompt", "x" * BIG)),
    (USAGE, ("add", "--every", "1h", "--prompt", "\u20ac" * 100_000)),
    (USAGE, ("add", "--every", "1h", "--prompt", "a\x1b[31mb")),
    (USAGE, ("add", "--every", "1h", "--prompt", "a\0b")),
    (USAGE, ("add", "--every", "1h", "--prompt", "a\udcffb")),
    (USAGE, ("add", "--every", "1h", "--prompt-file", "/nowhere")),
    (USAGE, ("add", "--every", "1h", "--prompt-file", "/")),
    (USAGE, ("add", "--every", "1h", "--prompt-file", "/dev/zero")),
    (USAGE, ("add", "--every", "1h", "--prompt-file", "")),
    (USAGE, ("add", "--every", "1h", "--prompt-file", "a\0b")),
    (USAGE, (*ADD, "--name", "x" * 65)),
    (USAGE, (*ADD, "--name", "a\x1bb")),
    (USAGE, (*ADD, "--agent", "nobody")),
    (USAGE, (*ADD, "--agent", "../../bin/sh")),
    (USAGE, (*ADD, "--agent", "command")),
    (USAGE, (*ADD, "--agent", "local", "--command", "true")),
    (USAGE, (*ADD, "--command", "")),
    (USAGE, (*ADD, "--command", "'")),
    (USAGE, (*ADD, "--command", "/nowhere/program")),
    (USAGE, (*ADD, "--command", "no-such-program-anywhere")),
    (USAGE, (*ADD, "--command", "/etc/passwd")),
    (USAGE, (*ADD, "--work-dir", "/nowhere")),
    (USAGE, (*ADD, "--work-dir", "")),
    (USAGE, (*ADD, "--work-dir", "/")),
    (USAGE, (*ADD, "--work-dir", "/etc/passwd")),
    (USAGE, (*ADD, "--type", "heavy")),
    (USAGE, (*ADD, "--type", "")),
    (USAGE, (*ADD, "--timeout", "0s")),
    (USAGE, (*ADD, "--timeout=-5m")),
    (USAGE, (*ADD, "--timeout", "30")),
    (USAGE, (*ADD, "--timeout", "1.5ms")),
    (USAGE, (*ADD, "--timeout", "8d")),
    (USAGE, (*ADD, "--timeout", "9" * 40 + "h")),
    (USAGE, (*ADD, "--retries=-1")),
    (USAGE, (*ADD, "--retries", "21")),
    (USAGE, (*ADD, "--retries", "9" * 40)),
    (USAGE, (*ADD, "--retries", "9" * 5000)),
    (USAGE, (*ADD, "--retries", "three")),
    (USAGE, (*ADD, "--retry-delay", "25h")),
    (USAGE, (*ADD, "--retry-delay=-1s")),
    (USAGE, (*ADD, "--retry-delay", "soon")),
    (USAGE, (*ADD, "--output-format", "xml")),
    (USAGE, (*ADD, "--output-format", "structured")),
    (USAGE, (*ADD, "--output-format", "json", "--output-schema", "{}")),
    (USAGE, ("next",)),
    (USAGE, ("next", "kept", "--cron", "* * * * *")),
    (USAGE, ("next", "kept", "--dst", "exact")),
    (USAGE, ("next", "kept", "-n", "0")),
    (USAGE, ("next", "kept", "-n=-1")),
    (USAGE, ("next", "kept", "-n", "1000000")),
    (USAGE, ("next", "kept", "-n", "many")),
    (USAGE, ("next", "kept", "--from", "yesterday")),
    (USAGE, ("next", "kept", "--tz", "Mars/Base")),
    (USAGE, ("next", "--cron", "* * * * *", "--dst", "twice")),
    (USAGE, ("runs", "--last", "0")),
    (USAGE, ("runs", "--last=-1")),
    (USAGE, ("runs", "--last", "9" * 30)),
    (USAGE, ("runs", "--status", "excellent")),
    (USAGE, ("validate",)),
    (USAGE, ("cron", "nonsense")),
    (USAGE, ("cron", "add_cron", "--cron", "* * * * *")),
    (USAGE, ("cron", "add_cron", "--prompt", "x")),
    (USAGE, ("cron", "add_cron", "--cron", "* * * * *", "--prompt", "x", "--timeout=-1")),
    (USAGE, ("cron", "add_cron", "--cron", "* * * * *", "--prompt", "x", "--timeout", "9" * 30)),
    (USAGE, ("cron", "add_cron", "--cron", "* * * * *", "--prompt", "x", "--type", "heavy")),
    (USAGE, ("cron", "add_cron", "--cron", "* * * * *", "--prompt", "x", "--retries", "99")),
    (USAGE, ("cron", "add_cron", "--cron", "* * * * *", "--prompt", "x", "--work-dir", "/nowhere")),
    (USAGE, ("cron", "list_runs", "--job-id", "kept", "--last", "0")),
    (USAGE, ("list", "--home", "/x", "--config")),
    (REFUSED, (*ADD, "--name", "kept")),
    (UNREACHABLE, ("run", "kept")),
    (UNREACHABLE, ("run", "kept", "--wait")),
    (UNREACHABLE, ("run", "nobody")),
    (UNREACHABLE, ("cancel", "99999999")),
    (UNREACHABLE, ("ps",)),
    (UNREACHABLE, ("stop",)),
    (UNREACHABLE, ("stop", "--now")),
)
CALLS = list(wrong_calls())


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a job called "kept" and a run of it."""
    home = tmp_path_factory.mktemp("lived-in") / "home"
    CronStore(home).add(make_job(name="kept"))
    RunsStore(home).record(make_run(status=Status.COMPLETED))
    return home


@pytest.fixture
def cronward(
    lived_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    for name in ("CRONWARD_HOME", "CRONWARD_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    shutil.copytree(lived_in, tmp_path / "home")
    (tmp_path / "home").chmod(0o700)
    return Command(tmp_path / "home", capsys, monkeypatch)


def check(cronward: Command, code: int, *call: str, stdin: bytes = b"") -> str:
    """The sentence that a wrong call gets."""
    before = snapshot(cronward.home)
    said = cronward(*call, stdin=stdin)
    assert said.code == code, said
    assert said.err.startswith("cronward: ")
    # One line, not a page: also where the value itself was ten megabytes of escapes.
    assert said.err.count("\n") == 1
    assert said.err.endswith("\n")
    assert 20 < len(said.err) < 1500
    assert said.err[:-1].isprintable()
    assert "Traceback" not in said.err
    assert said.out == ""
    assert snapshot(cronward.home) == before
    return said.err


@pytest.mark.parametrize(("code", "call"), [pytest.param(*rest, id=name) for name, *rest in CALLS])
def test_a_wrong_call_gets_a_sentence_and_changes_nothing(cronward: Command, code: int, call: tuple[str, ...]) -> None:
    check(cronward, code, *call)


def test_a_status_without_a_supervisor_says_so_and_still_shows_what_there_is(cronward: Command) -> None:
    before = snapshot(cronward.home)
    said = cronward("status")
    assert said.code == UNREACHABLE
    assert "1, 1 of them enabled" in said.out
    assert said.err.startswith("cronward: No supervisor is running for the home ")
    assert snapshot(cronward.home) == before


@pytest.mark.parametrize(
    "data", [b"", b"\n", b"a\0b", b"\xff\xfe", b"\x80", b"x" * BIG, os.urandom(1 << 16), b"\xe2\x82", b"a\x1b[31m"]
)
def test_a_prompt_file_that_is_no_prompt_is_refused(cronward: Command, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "prompt").write_bytes(data)
    check(cronward, USAGE, "add", "--every", "1h", "--prompt-file", str(tmp_path / "prompt"))
    check(cronward, USAGE, "add", "--every", "1h", "--prompt-file", "-", stdin=data)


def test_a_prompt_file_that_never_ends_is_not_waited_for(cronward: Command, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    check(cronward, USAGE, "add", "--every", "1h", "--prompt-file", str(tmp_path / "pipe"))


def test_a_schema_file_that_is_too_large_is_refused(cronward: Command, tmp_path: Path) -> None:
    (tmp_path / "schema").write_bytes(b'{"title": "' + b"x" * BIG + b'"}')
    check(cronward, USAGE, *ADD, "--output-schema", f"@{tmp_path / 'schema'}")


@pytest.mark.parametrize(
    "text",
    [
        "max_concurent = 3",
        "max_concurrent = 'three'",
        "max_concurrent = ",
        "[limits.gigantic]\nmemory = '1GiB'",
        "[limits.light]\nmemory = '1 elephant'",
        "\x00",
        "x" * (2 << 20),
    ],
)
@pytest.mark.parametrize("call", [ADD, ("list",), ("doctor",), ("supervise",), ("pause", "kept")], ids=lambda c: c[0])
def test_a_wrong_config_is_refused_by_every_command_that_reads_it(
    cronward: Command, tmp_path: Path, text: str, call: tuple[str, ...]
) -> None:
    (tmp_path / "c.toml").write_text(text)
    check(cronward, USAGE, *call, "--config", str(tmp_path / "c.toml"))


def test_a_config_that_is_named_must_be_there(cronward: Command, tmp_path: Path) -> None:
    check(cronward, USAGE, "list", "--config", str(tmp_path / "none"))
    check(cronward, USAGE, "list", "--config", str(tmp_path))


def test_a_home_that_cannot_be_is_refused(cronward: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        said = cronward("--home", str(place), *ADD)
        assert said.code in (FAILED, REFUSED)
        assert said.err.startswith("cronward: ")
        assert said.err.count("\n") == 1
    assert (tmp_path / "file").read_text() == "mine"


@need("root")
def test_a_home_of_somebody_elses_is_refused_at_once(cronward: Command, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 65534, 65534)
    before = time.monotonic()
    said = cronward("--home", str(tmp_path / "theirs"), *ADD)
    assert said.code == REFUSED
    assert "belongs to" in said.err
    assert time.monotonic() - before < 8  # the wait for a lock is ten seconds
    assert list((tmp_path / "theirs").iterdir()) == []


def test_a_removed_jobs_runs_cannot_be_reached_through_a_path(cronward: Command) -> None:
    check(cronward, NOT_FOUND, "runs", "../runs/11111111-0000-4000-8000-000000000001")
    check(cronward, NOT_FOUND, "show", "../jobs/11111111-0000-4000-8000-000000000001")


BODIES: tuple[dict[str, object], ...] = (
    {"cron_expr": 5},
    {"cron_expr": None},
    {"cron_expr": "61 * * * *"},
    {"at": "2099-01-01T00:00:00Z"},
    {"cron_expr": "", "at": "9999-12-31T23:59:59-14:00"},
    {"cron_expr": "", "at": "2099-01-01T00:00:00"},
    {"cron_expr": "", "at": 10**39},
    {"cron_expr": "", "at": "2001-01-01T00:00:00Z"},
    {"start": "9999-12-31T23:59:59-14:00"},
    {"until": "0001-01-01T00:00:00+14:00"},
    {"timezone": "../../etc/passwd"},
    {"timezone": 1},
    {"dst": "twice"},
    {"prompt": None},
    {"prompt": ["x"]},
    {"prompt": ""},
    {"prompt": "a\x00b"},
    {"prompt": "a\ud800b"},
    {"prompt": "x" * (256 * 1024 + 1)},
    {"id": "../../etc/passwd"},
    {"id": ""},
    {"id": "x" * 65},
    {"id": "11111111-0000-4000-8000-000000000001"},
    {"name": "kept"},
    {"name": "a\nb"},
    {"work_dir": "relative"},
    {"work_dir": "/nowhere\x00"},
    {"work_dir": "/" + "x" * 5000},
    {"agent": "nobody"},
    {"agent": "local", "command": "true"},
    {"type": "heavy"},
    {"timeout_mins": -1},
    {"timeout_mins": 10**30},
    {"timeout_secs": 0},
    {"timeout_secs": 1.5},
    {"retries": "many"},
    {"retries": []},
    {"retry_delay": -1},
    {"retry_delay": 10**39},
    {"jitter_secs": -1},
    {"grace_secs": -1},
    {"max_runs": 0},
    {"output_format": "xml"},
    {"output_format": "structured"},
    {"output_format": "structured", "output_schema": "{"},
    {"output_format": "structured", "output_schema": '{"$ref": "file:///etc/passwd"}'},
    {"notify_on": ["everything"]},
    {"notify_on": "failed"},
    {"on_fail": "file:///etc/passwd"},
    {"enabled": "perhaps"},
    {"created_at": "2026-01-01T00:00:00Z"},
    {"run_count": 7},
    {"unheard_of": 1},
)


@pytest.mark.parametrize("wrong", BODIES, ids=lambda wrong: repr(wrong)[:60])
def test_a_wrong_job_over_the_api_gets_a_sentence_and_changes_nothing(
    cronward: Command, wrong: dict[str, object]
) -> None:
    desk = CronScheduler(CronStore(cronward.home))
    before = snapshot(cronward.home)
    body = json.dumps({"cron_expr": "@daily", "prompt": "x", **wrong}).encode()
    found = answer(desk, "POST", "/v1/jobs", body)
    said = json.loads(b"".join(found.body))
    assert found.status in (400, 409), said
    assert 20 < len(said["error"]) < 1500
    assert snapshot(cronward.home) == before


@pytest.mark.parametrize(
    ("code", "call"),
    [
        (USAGE, ("add", "--cron", "61 * * * *", "--prompt", "x")),
        (USAGE, ("list", "--nonsense")),
        (NOT_FOUND, ("show", "../../etc/passwd")),
        (UNREACHABLE, ("run", "kept")),
    ],
)
def test_the_real_process_says_the_same(cronward: Command, code: int, call: tuple[str, ...]) -> None:
    before = snapshot(cronward.home)
    argv = [sys.executable, "-m", "supervisor", "--home", str(cronward.home), *call]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.startswith("cronward: ")
    assert done.stderr.count("\n") == 1
    assert snapshot(cronward.home) == before


def test_bytes_that_are_no_text_are_refused_as_arguments(cronward: Command) -> None:
    before = snapshot(cronward.home)
    argv = [os.fsencode(arg) for arg in (sys.executable, "-m", "supervisor", "--home", cronward.home, *ADD[:-1])]
    argv.append(b"a\xffb")
    done = subprocess.run(argv, capture_output=True, timeout=30, check=False)
    assert done.returncode == USAGE
    assert done.stderr.startswith(b"cronward: The argument")
    assert snapshot(cronward.home) == before
