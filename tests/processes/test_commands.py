"""What each command prints and stores, without a supervisor; called in this process (tests/command.py)."""

from __future__ import annotations

import io
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.reasons import Reason
from supervisor.__main__ import main
from supervisor.cli.page import standing
from supervisor.models import SECOND, CronRun
from supervisor.status import Status
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.runs import RunsStore
from tests.command import Command, snapshot
from tests.fakes import make_job, make_run

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"
EVIL = "\x1b[2J\x1b]0;owned\x07[red]loud[/red] \u202egnp.exe"
HARMLESS = "\\x1b[2J\\x1b]0;owned\\x07[red]loud[/red] \\u202egnp.exe"


def ended(**fields: object) -> CronRun:
    begun = datetime.now(UTC) - timedelta(minutes=5)
    known = {"started_at": begun, "finished_at": begun + timedelta(seconds=12), "duration": 12 * SECOND, "attempt": 1}
    return make_run(**{"status": Status.COMPLETED, "reason": Reason.OK, **known, **fields})


def test_reading_makes_no_home(cronward: Command) -> None:
    for call in (("list",), ("runs",), ("cron", "list_crons")):
        assert cronward(*call).code == 0
    assert cronward("show", "x").code == 3
    assert cronward("status").code == 4
    assert not cronward.home.exists()


def test_what_add_is_given_is_what_is_stored(cronward: Command, tmp_path: Path) -> None:
    (tmp_path / "prompt").write_text("Line one\nLine two")
    (tmp_path / "work").mkdir()
    given = ["--cron", "0 7 * * *", "--tz", "Europe/Berlin", "--prompt-file", str(tmp_path / "prompt"), "--name", "n"]
    given += ["--command", "cat -n", "--work-dir", f"{tmp_path}/home/../work", "--type", "medium"]
    given += ["--timeout", "90s", "--retries", "1", "--retry-delay", "1500ms", "--output-format", "json", "--disabled"]
    job = cronward.json("add", *given)
    wanted = {
        "name": "n",
        "cron_expr": "0 7 * * *",
        "timezone": "Europe/Berlin",
        "prompt": "Line one\nLine two",
        "agent": "command",
        "command": "cat -n",
        "work_dir": str(tmp_path / "work"),
        "type": "medium",
        "timeout_secs": 90,
        "retries": 1,
        "retry_delay": 1_500_000_000,
        "output_format": "json",
        "enabled": False,
        "next_run": "0001-01-01T00:00:00Z",
    }
    assert {key: job[key] for key in wanted} == wanted
    stored = json.loads((cronward.home / "jobs" / f"{job['id']}.json").read_text())
    assert stored["prompt"] == "Line one\nLine two"
    assert job["created_by"]


def test_a_prompt_can_come_from_standard_input(cronward: Command) -> None:
    assert cronward("add", "--every", "1h", "--prompt-file", "-", "--name", "n", stdin="Grüße\n".encode()).code == 0
    assert cronward.json("show", "n")["prompt"] == "Grüße\n"


def test_a_schema_alone_makes_a_job_structured(cronward: Command) -> None:
    job = cronward.json("add", "--every", "1h", "--prompt", "x", "--output-schema", '{"type": "object"}')
    assert (job["output_format"], job["output_schema"]) == ("structured", '{"type": "object"}')


def test_a_one_shot_is_due_at_its_instant(cronward: Command) -> None:
    job = cronward.json("add", "--at", "2099-01-01 07:00", "--tz", "Asia/Tokyo", "--prompt", "x")
    assert datetime.fromisoformat(job["next_run"]) == datetime(2098, 12, 31, 22, tzinfo=UTC)


