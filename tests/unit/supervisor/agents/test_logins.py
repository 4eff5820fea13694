"""Logins on disk: who may change them, what comes back from a run, and what does not."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from supervisor.agents.logins import (
    FILE_BYTES,
    Login,
    LoginStore,
    files_for,
    mark,
    may_follow,
    read_home,
    secret_name,
    token_variable,
)
from supervisor.definitions.secrets import NAME
from supervisor.errors import InvalidError, NotFoundError, StoreError
from supervisor.stores.home import Home
from tests.fakes import NOON, make_job

OLD, NEW = json.dumps({"token": "old"}), json.dumps({"token": "new"})
PATH = ".tool/login.json"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.create()
    return home


def own(**fields: object) -> Login:
    return Login.model_validate({"agent": "tool", "kind": "files", "files": {PATH: OLD}, "set_at": NOON, **fields})


def test_a_login_is_its_owners_alone_and_shows_nothing_of_itself(home: Home) -> None:
    LoginStore(home).set(own())
    for path in home.logins.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(home.logins.stat().st_mode) == 0o700
    found = LoginStore(home).find("tool")
    assert found == own()
    assert "old" not in repr(found)
    assert [login.agent for login in LoginStore(home).list()] == ["tool"]
    assert LoginStore(home).remove("tool") == own()
    with pytest.raises(NotFoundError, match="login --list"):
        LoginStore(home).remove("tool")


def test_the_name_of_no_agent_is_the_name_of_no_file(home: Home) -> None:
    for name in ("../lost", "a/b", "", ".a", str(home.root / "lost"), "a" * 300):
        with pytest.raises(NotFoundError, match="There is no login"):
            LoginStore(home).remove(name)
    assert not list(home.root.rglob("*.lock"))


def test_no_two_agents_have_their_tokens_in_one_secret() -> None:
    agents = ["tool", "a-b", "a.b", "a_b", "A-b", "a--b", "a-.b", "a" * 58, "a" * 59, "a" * 64, "a" * 63 + "-"]
    found = {secret_name(agent) for agent in agents}
    assert len(found) == len(agents)
    assert all(NAME.fullmatch(name) for name in found)
    assert secret_name("my-tool") == "LOGIN_MY_TOOL"


def test_only_the_first_of_two_runs_that_renewed_a_login_counts(home: Home) -> None:
    store, given = LoginStore(home), mark(own().files)
    store.set(own())
    assert store.renew("tool", given, {PATH: NEW}, NOON)
    assert not store.renew("tool", given, {PATH: json.dumps({"token": "of a spent one"})}, NOON)
    found = store.find("tool")
    assert found is not None
    assert (found.files, found.renewed_at) == ({PATH: NEW}, NOON)


def test_a_login_that_was_made_anew_or_taken_away_meanwhile_stays_so(home: Home) -> None:
    store, given = LoginStore(home), mark(own().files)
    assert not store.renew("tool", given, {PATH: NEW}, NOON)
    assert store.find("tool") is None
    for anew in (own(files={PATH: '{"by": "hand"}'}), own(kind="token", files={}, secret="S", variable="V")):
        store.set(anew)
        assert not store.renew("tool", given, {PATH: NEW}, NOON)
        assert store.find("tool") == anew


def test_what_a_run_gives_back_is_taken_only_where_it_can_be_a_login() -> None:
    table: list[tuple[str | None, str, bool]] = [
        (OLD, NEW, True),
        ("plain", "other", True),
        ("plain", NEW, True),
        (OLD, "plain", False),
        (OLD, "[]", False),
        (OLD, "{" * 5000, False),
        (OLD, "", False),
        ("plain", " \n", False),
        ("plain", "x" * (FILE_BYTES + 1), False),
        (None, NEW, False),
    ]
    for before, after, wanted in table:
        assert may_follow(before, after) is wanted, (before, after[:20])


def test_a_file_that_a_run_adds_is_never_taken(home: Home) -> None:
    store = LoginStore(home)
    store.set(own())
    assert not store.renew("tool", mark(own().files), {".tool/other.json": NEW}, NOON)
    assert store.find("tool") == own()


def test_a_damaged_login_is_said_to_be_with_what_repairs_it(home: Home) -> None:
    for text in ("", "[]", '{"version": 1}', '{"version": 99}'):
        (home.logins / "tool.json").write_text(text)
        with pytest.raises(StoreError, match="tool"):
            LoginStore(home).find("tool")
        # Nobody knows, so it takes its turn.
        assert LoginStore(home).renewed_by(make_job(agent="tool", login=True)) == "tool"


def test_turns_are_for_logins_that_are_renewed(home: Home) -> None:
    store, job = LoginStore(home), make_job(agent="tool", login=True)
    assert store.renewed_by(job) == ""
    for login, agent in ((own(), "tool"), (own(kind="shared", files={}, shared_home="/h"), "tool")):
        store.set(login)
        assert store.renewed_by(job) == agent
        assert store.renewed_by(make_job(agent="tool")) == ""
    store.set(own(kind="token", files={}, secret="S", variable="V"))
    assert store.renewed_by(job) == ""


def test_of_a_home_only_the_listed_files_are_read_and_nothing_strange(tmp_path: Path) -> None:
    (tmp_path / ".tool").mkdir()
    (tmp_path / ".tool" / "other").write_text("private")
    assert read_home(tmp_path, (PATH,)) == {}
    (tmp_path / PATH).write_text(OLD)
    assert read_home(tmp_path, (PATH, ".gone/x")) == {PATH: OLD}
    strange = {
        "link": lambda path: path.symlink_to("/etc/passwd"),
        "fifo": lambda path: os.mkfifo(path),
        "folder": lambda path: path.mkdir(),
        "large": lambda path: path.write_text("x" * (FILE_BYTES + 1)),
        "binary": lambda path: path.write_bytes(b"\xff\xfe"),
    }
    for name, make in strange.items():
        make(tmp_path / ".tool" / name)
        with pytest.raises(InvalidError, match=name):
            read_home(tmp_path, (f".tool/{name}",))


def test_an_agent_gets_what_its_adapter_lists_and_a_shared_login_as_it_is_now(tmp_path: Path) -> None:
    assert [file.path for file in files_for(own(files={PATH: OLD, "more": "x"}), (PATH,))] == [PATH]
    with pytest.raises(InvalidError, match="cronward login tool"):
        files_for(own(), ("elsewhere",))
    (tmp_path / ".tool").mkdir()
    shared = own(kind="shared", files={}, shared_home=str(tmp_path))
    for text in (OLD, NEW):
        (tmp_path / PATH).write_text(text)
        assert [file.text for file in files_for(shared, (PATH,))] == [text]


def test_a_token_goes_to_the_variable_that_is_known_for_it() -> None:
    both = ("TOOL_TOKEN", "TOOL_API_KEY")
    table = [(both, None, False, "TOOL_TOKEN"), (both, None, True, "TOOL_API_KEY"), (both[1:], None, False, both[1])]
    table += [((), "MINE", False, "MINE"), (both, "MINE", True, "MINE")]
    for known, asked, key, wanted in table:
        assert token_variable("tool", known, asked, key=key) == wanted, (known, asked, key)
    for known, asked, key in [((), None, False), (both[:1], None, True), (both, "PATH", False), (both, "a b", False)]:
        with pytest.raises(InvalidError):
            token_variable("tool", known, asked, key=key)
