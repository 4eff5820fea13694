"""What lives on of an agent's home, out of real cells: its login, its conversation, and nothing else."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shared import removal
from shared.keep import Keep, LoginFile
from shared.messages import Cell, ExecuteRequest, Isolation
from tests.driver import Driven, execute, limits, request, run_as
from tests.lacks import need

PYTHON = "/usr/bin/python3"
OLD = json.dumps({"access": "old-access-canary-4711", "expires": 1})
NEW = json.dumps({"access": "new-access-canary-0815", "expires": 2})
LOGIN = LoginFile(path=".tool/login.json", text=OLD)
LIST = (".tool/talks/**/*.jsonl", ".tool/state.db")


@dataclass
class Kept:
    """The directories of one attempt's request, and of what a run before it left."""

    folder: Path
    before: Path = field(init=False)
    out: Path = field(init=False)

    def __post_init__(self) -> None:
        # As in a home of root's: nobody else gets there by a path.
        self.folder.mkdir(mode=0o700)
        self.before, self.out = self.folder / "before", self.folder / "out"
        for path in (self.before, self.out):
            path.mkdir(mode=0o700)

    def left(self, path: str, text: str) -> None:
        """By an earlier run, whose files are its user's."""
        file = self.before / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        if ids := run_as():
            for each in (self.before, *self.before.rglob("*")):
                os.chown(each, ids.uid, ids.gid)

    def talk(self, **changes: Any) -> Keep:
        return Keep(directory=str(self.out), session=LIST, **changes)

    def goes_on(self, **changes: Any) -> Keep:
        return self.talk(session_from=str(self.before), **changes)

    def taken(self) -> dict[str, str]:
        """What the runner put there, by its path."""
        files = (path for path in self.out.rglob("*") if path.is_file())
        return {str(path.relative_to(self.out)): path.read_text() for path in files}


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path / "kept")


def shell(log_dir: Path, script: str, keep: Keep, **changes: Any) -> ExecuteRequest:
    return request(log_dir, "/bin/sh", "-c", script, keep=keep, **changes)


@need("cell")
def test_a_conversation_goes_on_where_the_last_one_ended(log_dir: Path, kept: Kept) -> None:
    kept.left(".tool/talks/2026/a.jsonl", "first\n")
    script = "cat ~/.tool/talks/2026/a.jsonl; echo second >>~/.tool/talks/2026/a.jsonl; stat -c '%a %u' ~/.tool/talks"
    said = execute(shell(log_dir, script, kept.goes_on()))
    assert (said["reason"], said["response"]) == ("ok", "first\n700 1000\n"), said
    assert said["session"] == {
        **{"resumed": True, "anew": "", "files": 1, "bytes": 13, "kept": True, "ended": False, "problem": ""}
    }
    assert kept.taken() == {"session/.tool/talks/2026/a.jsonl": "first\nsecond\n"}
    assert (kept.before / ".tool/talks/2026/a.jsonl").read_text() == "first\n"


@need("cell")
def test_only_what_is_on_the_list_is_kept_and_only_regular_files(log_dir: Path, kept: Kept) -> None:
    script = """
cd; mkdir -p .tool/talks/deep .config; echo no >.config/rc; echo no >.bashrc; echo no >.tool/talks/note.txt
echo yes >.tool/talks/deep/one.jsonl; chmod 4777 .tool/talks/deep/one.jsonl
ln -s /etc/passwd .tool/talks/link.jsonl; ln -s /etc .tool/talks/etc; mkfifo .tool/talks/fifo.jsonl
ln -s talks .tool/state.db; mkdir .tool/talks/folder.jsonl
"""
    said = execute(shell(log_dir, script, kept.talk()))
    assert said["session"]["kept"], said
    assert kept.taken() == {"session/.tool/talks/deep/one.jsonl": "yes\n"}
    found = (kept.out / "session/.tool/talks/deep/one.jsonl").lstat()
    assert stat.S_IMODE(found.st_mode) == 0o600