def test_pausing_and_resuming_twice_changes_nothing_more(cronward: Command) -> None:
    cronward("add", "--every", "1h", "--prompt", "x", "--name", "n")
    assert cronward("pause", "n").out.startswith("Paused n (")
    paused = snapshot(cronward.home / "jobs")
    assert cronward("pause", "n").code == 0
    assert snapshot(cronward.home / "jobs") == paused
    assert not cronward.json("show", "n")["enabled"]
    assert "Next run in" in cronward("resume", "n").out
    resumed = snapshot(cronward.home / "jobs")
    assert cronward("resume", "n").code == 0
    assert snapshot(cronward.home / "jobs") == resumed


def test_a_removed_job_is_gone_and_its_runs_stay(cronward: Command) -> None:
    job = cronward.json("add", "--every", "1h", "--prompt", "x", "--name", "n")
    RunsStore(cronward.home).record(ended(job_id=job["id"]))
    assert cronward("remove", job["id"][:8]).out == f"Removed n ({job['id']}).\n"
    assert cronward("show", "n").code == 3
    assert cronward.json("list") == []
    assert len(cronward.json("runs", job["id"])) == 1


def test_list_shows_every_job_with_its_latest_run(cronward: Command) -> None:
    store, runs = CronStore(cronward.home), RunsStore(cronward.home)
    store.add(make_job(id="job-a", name="good"))
    store.add(make_job(id="job-b", name="bad", enabled=False))
    runs.record(ended(id="run-a", job_id="job-a"))
    runs.record(ended(id="run-b", job_id="job-b", status=Status.FAILED, reason=Reason.TIMEOUT_WALL, error="Too long."))
    titles, good, bad = cronward("list").out.splitlines()
    assert titles.split() == ["ID", "NAME", "SCHEDULE", "NEXT", "LAST", "RUNS", "AGENT", "PROMPT"]
    assert re.match(r"job-a +good +0 7 \* \* \* +in .* +completed 5 min ago +1 +local +Say hello\.", good)
    assert re.match(r"job-b +bad +0 7 \* \* \* +paused +timeout_wall 5 min ago +1 +local", bad)
    records = cronward.json("list")
    assert [(record["run_count"], record["last_error"]) for record in records] == [(1, ""), (1, "Too long.")]


def test_show_says_the_schedule_in_words(cronward: Command) -> None:
    cronward("add", "--cron", "*/15 9-17 * * mon-fri", "--tz", "Europe/Berlin", "--prompt", "a\nb", "--name", "n")
    out = cronward("show", "n").out
    assert "every 15 minutes of hour 9 to 17 on Monday to Friday (Europe/Berlin)" in out
    assert out.endswith("prompt    a\n          b\n")


def test_runs_are_listed_newest_first_and_chosen_by_status(cronward: Command) -> None:
    runs = RunsStore(cronward.home)
    for number in range(3):
        at = datetime(2026, 11, 24, number, tzinfo=UTC)
        runs.record(ended(id=f"run-{number}", scheduled_at=at, queued_at=at, started_at=at, finished_at=at))
    runs.record(ended(id="run-x", job_id="other", status=Status.FAILED, reason=Reason.AGENT_ERROR, error="Broken."))
    job = make_run().job_id
    assert [run["id"] for run in cronward.json("runs", job)] == ["run-2", "run-1", "run-0"]
    assert [run["id"] for run in cronward.json("runs", job, "--last", "1")] == ["run-2"]
    assert [run["id"] for run in cronward.json("runs", "--status", "failed")] == ["run-x"]
    assert "failed: agent_error" in cronward("runs").out
    assert "Broken." in cronward("runs").out


def test_next_shows_local_time_and_utc_over_a_clock_change(cronward: Command) -> None:
    call = ("next", "--cron", "30 2 * * *", "--tz", "Europe/Berlin", "--from", "2026-03-28 00:00", "-n", "3")
    assert cronward.json(*call) == [
        {"local": "2026-03-28T02:30:00+01:00", "utc": "2026-03-28T01:30:00Z"},
        {"local": "2026-03-29T03:00:00+02:00", "utc": "2026-03-29T01:00:00Z"},
        {"local": "2026-03-30T02:30:00+02:00", "utc": "2026-03-30T00:30:00Z"},
    ]
    assert [pair["utc"] for pair in cronward.json(*call, "--dst", "exact")][1] == "2026-03-30T00:30:00Z"
    assert "2026-03-29 03:00:00+02:00  2026-03-29 01:00:00Z" in cronward(*call).out


