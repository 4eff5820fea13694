"""What a shell is offered: every name there is, none that a shell could take for more than a word, no error."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import typer

from shared.messages import Isolation, WorkMode
from supervisor.__main__ import main
from supervisor.agents.logins import Login, LoginStore
from supervisor.agents.sessions import Session, SessionStore, marks
from supervisor.cli import app, joboptions, manual
from supervisor.cli.completion import TYPES, offers
from supervisor.cli.runs import STATUS
from supervisor.definitions.secrets import SecretStore
from supervisor.models import CatchUp, Event, JobType, OutputFormat, Overlap
from supervisor.notifications.outbox import Outbox
from supervisor.notifications.sender import test_of as trial_of
from supervisor.status import Status
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.runs import RunsStore
from tests.command import Command
from tests.fakes import NOON, make_job, make_run

CHECKOUT = Path(__file__).parents[2]
JOB, RUN = make_job(name="nightly", session_key="standup"), make_run()
HOSTILE = (
    "$(touch pwned)",
    "`touch pwned`",
    "a;touch pwned",
    "a b",
    "*",
    "'",
    '"',
    "\\$(touch pwned)",
    '\\"$(touch pwned)',
    "[red]",
    "-x",
)
CONFIG = "[notify.targets.phone]\nurl = 'https://example.org/hook'\n"


@pytest.fixture
def home(cronward: Command, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One with something of every kind."""
    home = Home(cronward.home)
    home.create()
    (cronward.home / "config.toml").write_text(CONFIG)
    CronStore(home).add(JOB)
    RunsStore(home).record(RUN)
    SecretStore(home).set("DEPLOY_KEY", "sesame-open")
    LoginStore(home).set(Login(agent="claude", kind="token", secret="DEPLOY_KEY", set_at=NOON))
    Outbox(home).keep(trial_of("phone", "88888888-0000-4000-8000-000000000001", NOON))
    sessions = SessionStore(home)
    sessions.make_room(JOB)
    (home.root / "taken").mkdir()
    known: dict[str, Any] = {"granted": marks(JOB), "directory": "d", "run_id": RUN.id, "saved_at": NOON}
    sessions.keep(Session(job_id=JOB.id, key=JOB.session_key, agent="claude", **known), home.root / "taken")
    monkeypatch.setenv("CRONWARD_HOME", str(home.root))
    monkeypatch.setenv("CRONWARD_CONFIG", str(home.root / "config.toml"))
    return home.root


