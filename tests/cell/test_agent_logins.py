"""A check of an agent uses cronward's own login of it: alone, and what the agent renews is kept, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.agents.keeps import CHECK, About
from supervisor.agents.logins import Login, LoginStore, mark
from supervisor.stores.home import Home
from tests.fakes import NOON
from tests.house import CHECKOUT, House, eventually, house
from tests.lacks import need
from tests.talker import PROGRAM, install

pytestmark = need("cell")
PATH = ".talker/login.json"
# Renews its login before it answers, as one does whose access token is over.
VERSION = 'if sys.argv[1:] == ["--version"]:\n    sys.exit(print("talker 6.6" if login.exists() else "talker 1.0"))\n'
RENEWS = PROGRAM.replace("words = sys", f"{VERSION}words = sys").replace('if "renew" in words:', "if True:")
MARK = 'known = sys.argv[2] if sys.argv[1:2] == ["--resume"]'


class Checked:
    """A house with the talker in it, to be checked."""

    def __init__(self, home: House, program: Path) -> None:
        self.home, self.program, self.store = home, program, LoginStore(Home(home.root))

    def waits(self) -> None:
        """It renews its login, and does not end."""
        argv = ["/bin/sh", "-c", "sleep 60; :", self.word]
        self.becomes(f"import subprocess; subprocess.run({argv})")

    @property
    def word(self) -> str:
        return f"waits-{self.program.parent.parent.name}"

    def becomes(self, then: str = "") -> None:
        """What it does when it has renewed its login."""
        self.program.write_text(RENEWS.replace(MARK, f"{then}\n{MARK}"))

    def logged_in(self, generation: int = 1) -> None:
        Home(self.home.root).create()
        self.store.set(Login(agent="talker", kind="files", files={PATH: login_file(generation)}, set_at=NOON))

    @property
    def generation(self) -> int:
        found = self.store.find("talker")
        assert found is not None
        return int(json.loads(found.files[PATH])["generation"])

    @property
    def left(self) -> list[Path]:
        return list(Home(self.home.root).kept.iterdir())

    def check(self, *more: str, code: int = 0) -> dict[str, dict[str, Any]]:
        done = self.home.cronward("agents", "check", "talker", "--json", *more)
        assert done.returncode == code, (done.stdout, done.stderr)
        assert "token-of-generation" not in done.stdout + done.stderr
        return {each["name"]: each for each in json.loads(done.stdout)}

    def start_check(self) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "supervisor", "--home", str(self.home.root), "agents", "check", "talker"]
        environ = {**os.environ, **self.home.environ}
        return subprocess.Popen(argv, cwd=CHECKOUT, env=environ, stdout=-1, stderr=-1, text=True)

    def in_cell(self) -> int:
        """Wait until the talker has renewed its login, and waits; the pid of what it waits for."""
        return int(eventually(lambda: pid_with(self.word)))


def login_file(generation: int) -> str:
    return json.dumps({"token": f"token-of-generation-{generation}", "generation": generation})


def pid_with(word: str) -> int:
    """The process that was started with this word."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes().split(b"\0"):
                return int(path.parent.name)
        except OSError:
            continue
    return 0


@pytest.fixture
def talker(tmp_path: Path) -> Iterator[Checked]:
    with tempfile.TemporaryDirectory(prefix="installed-", dir="/tmp") as programs:
        Path(programs).chmod(0o755)
        with house(tmp_path, **install(Path(programs))) as home:
            made = Checked(home, Path(programs) / "programs" / "talker")
            made.becomes()
            yield made


def test_a_check_is_logged_in_by_itself_and_what_it_renews_is_kept(talker: Checked) -> None:
    found = talker.check(code=1)
    assert found["login"]["detail"] == "none is given"
    assert found["login"]["repair"].startswith("cronward login talker. ")
    assert (found["answer"]["ok"], "cronward login talker" in found["answer"]["repair"]) == (False, True)
    talker.logged_in()
    found = talker.check()
    assert (found["login"]["ok"], found["login"]["detail"]) == (True, f"cronward's login (files): {PATH}")
    assert (found["answer"]["ok"], talker.generation, talker.left) == (True, 2, [])
    assert found["version"]["detail"] == "1.0"  # for that nobody has to be logged in, and nobody was
    assert talker.check("--no-login", code=1)["login"]["detail"] == "none is given"
    assert talker.generation == 2


def test_a_secret_in_one_of_its_variables_stands_in_the_logins_place(talker: Checked) -> None:
    talker.logged_in()
    talker.home.cronward("secret", "set", "MINE", stdin="a-value-of-my-own\n")
    found = talker.check("--secret", "MINE=TALKER_API_KEY", code=1)  # the program looks for another
    assert found["login"]["detail"] == "given: TALKER_API_KEY"
    assert found["answer"]["repair"] == "cronward secret set MINE"
    assert talker.generation == 1
    found = talker.check("--secret", "MINE=ELSE")
    assert found["login"]["detail"] == f"cronward's login (files): {PATH}; given: ELSE"
    assert talker.generation == 2


