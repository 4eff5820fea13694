"""A crontab as cron reads it, its lines as jobs, and jobs as its lines."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from supervisor.config import Config
from supervisor.definitions.definition import define, setting_of
from supervisor.errors import InvalidError
from supervisor.models import CronJob
from supervisor.moving.cronlines import crontab_of
from supervisor.moving.crontab import Line, Refused, read_crontab
from supervisor.moving.shelljob import draft_of, line_of, names_for
from supervisor.stores.home import Home
from tests.fakes import NOON, make_job

SETTING = setting_of(Home(Path("/nowhere/cronward")), Config())


def line(text: str) -> Line:
    (found,) = read_crontab(text.encode())
    assert isinstance(found, Line), found
    return found


def script(text: str) -> str:
    """What the shell of a line's job is given."""
    shell, flag, given = shlex.split(draft_of(line(text), "n").draft["command"])
    assert (shell, flag) == ("sh", "-c")
    return given


def job_of(text: str, **fields: object) -> CronJob:
    return define({**draft_of(line(text), "n").draft, **fields}, SETTING, NOON)


def test_lines_are_read_as_cron_does() -> None:
    table = {
        "0 5 * * 1 tar -zcf a.tgz /home/": ("0 5 * * 1", "tar -zcf a.tgz /home/", None),
        "  */15\t*  * * mon-fri   a  b ": ("*/15 * * * mon-fri", "a  b", None),
        "@Daily x": ("@daily", "x", None),
        "* * * * * A=1 cmd": ("* * * * *", "A=1 cmd", None),
        "0 1 * * * date +\\%H:\\%M": ("0 1 * * *", "date +%H:%M", None),
        "0 1 * * * cat%one%two\\%": ("0 1 * * *", "cat", "one\ntwo%\n"),
        "0 1 * * * x # no comment": ("0 1 * * *", "x # no comment", None),
        "0 1 * * * x\r": ("0 1 * * *", "x", None),
    }
    for text, wanted in table.items():
        found = line(text)
        assert (found.expr, found.command, found.stdin) == wanted, text


def test_a_variable_holds_for_the_lines_below_it() -> None:
    text = 'A=1\n* * * * * x\n  B = \'b c\' \n"C"=""\nA=2\n# A=3\n\n* * * * * y\n'
    first, second = read_crontab(text.encode())
    assert isinstance(first, Line)
    assert isinstance(second, Line)
    assert (first.number, dict(first.env)) == (2, {"A": "1"})
    assert (second.number, dict(second.env)) == (8, {"A": "2", "B": "b c", "C": ""})


def test_a_line_that_cannot_be_a_job_is_refused_with_its_reason() -> None:
    table = {
        "@reboot x": "@reboot is no time",
        "garbage": "neither a variable nor",
        "* * * * *": "neither a variable nor",
        "* * * * * %stdin": "no command",
        "0 0 1 1 * " + "x" * 9000: "9010 characters",
    }
    for text, words in table.items():
        (found,) = read_crontab(text.encode())
        assert isinstance(found, Refused), text
        assert words in found.problem, text
    (found,) = read_crontab(b"* * * * * root", system=True)
    assert isinstance(found, Refused)


def test_what_is_no_crontab_is_refused_whole() -> None:
    for data, words in {b"\0": "binary", b"\xff": "UTF-8", b"x" * (2 << 20): "MiB", b"\n" * 20_000: "lines"}.items():
        with pytest.raises(InvalidError, match=words):
            list(read_crontab(data))


def test_a_system_crontab_names_a_user() -> None:
    (found,) = read_crontab(b"0 1 * * * root run-parts x", system=True)
    assert isinstance(found, Line)
    assert (found.user, found.command) == ("root", "run-parts x")


def test_a_line_becomes_an_explicit_shell_with_nothing_to_read() -> None:
    assert script("0 1 * * * a | b > c") == "exec </dev/null; a | b > c"
    assert script("G='it''s'\nX=a b\n0 1 * * * a") == "exec </dev/null; export G='it'\"'\"''\"'\"'s' X='a b'; a"
    assert script("0 1 * * * cat%in") == "cat"
    job = job_of("0 1 * * * cat%in%put")
    assert (job.prompt, job.enabled, job.network, job.retries) == ("in\nput\n", False, "none", 0)
    assert "may still run" in job.pause_reason