@need("cell")
def test_what_is_placed_anew_is_never_kept(log_dir: Path, kept: Kept) -> None:
    placed = {"/home/agent/.tool/state.db": "ours"}
    kept.left(".tool/state.db", "theirs")
    said = execute(
        shell(log_dir, "cat ~/.tool/state.db; echo x >~/.tool/state.db || true", kept.goes_on(), files=placed)
    )
    assert (said["response"], said["session"]["files"], kept.taken()) == ("ours", 0, {})


@need("cell")
def test_a_conversation_of_which_no_file_is_left_does_not_go_on(log_dir: Path, kept: Kept) -> None:
    kept.left(".tool/talks/a.jsonl", "before")
    said = execute(shell(log_dir, "ln -sf /etc/passwd ~/.tool/talks/a.jsonl; echo done", kept.goes_on()))
    assert (said["reason"], said["session"]["resumed"], kept.taken()) == ("ok", True, {})
    assert (said["session"]["kept"], said["session"]["ended"]) == (False, True)
    assert "begins a new one" in said["session"]["problem"]


@need("cell")
def test_a_run_that_fails_keeps_the_conversation_as_it_was(log_dir: Path, kept: Kept) -> None:
    kept.left(".tool/state.db", "before")
    said = execute(shell(log_dir, "echo after >~/.tool/state.db; exit 3", kept.goes_on()))
    assert (said["reason"], said["session"]["kept"], said["session"]["resumed"]) == ("agent_error", False, True)
    assert kept.taken() == {}


@need("cell")
def test_a_conversation_that_grew_too_large_is_not_kept_and_says_so(log_dir: Path, kept: Kept) -> None:
    many = "for n in 1 2 3 4; do head -c 40000 /dev/zero >~/.tool/talks/$n.jsonl; done"
    sparse = "truncate -s 60M ~/.tool/talks/1.jsonl"
    for number, what in enumerate((many, sparse)):
        logs = log_dir / str(number)
        logs.mkdir()
        own = Kept(kept.folder / str(number))
        said = execute(shell(logs, f"mkdir -p ~/.tool/talks; {what}", own.talk(session_bytes=100_000)))
        assert (said["reason"], said["session"]["ended"], said["session"]["kept"]) == ("ok", True, False), what
        assert "begins a new one" in said["session"]["problem"]


@need("cell")
def test_a_tree_made_to_be_lost_in_costs_seconds_at_most(log_dir: Path, kept: Kept) -> None:
    program = """
import os
os.makedirs(os.path.expanduser("~/.tool/talks")); os.chdir(os.path.expanduser("~/.tool/talks"))
open("a.jsonl", "w").write("kept")
for n in range(1500):
    os.mkdir("d" * 200); os.chdir("d" * 200)
open("b.jsonl", "w").write("deep")
"""
    said = execute(request(log_dir, PYTHON, "-c", program, keep=kept.talk()))
    assert said["reason"] == "ok", said
    assert said["duration"] < 20e9
    # Deeper than a path can be named, so it is as large as it gets, or kept: one of the two, and nobody is lost.
    left = removal.remove_tree(str(kept.out))
    assert said["session"]["kept"] or said["session"]["problem"]
    assert left == ""


@need("cell")
def test_a_login_is_where_the_agent_looks_for_it_and_comes_back_renewed(log_dir: Path, kept: Kept) -> None:
    script = "cd ~/.tool; cat login.json; stat -c '%a %u' login.json"
    script += f"; echo '{NEW}' >x; mv x login.json"
    keep = Keep(directory=str(kept.out), login=(LOGIN,), renewed=True)
    said = execute(shell(log_dir, f"{script}; exit 1", keep))
    assert said["reason"] == "agent_error"
    assert kept.taken() == {"login/0": NEW + "\n"}, "however the run went"
    assert said["session"] is None
    output = (log_dir / "stdout").read_text()
    assert output == '{"access": "[secret of its login]", "expires": 1}600 1000\n'