def test_a_token_and_a_shared_login_are_used_as_a_run_uses_them(talker: Checked, tmp_path: Path) -> None:
    talker.home.cronward("login", "talker", "--token", stdin="a-long-lived-token-4711\n")
    found = talker.check()
    assert found["login"]["detail"] == "cronward's login (token): TALKER_TOKEN from the secret LOGIN_TALKER"
    assert ("4711" in json.dumps(found), found["answer"]["ok"]) == (False, True)
    talker.program.write_text("#!/bin/sh\ncat >/dev/null; echo not logged in >&2; exit 1\n")
    assert talker.check(code=1)["answer"]["repair"] == "cronward login talker --token"
    talker.becomes()
    own = tmp_path / "own"
    (own / ".talker").mkdir(parents=True)
    (own / PATH).write_text(login_file(3))
    talker.home.environ["HOME"] = str(own)
    talker.home.cronward("login", "talker", "--share-login")
    assert talker.check()["login"]["detail"] == f"cronward's login (shared): {PATH} of {own}"
    assert ((own / PATH).read_text(), talker.left) == (login_file(3), [])
    (own / PATH).unlink()
    assert "cronward login talker" in talker.check(code=1)["definition"]["detail"]


def test_what_a_failed_check_renewed_is_kept(talker: Checked) -> None:
    talker.logged_in()
    talker.becomes("sys.exit('not logged in')")
    found = talker.check(code=1)
    assert found["answer"]["detail"].startswith("auth_failed: ")
    assert (found["answer"]["repair"], talker.generation, talker.left) == ("cronward login talker", 2, [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_what_an_interrupted_check_renewed_is_kept(talker: Checked, number: signal.Signals) -> None:
    talker.logged_in()
    talker.waits()
    going_on = talker.start_check()
    waiting = talker.in_cell()
    going_on.send_signal(number)
    out, err = going_on.communicate(timeout=40)
    assert (going_on.returncode, "Traceback" in err) == (130, False), (out, err)
    assert (talker.generation, talker.left) == (2, [])
    assert not Path(f"/proc/{waiting}").exists()


def test_a_check_is_refused_while_a_run_has_the_login(talker: Checked, open_dir: Path) -> None:
    talker.logged_in()
    talker.waits()
    talker.home.start()
    usual = {"command": "", "agent": "talker", "retries": 0}
    job = talker.home.run_now(name="daily", login=True, **usual)
    waiting = talker.in_cell()
    (run,) = talker.home.runs(job["id"])
    done = talker.home.cronward("agents", "check", "talker")
    assert done.returncode == 5, (done.stdout, done.stderr)
    said = " ".join(done.stderr.split())
    assert f"Run {run['id'][:8]} of job daily uses the login of talker" in said
    assert all(words in said for words in (f"cronward cancel {run['id'][:8]}", "--no-login"))
    assert talker.check("--no-login", code=1)["login"]["detail"] == "none is given"
    talker.home.cronward("cancel", run["id"])
    talker.home.ended(job["id"])
    assert (talker.generation, Path(f"/proc/{waiting}").exists()) == (2, False)
    # A run that has no login is in nobody's way.
    talker.becomes()
    talker.home.run_now(name="bare", work_dir=str(open_dir), work_mode="read", **usual)
    talker.check()
    assert talker.generation == 3


def test_a_run_waits_for_a_check_and_a_supervisor_that_starts_leaves_it_alone(talker: Checked) -> None:
    talker.logged_in()
    talker.waits()
    going_on = talker.start_check()
    talker.in_cell()
    talker.home.start()
    assert [path.name.startswith(CHECK) for path in talker.left] == [True]
    talker.becomes()
    job = talker.home.run_now(command="", agent="talker", login=True, retries=0)
    why = eventually(lambda: [each["why"] for each in talker.home.client.status()["queue"]])
    assert why == ["a check of talker may renew its login, and only one at a time can"]
    second = talker.home.cronward("agents", "check", "talker")
    assert (second.returncode, "Another check of talker" in second.stderr) == (5, True), second.stderr
    going_on.send_signal(signal.SIGINT)
    going_on.communicate(timeout=40)
    (ended,) = talker.home.ended(job["id"])
    # The check renewed the first, and the run, which was given the second, that.
    assert (ended["status"], json.loads(ended["response"])["generation"]) == ("completed", 2), ended
    assert talker.generation == 3


def test_what_a_killed_check_or_supervisor_left_is_not_lost(talker: Checked) -> None:
    talker.logged_in()
    home = Home(talker.home.root)

    def left_by(run_id: str, generation: int) -> None:
        out = home.kept_dir(run_id, 1) / "out" / "login"
        out.mkdir(parents=True)
        (out / "0").write_text(login_file(generation))
        placed = talker.store.find("talker")
        assert placed is not None
        about = About(run_id=run_id, attempt=1, agent="talker", login="talker", login_mark=mark(placed.files))
        about = about.model_copy(update={"login_files": (PATH,)})
        (out.parent.parent / "about.json").write_text(about.model_dump_json())

    left_by(f"{CHECK}killed", 6)
    talker.check()
    assert (talker.generation, talker.left) == (7, [])
    left_by("r1", 9)
    done = talker.home.cronward("agents", "check", "talker")
    assert (done.returncode, "Run r1 renewed the login of talker" in done.stderr) == (5, True), done.stderr
    left_by(f"{CHECK}other", 8)
    talker.home.start()  # which settles both; of two that were given the same the first counts
    eventually(lambda: not talker.left)
    assert talker.generation == 8
    talker.check()
