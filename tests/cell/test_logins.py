"""Logins under a real supervisor: placed for granted jobs alone, renewed by one run at a time, then stored again."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.agents.keeps import About
from supervisor.agents.logins import Login, LoginStore, mark
from supervisor.stores.home import Home
from tests.fakes import NOON
from tests.house import CHECKOUT, House, eventually, house
from tests.lacks import need
from tests.talker import install

pytestmark = need("cell")
PATH = ".talker/login.json"


@pytest.fixture
def talking(tmp_path: Path) -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="installed-", dir="/tmp") as programs:
        Path(programs).chmod(0o755)
        with house(tmp_path, **install(Path(programs))) as made:
            yield made


def logged_in(talking: House, generation: int = 1) -> None:
    Home(talking.root).create()
    text = json.dumps({"token": f"token-of-generation-{generation}", "generation": generation})
    LoginStore(Home(talking.root)).set(Login(agent="talker", kind="files", files={PATH: text}, set_at=NOON))


def stored(talking: House) -> dict[str, Any]:
    login = LoginStore(Home(talking.root)).find("talker")
    assert login is not None
    found: dict[str, Any] = json.loads(login.files[PATH])
    return found


def facts(run: dict[str, Any]) -> dict[str, Any]:
    """What the agent said in a run."""
    found: dict[str, Any] = json.loads(run["response"])
    return found


def run(talking: House, prompt: str, **fields: Any) -> dict[str, Any]:
    job = talking.run_now(command="", agent="talker", prompt=prompt, **{"retries": 0, **fields})
    (ended,) = talking.ended(job["id"])
    return ended


def test_a_granted_job_has_the_login_and_what_it_renews_is_the_next_ones(talking: House) -> None:
    logged_in(talking)
    talking.start()
    first = run(talking, "renew", login=True)
    assert first["status"] == "completed", first
    assert stored(talking) == {"token": "token-of-generation-2", "generation": 2}
    second = run(talking, "hello", login=True)
    assert facts(second)["generation"] == 2
    # What is in it is in no file of the run, and in nothing that is told of it.
    everything = "".join(path.read_text("utf-8", "replace") for path in talking.root.joinpath("logs").rglob("*/*/*"))
    assert "token-of-generation-2" not in json.dumps(second) + everything
    assert "[secret of its login]" in second["response"]
    assert list(Home(talking.root).kept.iterdir()) == []


def test_a_job_that_is_not_granted_it_gets_nothing_and_is_told_what_to_do(talking: House) -> None:
    logged_in(talking)
    talking.start()
    ended = run(talking, "hello", retries=3)
    assert (ended["status"], ended["reason"], ended["attempt"]) == ("failed", "auth_failed", 1), ended
    assert "not logged in" in ended["error"]
    assert ended["error"].endswith("cronward login talker")


def test_what_a_failed_run_renewed_is_not_lost(talking: House) -> None:
    logged_in(talking)
    talking.start()
    assert run(talking, "renew\nfail", login=True)["status"] == "failed"
    assert stored(talking)["generation"] == 2


def test_two_runs_that_may_renew_one_login_take_turns(talking: House, open_dir: Path) -> None:
    logged_in(talking)
    talking.start()
    usual = {"command": "", "agent": "talker", "login": True, "retries": 0}
    first = talking.run_now(prompt="renew\nwait", work_dir=str(open_dir), work_mode="read", **usual)
    eventually(lambda: [each for each in talking.runs(first["id"]) if each["status"] == "running"])
    second = talking.run_now(prompt="renew", **usual)
    why = eventually(lambda: [each["why"] for each in talking.client.status()["queue"]])
    assert "may renew the login of talker" in why[0]
    (open_dir / "go").touch()
    for job, generation in ((first, 1), (second, 2)):
        (ended,) = talking.ended(job["id"])
        assert (ended["status"], facts(ended)["generation"]) == ("completed", generation), ended
    assert stored(talking)["generation"] == 3


def test_a_login_that_was_made_anew_while_a_run_renewed_the_old_one_stays(talking: House, open_dir: Path) -> None:
    logged_in(talking)
    talking.start()
    fields = {"command": "", "agent": "talker", "login": True, "retries": 0, "work_dir": str(open_dir)} | {
        "work_mode": "read"
    }
    job = talking.run_now(prompt="renew\nwait", **fields)
    eventually(lambda: [each for each in talking.runs(job["id"]) if each["status"] == "running"])
    logged_in(talking, generation=7)
    (open_dir / "go").touch()
    talking.ended(job["id"])
    assert stored(talking)["generation"] == 7


def test_what_was_renewed_when_the_supervisor_died_is_there_after_its_next_start(talking: House) -> None:
    logged_in(talking)
    talking.start()
    home = Home(talking.root)
    talking.stop(9)
    # As its runner left it, which was quicker than the supervisor.
    place = home.kept_dir("r1", 1)
    (place / "out" / "login").mkdir(parents=True)
    (place / "out" / "login" / "0").write_text('{"token": "token-of-generation-9", "generation": 9}')
    login = LoginStore(home).find("talker")
    assert login is not None
    about = About(run_id="r1", attempt=1, login="talker", login_mark=mark(login.files), login_files=(PATH,))
    (place / "about.json").write_text(about.model_dump_json())
    talking.start()
    eventually(lambda: stored(talking)["generation"] == 9 and not list(home.kept.iterdir()))


def test_a_token_is_a_secret_and_reaches_the_agent_by_its_variable(talking: House) -> None:
    done = talking.cronward("login", "talker", "--token", stdin="a-long-lived-token-4711\n")
    assert done.returncode == 0, done.stderr
    talking.start()
    ended = run(talking, "hello", login=True)
    assert facts(ended)["token"] == "[secret LOGIN_TALKER]"
    (listed,) = talking.json("login", "--list")
    assert (listed["kind"], listed["variable"], len(listed["jobs"])) == ("token", "TALKER_TOKEN", 1)
    (secret,) = talking.json("secret", "list")
    assert secret["jobs"] == listed["jobs"]
    assert talking.cronward("logout", "talker").returncode == 0
    assert (talking.json("login", "--list"), talking.json("secret", "list")) == ([], [])
    job = talking.json("list")[0]
    talking.client.run_job(job["id"])
    (_, failed) = talking.ended(job["id"], 2)
    assert (failed["reason"], "cronward login talker" in failed["error"]) == ("bad_definition", True)


def test_the_login_is_the_agents_and_neither_its_gates_nor_its_checks(talking: House) -> None:
    talking.cronward("login", "talker", "--token", stdin="a-long-lived-token-4711\n")
    talking.start()
    look = "/bin/sh -c 'ls -A ~ /run/cronward/secrets 2>/dev/null; env | grep -c TALKER_ || true'"
    ended = run(talking, "hello", login=True, gate=look, check=look)
    assert facts(ended)["token"] == "[secret LOGIN_TALKER]", ended
    logged = [(Path(ended["log_dir"]) / name).read_text() for name in ("gate", "check")]
    assert ["TALKER" in text or "talker" in text for text in logged] == [False, False], logged
    assert [text.split()[-1] for text in logged] == ["0", "0"]
    logged_in(talking)
    shown = talking.json("run", ended["job_id"], "--dry-run")
    assert (shown["login"], shown["secrets"]) == ([PATH], [])
    assert "token-of-generation" not in json.dumps(shown)


def test_without_a_login_or_without_isolation_none_is_granted(talking: House) -> None:
    add = ("add", "--every", "1h", "--prompt", "x", "--agent", "talker", "--login")
    done = talking.cronward(*add)
    assert done.returncode == 2
    assert "cronward login talker" in done.stderr
    logged_in(talking)
    done = talking.cronward(*add, "--isolation", "none")
    assert done.returncode == 2
    assert talking.cronward(*add).returncode == 0


def test_a_change_of_what_a_job_does_takes_its_login_away(talking: House) -> None:
    logged_in(talking)
    talking.cronward("add", "--every", "1h", "--prompt", "x", "--agent", "talker", "--login", "--name", "one")
    done = talking.cronward("edit", "one", "--prompt", "y")
    assert "cronward edit" in done.stderr
    assert "--login" in done.stderr
    assert not talking.json("show", "one")["login"]
    assert talking.cronward("edit", "one", "--prompt", "z", "--login").returncode == 0
    assert talking.json("show", "one")["login"]


def test_a_shared_login_is_read_anew_and_never_written(talking: House, tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / ".talker").mkdir(parents=True)
    file = own / PATH
    file.write_text(json.dumps({"token": "token-of-generation-3", "generation": 3}))
    talking.environ["HOME"] = str(own)
    talking.cronward("login", "talker", "--token", stdin="a-long-lived-token-4711\n")
    done = talking.cronward("login", "talker", "--share-login")
    assert done.returncode == 0, done.stderr
    assert "yours may end" in done.stderr
    assert talking.json("secret", "list") == []  # the token of before is not to lie about
    talking.start()
    assert facts(run(talking, "renew", login=True))["generation"] == 3
    assert json.loads(file.read_text())["generation"] == 3
    file.write_text(json.dumps({"token": "token-of-generation-4", "generation": 4}))
    assert facts(run(talking, "hello", login=True))["generation"] == 4


def on_a_terminal(talking: House, *args: str, **environ: str) -> tuple[int, str]:
    """The command as somebody types it: exit code, and what the terminal showed."""
    above, below = pty.openpty()
    argv = [sys.executable, "-m", "supervisor", "--home", str(talking.root), *args]
    environ = {**os.environ, **talking.environ, **environ}
    process = subprocess.Popen(argv, cwd=CHECKOUT, env=environ, stdin=below, stdout=below, stderr=below)
    os.close(below)
    shown: list[bytes] = []

    def read() -> None:
        try:
            while data := os.read(above, 4096):
                shown.append(data)
        except OSError:  # nobody has the other end any more
            return

    reader = threading.Thread(target=read)
    reader.start()
    code = process.wait(60)
    reader.join(10)
    os.close(above)
    return code, b"".join(shown).decode()


def test_an_agents_own_login_leaves_nothing_but_the_login(talking: House, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    code, shown = on_a_terminal(talking, "login", "talker", HOME=str(own), TALKER_TOKEN="not passed on")
    assert code == 0, shown
    assert "lasts until it is renewed" in shown
    assert stored(talking)["generation"] == 1
    assert list(own.iterdir()) == []
    assert sorted(path.name for path in Home(talking.root).logins.iterdir()) == ["talker.json", "talker.lock"]


def test_a_login_that_fails_changes_nothing(talking: House) -> None:
    logged_in(talking, generation=5)
    code, shown = on_a_terminal(talking, "login", "talker", LC_FAIL="7")
    assert (code, "exit code 7" in shown) == (1, True), shown
    assert stored(talking)["generation"] == 5
    assert talking.cronward("login", "talker").returncode == 2
    for wrong in (("login",), ("login", "nobody"), ("login", "command"), ("logout", "codex")):
        done = talking.cronward(*wrong)
        assert done.returncode in (2, 3), (wrong, done.stderr)
        assert "Traceback" not in done.stderr