@need("cell")
def test_what_cannot_be_a_login_is_left_behind(log_dir: Path, kept: Kept) -> None:
    spoils = {
        "link": "rm login.json; ln -s /etc/passwd login.json",
        "folder": "rm login.json; mkdir login.json",
        "fifo": "rm login.json; mkfifo login.json",
        "gone": "rm login.json",
        "large": "head -c 70000 /dev/zero >login.json",
        "sparse": "truncate -s 60M login.json",
        "a link above": "echo '{}' >login.json; cd ..; mv .tool .other; ln -s .other .tool",
        "unchanged": "touch login.json",
    }
    for number, (what, script) in enumerate(spoils.items()):
        logs = log_dir / str(number)
        logs.mkdir()
        own = Kept(kept.folder / str(number))
        keep = Keep(directory=str(own.out), login=(LOGIN,), renewed=True)
        said = execute(shell(logs, f"cd ~/.tool; {script}", keep))
        assert (said["reason"], own.taken()) == ("ok", {}), what


@need("cell")
def test_a_login_that_is_not_renewed_does_not_come_back(log_dir: Path, kept: Kept) -> None:
    keep = Keep(directory=str(kept.out), login=(LOGIN,))
    execute(shell(log_dir, "echo '{}' >~/.tool/login.json", keep))
    assert kept.taken() == {}


@need("cell")
def test_a_run_that_is_stopped_gives_its_login_back_and_no_conversation(log_dir: Path, kept: Kept) -> None:
    keep = kept.talk(login=(LOGIN,), renewed=True)
    script = f"echo '{NEW}' >~/.tool/login.json; echo talk >~/.tool/state.db; echo ready; sleep 60"
    with Driven(shell(log_dir, script, keep)) as driven:
        driven.wait_for("started")
        while not (log_dir / "stdout").read_text():
            driven.read(0.05)
        driven.stop()
        said = driven.result()
    assert (said["reason"], said["session"]["kept"]) == ("canceled_by_user", False)
    assert kept.taken() == {"login/0": NEW + "\n"}


@need("cell")
def test_neither_files_nor_login_are_there_without_being_asked_for(log_dir: Path) -> None:
    said = execute(request(log_dir, "/bin/sh", "-c", "ls -A ~"))
    assert (said["response"], said["session"]) == ("scratch\n", None)


@need("landlock")
@pytest.mark.parametrize("isolation", ["best-effort"])
def test_the_same_lives_on_without_namespaces(log_dir: Path, kept: Kept, isolation: Isolation) -> None:
    kept.left(".tool/state.db", "before")
    cell = Cell(isolation=isolation, run_as=run_as(), bwrap="/nonexistent/bwrap")
    script = f"cat ~/.tool/state.db ~/.tool/login.json; echo after >~/.tool/state.db; echo '{NEW}' >~/.tool/login.json"
    said = execute(shell(log_dir, script, kept.goes_on(login=(LOGIN,), renewed=True), cell=cell))
    assert said["response"] == 'before{"access": "[secret of its login]", "expires": 1}', said
    assert kept.taken() == {"login/0": NEW + "\n", "session/.tool/state.db": "after\n"}


@need("cell")
def test_a_conversation_without_room_starts_no_agent(log_dir: Path, kept: Kept) -> None:
    kept.left(".tool/state.db", "x" * (2 << 20))
    said = execute(shell(log_dir, "echo ran", kept.goes_on(), limits=limits(tmp_bytes=1 << 20)))
    assert (said["reason"], said["response"]) == ("runner_broke", "")
    assert "cronward sessions reset" in said["error"]


@need("cell")
def test_the_stored_request_tells_nothing_of_a_login(log_dir: Path) -> None:
    from shared.masking import recorded

    wanted = shell(log_dir, "true", Keep(directory="/nowhere", login=(LOGIN,)), prompt="with old-access-canary-4711")
    stored = json.dumps(recorded(wanted))
    assert "canary" not in stored
    assert "expires" not in stored
    assert ".tool/login.json" in stored