def test_variables_of_crons_own_are_not_exported() -> None:
    text = "MAILTO=a\nCRON_TZ=Asia/Tokyo\nRANDOM_DELAY=5\nSHELL=/bin/bash\nHOME=/home/a\n0 1 * * * x"
    moved = draft_of(line(text), "n")
    assert moved.draft["command"] == "/bin/bash -c 'exec </dev/null; x'"
    assert (moved.draft["timezone"], moved.draft["jitter_secs"]) == ("Asia/Tokyo", 300)


def test_what_looks_like_a_secret_never_gets_onto_a_command_line() -> None:
    for name in ("DB_PASSWORD", "API_TOKEN", "AWS_SECRET_ACCESS_KEY", "key", "PGPASSWORD"):
        moved = draft_of(line(f"{name}=hunter2\n0 1 * * * x"), "n")
        assert "hunter2" not in str(moved.draft), name
        assert any(f"secret set {name}" in text for text in moved.lost), name
    assert draft_of(line("MONKEY=1\n0 1 * * * x"), "n").draft["command"].count("MONKEY=1") == 1


def test_it_is_said_what_a_cell_takes_away() -> None:
    table = {
        "0 1 * * * x": "no mail is sent",
        "HOME=/h\n0 1 * * * x": "HOME is the cell's own",
        "0 1 * * * ~/bin/x": "names your home",
        "0 1 * * * cat $HOME/x": "names your home",
        "0 1 * * * /usr/bin/curl -s x|y": "it calls curl, and reaches no network",
    }
    for text, words in table.items():
        assert any(words in said for said in draft_of(line(text), "n").lost), text
    assert draft_of(line('MAILTO=""\n0 1 * * * x https://a/ping'), "n").lost == []


def test_days_that_cron_means_otherwise_are_refused() -> None:
    for expr in ("0 0 */2 * 1", "0 0 1 * */2"):
        with pytest.raises(InvalidError, match="have to fit both"):
            draft_of(line(f"{expr} x"), "n")
    for expr in ("0 0 */2 * *", "0 0 1 * 1", "0 0 * * 1", "0 0 1-31 * 1", "0 0 * * */2"):
        draft_of(line(f"{expr} x"), "n")


def test_names_are_those_of_the_programs_and_each_is_one_jobs() -> None:
    commands = [
        "/usr/local/bin/backup.sh --all",
        "cd /x && ./run",
        "A=1 backup.sh",
        "  'odd name'",
        "((",
        "sudo nice x",
    ]
    lines = [Line(at, "@daily", command) for at, command in enumerate(commands)]
    assert names_for(lines, {"run"}) == ["backup.sh", "run-2", "backup.sh-2", "odd", "job", "x"]


def test_a_line_comes_out_as_it_went_in() -> None:
    for text in (
        "0 5 * * 1 tar -zcf a.tgz /home/ 2>&1 | tail",
        "*/15 9-17 * * mon-fri date +\\%H",
        "@daily cat%one%two\\%",
        "0 5 * * 7 echo 'it'\"'\"'s'",
    ):
        assert line_of(job_of(text)) == text
    assert line_of(make_job(agent="command", command="cat -n", prompt="hello")) == "0 7 * * * cat -n%hello"
    assert line_of(make_job(agent="command", command="bash -c 'a b'", prompt="x")) == "0 7 * * * bash -c 'a b'%x"


def test_what_can_be_no_line_is_told_and_left_out() -> None:
    shell = {"agent": "command", "command": "sh -c 'exec </dev/null; x'"}
    jobs = [
        make_job(name="agent"),
        make_job(name="seconds", cron_expr="30 0 7 * * *", **shell),
        make_job(name="interval", cron_expr="@every 90m", **shell),
        make_job(name="zero", cron_expr="0 0 7 * * *", **shell),
        make_job(name="tokyo", cron_expr="TZ=Asia/Tokyo 0 7 * * *", **shell),
        make_job(name="paused", enabled=False, jitter_secs=5, **shell),
    ]
    text, notes = crontab_of(jobs, "Etc/UTC")
    assert [note.label for note in notes if note.refused] == ["agent", "seconds", "interval"]
    assert text.splitlines()[-7:] == [
        *("# zero", "0 7 * * * x"),
        *("CRON_TZ=Asia/Tokyo", "# tokyo", "0 7 * * * x"),
        *("# paused (paused)", "#0 7 * * * x"),
    ]
    assert any("jitter_secs" in note.text for note in notes)