def asked(line: str, cronward: Command, shell: str = "bash") -> tuple[str, str]:
    """What is offered at the end of this line, and what is complained of."""
    words = line.split(" ")
    environ = {
        "_CRONWARD_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    if shell != "bash":
        environ = {"_CRONWARD_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": line}
        environ["_TYPER_COMPLETE_FISH_ACTION"] = "get-args"
    cronward.capsys.readouterr()
    with cronward.monkeypatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        try:
            main([])
        except SystemExit:
            pass
        finally:  # those that it has put in order
            os.environ.pop("COMP_WORDS", None)
    said = cronward.capsys.readouterr()
    return said.out.strip(), said.err


LINES = (
    *(
        (f"cronward {name} n", "nightly")
        for name in ("show", "edit", "remove", "pause", "resume", "run", "runs", "why")
    ),
    *((f"cronward {name} n", "nightly") for name in ("next", "timeline", "doctor", "export", "cron del_cron --id")),
    *((f"cronward {name} 9", RUN.id) for name in ("logs", "cancel")),
    *((f"cronward sessions {name} n", "nightly") for name in ("list", "reset")),
    *((f"cronward agents {name} cla", "claude") for name in ("show", "check")),
    *(
        (f"cronward {name} cla", "claude")
        for name in ("login", "logout", "add --agent", "import --agent", "add --agent =")
    ),
    *(
        (f"cronward {name} D", "DEPLOY_KEY")
        for name in ("secret set", "secret remove", "add --secret", "edit n --secret")
    ),
    ("cronward agents check claude --secret D", "DEPLOY_KEY"),
    *((f"cronward {name} p", "phone") for name in ("notify test", "add --notify")),
    ("cronward sessions reset nightly --key s", "standup"),
    ("cronward outbox retry 8", "88888888-0000-4000-8000-000000000001"),
    ("cronward outbox drop a", "all"),
    ("cronward add --overlap q", "queue"),
    ("cronward runs --status c", "completed\ncanceled"),
    ("cronward cron del", "del_cron"),
    ("cronward show 'n", "nightly"),
    ("cronward show x", ""),
)


def test_every_name_is_offered_where_it_can_stand(home: Path, cronward: Command) -> None:
    for line, wanted in LINES:
        assert asked(line, cronward) == (wanted, ""), line
    assert asked("cronward show n", cronward, "zsh")[0] == """_arguments '*: :(("nightly":"0 7 * * *"))\'"""
    assert asked("cronward show n", cronward, "fish")[0] == "nightly\t0 7 * * *"


def test_the_home_is_heard_of_wherever_it_stands(home: Path, cronward: Command) -> None:
    cronward.monkeypatch.setenv("CRONWARD_HOME", "/nowhere")
    for line in (f"--home {home} show n", f"show --home {home} n", f"show --home = {home} n", f"--home={home} show n"):
        assert asked(f"cronward {line}", cronward) == ("nightly", ""), line
        assert asked(f"cronward {line.replace(' = ', '=')}", cronward, "zsh")[0].startswith("_arguments"), line


def test_where_nothing_can_be_read_nothing_is_offered_and_nothing_said(home: Path, cronward: Command) -> None:
    (home / "config.toml").write_text("frob = 1")
    for line in ("cronward notify test p", "cronward logs 9"):
        assert asked(line, cronward) == ("", ""), line
    for where in ("/nowhere", str(home / "config.toml")):
        assert asked(f"cronward --home {where} show n", cronward) == ("", ""), where
    assert main_with({"_CRONWARD_COMPLETE": "complete_bash"}, cronward) == ("", "")
    assert main_with({"_CRONWARD_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": ""}, cronward)[1] == ""


def main_with(environ: dict[str, str], cronward: Command) -> tuple[str, str]:
    with cronward.monkeypatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        assert main([]) == 1
    said = cronward.capsys.readouterr()
    return said.out, said.err


def test_what_a_shell_could_take_for_more_than_a_word_is_not_offered(home: Path, cronward: Command) -> None:
    for number, name in enumerate(HOSTILE):
        CronStore(Home(home)).add(make_job(id=f"22222222-0000-4000-8000-{number:012}", name=name))
    words = asked("cronward show ", cronward)[0].split("\n")
    assert [word for word in words if word != "nightly"] == [
        f"22222222-0000-4000-8000-{number:012}" for number in range(len(HOSTILE))
    ]
    for shell in ("zsh", "fish"):
        shown = asked("cronward show ", cronward, shell)[0].removeprefix("_arguments '*: :((").removesuffix("))'")
        assert re.search(r"[$`\\';|&<>\[\]()]", shown) is None, shown
    assert offers([("a\nb", ""), ("a\x1b[2J", ""), ("\u202egnp", ""), ("", ""), ("ü1", "a\x1b[2J\n\u202eb")], "") == [
        ("ü1", "a 2J b")
    ]


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="there is no bash")
def test_bash_puts_a_name_on_the_line_and_runs_nothing(home: Path, tmp_path: Path) -> None:
    for number, name in enumerate(HOSTILE):
        CronStore(Home(home)).add(make_job(id=f"22222222-0000-4000-8000-{number:012}", name=name))
    (tmp_path / "cronward").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m supervisor "$@"\n')
    (tmp_path / "cronward").chmod(0o700)
    script = """source <(_CRONWARD_COMPLETE=source_bash cronward)
    try() { COMP_WORDS=("$@"); COMP_CWORD=$(($#-1)); _cronward_completion cronward; printf '%s,' "${COMPREPLY[@]}"; }
    try cronward show nig; try cronward show --home = "$CRONWARD_HOME" nig; try cronward show ''
    eval "true ${COMPREPLY[*]}"
    """
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        ["/bin/bash", "--norc", "-c", script],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=55,
    )
    offered = done.stdout.rstrip(",").split(",")
    assert (offered[:2], done.stderr) == (["nightly", "nightly"], "")
    assert len(offered) == 3 + len(HOSTILE)
    assert not (tmp_path / "pwned").exists()


def test_whatever_is_named_by_what_lies_in_a_home_can_be_completed() -> None:
    named = re.compile(r"\[?(JOB|RUN|AGENT|TARGET|STATUS|POLICY|RULE|EVENT)\]?(\.\.\.)?")
    program: Any = typer.main.get_command(app)
    for path, command, ctx in manual._commands(program, program.context_class(program, info_name="cronward")):
        for parameter in command.get_params(ctx):
            if named.fullmatch(parameter.metavar or "") or (
                path.startswith("cronward secret") and parameter.metavar == "NAME"
            ):
                assert parameter._custom_shell_complete is not None, (path, parameter.name)


def test_the_words_that_are_offered_are_those_that_are_taken() -> None:
    assert (tuple(JobType), tuple(Status)) == (TYPES, STATUS)
    assert (tuple(OutputFormat), (*Event, "all")) == (joboptions.FORMATS, joboptions.EVENTS)
    assert (tuple(Overlap), tuple(CatchUp)) == (joboptions.OVERLAP, joboptions.CATCH_UP)
    assert set(joboptions.WORK_MODES) == set(get_args(WorkMode))
    assert set(joboptions.ISOLATION) == set(get_args(Isolation))