def test_an_expression_without_a_zone_is_meant_in_the_hosts(cronward: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    # Over the change of the clock: one offset for all would be wrong on one side of it.
    found = cronward.json("next", "--cron", "0 7 * * *", "--from", "2026-03-28T00:00:00Z", "-n", "2")
    assert [pair["utc"] for pair in found] == ["2026-03-28T06:00:00Z", "2026-03-29T05:00:00Z"]


def test_validate_says_what_an_expression_means(cronward: Command) -> None:
    lines = cronward("validate", "0 7 * * *", "--tz", "UTC").out.splitlines()
    assert lines[0] == "Every day at 07:00 (UTC)."
    assert len(lines) == 5
    found = cronward.json("validate", "@hourly")
    assert (found["words"], len(found["next"])) == ("every hour", 3)


def test_logs_show_every_attempts_answer_and_errors_escaped(cronward: Command) -> None:
    RunsStore(cronward.home).record(ended(id="run-1", attempt=2, status=Status.FAILED, reason=Reason.AGENT_ERROR))
    home = Home.of(cronward.home)
    for attempt, texts in ((1, {"stdout": "half", "answer": "", "stderr": EVIL}), (2, {"answer": f"{EVIL}\nend"})):
        home.log_dir("run-1", attempt).mkdir(parents=True)
        for name, text in texts.items():
            (home.log_dir("run-1", attempt) / name).write_text(text)
    out = cronward("logs", "run-1").out
    assert "\x1b" not in out
    wanted = ["--- attempt 1: output\nhalf\n", f"--- attempt 1: standard error\n{HARMLESS}\n"]
    for text in (*wanted, f"--- attempt 2: answer\n{HARMLESS}\nend\n"):
        assert text in out
    assert cronward("logs", "-f", "run-1").out == out
    attempts = cronward.json("logs", "run-1")["attempts"]
    assert attempts[0] == {"attempt": 1, "answer": "", "stdout": "half", "stderr": EVIL}
    assert attempts[1]["answer"] == f"{EVIL}\nend"


def test_an_answer_is_shown_whole_over_the_edges_of_pieces(cronward: Command) -> None:
    RunsStore(cronward.home).record(ended(id="run-1"))
    folder = Home.of(cronward.home).log_dir("run-1", 1)
    folder.mkdir(parents=True)
    (folder / "answer").write_text("x" + "\u20ac" * 100_000)
    assert "x" + "\u20ac" * 100_000 + "\n" in cronward("logs", "run-1").out
    (folder / "answer").unlink()
    (folder / "answer").symlink_to("/etc/passwd")
    assert "root:" not in cronward("logs", "run-1").out


def test_stored_text_is_never_read_as_markup_nor_by_the_terminal(cronward: Command) -> None:
    CronStore(cronward.home).add(make_job(name=f"n{EVIL}"[:64], prompt=EVIL, created_by=EVIL))
    RunsStore(cronward.home).record(ended(job_name=EVIL, response=EVIL, error=EVIL, log_dir=EVIL))
    calls = (("list",), ("runs",), ("cron", "list_crons"), ("recap",), ("timeline",))
    for call in (*calls, ("show", make_job().id), ("logs", make_run().id)):
        out = cronward(*call).out
        assert "\x1b" not in out, call
        assert "\u202e" not in out, call
        assert "[red]loud[/red]" in out, call
        assert cronward(*call, "--json").out.isascii()


def test_what_cannot_be_read_is_said_beside_the_list(cronward: Command) -> None:
    cronward("add", "--every", "1h", "--prompt", "x", "--name", "n")
    (cronward.home / "jobs" / "broken.json").write_text("{")
    before = snapshot(cronward.home)
    said = cronward("list")
    assert " n " in said.out
    assert said.err.startswith("Left out: ")
    assert snapshot(cronward.home) == before


def test_the_originals_verbs_say_what_they_always_said(cronward: Command) -> None:
    assert cronward("cron", "list_crons").out == "No cron jobs found.\n"
    add = ("--cron", "0 */30 * * * *", "--prompt", "Audit the logs", "--timeout", "45", "--retries", "2", "--disabled")
    made = cronward("cron", "add_cron", *add, "--type", "medium", "--work-dir", str(cronward.home.parent / "no-such"))
    assert made.code == 2
    made = cronward("cron", "add_cron", *add, "--type", "medium")
    found = re.fullmatch(rf"Cron job created: ({UUID})\n", made.out)
    assert found
    job_id = found[1]
    job = cronward.json("show", job_id)
    assert (job["timeout_mins"], job["retries"], job["type"], job["enabled"]) == (45, 2, "medium", False)
    assert cronward("cron", "list_runs", "--job-id", job_id).out == "No runs found.\n"
    assert cronward("cron", "resume_cron", "--id", job_id).out == f"Cron job resumed: {job_id}\n"
    assert cronward("cron", "pause_cron", "--id", job_id).out == f"Cron job paused: {job_id}\n"
    titles, row = cronward("cron", "list_crons").out.splitlines()
    assert re.split(r"  +", titles) == ["ID", "CRON", "PROMPT", "ENABLED", "TYPE", "LAST RUN", "NEXT RUN"]
    assert re.split(r"  +", row) == [job_id, "0 */30 * * * *", "Audit the logs", "false", "medium", "-", "-"]
    RunsStore(cronward.home).record(ended(job_id=job_id, retry_count=1))
    titles, row = cronward("cron", "list_runs", "--job-id", job_id).out.splitlines()
    assert re.split(r"  +", titles) == ["RUN ID", "STATUS", "STARTED AT", "DURATION", "ERROR", "RETRIES"]
    assert re.split(r"  +", row)[1:] == ["completed", row.split()[2], "12 s", "-", "1"]
    assert cronward("cron", "del_cron", "--id", job_id).out == f"Cron job deleted: {job_id}\n"


def test_the_originals_defaults_are_its_own(cronward: Command) -> None:
    job = cronward.json("cron", "add_cron", "--cron", "*/30 * * * *", "--prompt", "x")
    assert (job["timeout_mins"], job["timeout_secs"], job["retries"], job["type"]) == (30, None, 3, "light")


def test_every_command_has_help_with_an_example(cronward: Command) -> None:
    out = cronward("--help").out
    commands = re.findall(r"^  ([a-z][a-z-]+)  ", out[out.index("Commands:") :], re.MULTILINE)
    assert len(commands) == 39
    assert not re.search(r"\.\.\.$", out[out.index("Commands:") :], re.MULTILINE), "let its first sentence be shorter"
    for name in commands:
        said = cronward(name, "--help")
        assert said.code == 0
        assert not re.search(r"\.\.\.$", said.out.partition("Commands:")[2], re.MULTILINE), name
        assert (
            name in ("agents", "config", "cron", "notify", "outbox", "secret", "service", "sessions")
            or f"Example: cronward {name}" in said.out
        )
    for name in ("set", "list", "remove"):
        assert f"Example: cronward secret {name}" in cronward("secret", name, "--help").out
    for group, name in (("outbox", "list"), ("outbox", "retry"), ("outbox", "drop"), ("notify", "test")):
        assert f"Example: cronward {group} {name}" in cronward(group, name, "--help").out


def test_a_command_that_is_made_of_commands_shows_its_help_where_none_is_named(cronward: Command) -> None:
    for name in ("agents", "config", "cron", "notify", "outbox", "secret", "service", "sessions"):
        alone = cronward(name)
        assert (alone.code, alone.out) == (0, cronward(name, "--help").out), name
    assert not cronward.home.exists()


def test_logs_of_a_job_are_those_of_its_live_run_else_of_its_latest_and_cancel_asks_for_the_run(
    cronward: Command,
) -> None:
    job = cronward.json("add", "--every", "1h", "--prompt", "x", "--name", "hourly")
    assert "has not run yet. Run it now with: cronward run hourly" in cronward("logs", "hourly").err
    runs, about = RunsStore(cronward.home), {"job_id": job["id"], "job_name": "hourly"}
    runs.record(ended(id="run-older", **about))
    runs.record(make_run(id="run-skipped", status=Status.SKIPPED, reason=Reason.OVERLAP, **about))
    assert cronward.json("logs", "hourly")["run"]["id"] == "run-older"
    cancelling = cronward("cancel", "hourly")
    assert cancelling.code == 4, "without a supervisor there is nothing to cancel"
    begun = datetime.now(UTC) - timedelta(hours=1)
    runs.record(make_run(id="run-live", status=Status.RUNNING, started_at=begun, attempt=1, **about))
    runs.record(ended(id="run-newer", **about))
    assert cronward.json("logs", "hourly")["run"]["id"] == "run-live"
    assert cronward("logs", "nobody").err.startswith("cronward: There is no run 'nobody'")


def test_a_time_that_is_past_is_asked_for_as_it_may_be_written(cronward: Command) -> None:
    for text in ("5x", "yesterday", "8 hours", ""):
        said = cronward("timeline", "--since", text)
        assert said.code == 2
        assert "write how long ago, like 8h or 7d, or when" in said.err, text
    for text in ("8h", "7d", "2026-01-01 07:00", "20260101T070000Z", "2026-01-01T07:00:00+01:00"):
        assert cronward("timeline", "--since", text).code == 0, text


def test_limits_are_shown_as_they_were_given(cronward: Command) -> None:
    cronward("add", "--every", "1h", "--prompt", "x", "--name", "n", "--timeout", "100s")
    assert re.search(r"limits +light, 1m40s in all", cronward("show", "n").out)


def test_a_wrong_option_points_to_the_help(cronward: Command) -> None:
    assert cronward("lst").err == "cronward: No such command 'lst'. Did you mean 'list'? See: cronward --help\n"
    assert cronward("show").err.endswith("See: cronward show --help\n")


def test_the_version_is_told_without_the_command_line_library(capsys: pytest.CaptureFixture[str]) -> None:
    from supervisor import __version__

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cronward {__version__}\n"


def test_every_status_has_a_look() -> None:
    assert {standing(make_run(status=status)).text for status in Status} == set(Status)


def test_a_list_on_a_terminal_shows_what_goes_on_by_its_note_and_by_its_history(cronward: Command) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def shown() -> str:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COLUMNS", "100")
            patch.setenv("NO_COLOR", "1")
            patch.setattr(sys, "stdout", Terminal())
            assert main(["--home", str(cronward.home), "list"]) == 0
            assert isinstance(sys.stdout, Terminal)
            return sys.stdout.getvalue()

    CronStore(cronward.home).add(make_job(name="n"))
    begun = datetime.now(UTC) - timedelta(minutes=3)
    RunsStore(cronward.home).record(ended())
    RunsStore(cronward.home).record(make_run(id="live", status=Status.RUNNING, started_at=begun, attempt=1))
    noted = shown()
    assert "> running for 3 min" in noted
    for note in Home(cronward.home).sums.iterdir():
        note.unlink()
    assert shown() == noted
    assert "completed 5 min ago" in cronward("list").out


def test_a_list_needs_no_config_but_one_that_is_named_must_be_there(cronward: Command) -> None:
    cronward("add", "--every", "1h", "--prompt", "x")
    assert cronward("list").code == 0
    assert cronward("list", "--config", str(cronward.home / "none")).code == 2
