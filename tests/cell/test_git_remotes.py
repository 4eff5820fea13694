"""Git in a cell, with a remote over https: a granted token, a name that is configured, and nothing of the owner's."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gitserver import GitServer, git_server
from tests.house import House, house
from tests.lacks import need
from tests.repositories import git

pytestmark = need("cell", "git", "openssl")
TOKEN = "tok-canary-of-git-4711"


@pytest.fixture
def served() -> Iterator[GitServer]:
    with tempfile.TemporaryDirectory(prefix="served-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        with git_server(Path(folder), TOKEN) as server:
            yield server


@pytest.fixture
def working(tmp_path: Path, served: GitServer) -> Iterator[House]:
    own = tmp_path / "own"
    for name in (".ssh/id_ed25519", ".gitconfig", ".git-credentials"):
        (own / name).parent.mkdir(parents=True, exist_ok=True)
        (own / name).write_text("[user]\n\tname = canary of the owner\n")
    environ = {
        "HOME": str(own),
        "SSH_AUTH_SOCK": str(own / "agent.sock"),
        "CRONWARD_CA_BUNDLE": str(served.certificate),
    }
    environ |= {"CRONWARD_GIT_NAME": "Ada's agent", "CRONWARD_GIT_EMAIL": "ada@example.com"}
    with house(tmp_path, **environ) as made:
        assert made.cronward("secret", "set", "GIT_TOKEN", stdin=TOKEN).returncode == 0
        made.start()
        yield made


def run(working: House, served: GitServer, script: str, **fields: Any) -> dict[str, Any]:
    usual = {"network": "allow", "allow_hosts": [served.host], "retries": 0}
    job = working.run_now(command=f"/bin/sh -ec '{script}'", **{**usual, **fields})
    (ended,) = working.ended(job["id"], within=60.0)
    return ended


def granted(served: GitServer) -> dict[str, Any]:
    return {"git_credentials": [f"me@{served.host}=GIT_TOKEN"]}


def test_an_agent_clones_commits_pushes_and_fetches_with_a_token_that_is_nowhere(
    working: House, served: GitServer
) -> None:
    script = (
        f"git clone -q {served.url} one 2>/dev/null; cd one; echo hello >file; git add file; git commit -qm first; "
        f"git push -q origin HEAD:main; cd ..; git clone -q {served.url} two; cat two/file; git -C two fetch -q; "
        'env; cat two/.git/config; tr "\\\\0" " " </proc/self/cmdline; ls -A ~'
    )
    ended = run(working, served, script, **granted(served))
    assert ended["status"] == "completed", ended
    assert git(served.repository, "show", "main:file") == "hello"
    assert (
        git(served.repository, "log", "-1", "--format=%an <%ae> %cn", "main")
        == "Ada's agent <ada@example.com> Ada's agent"
    )
    assert set(served.users) == {"me"}
    everything = json.dumps(ended) + (Path(ended["log_dir"]) / "stdout").read_text()
    assert TOKEN not in everything
    assert "[secret GIT_TOKEN]" not in everything, "it was not even there to be masked"


def test_without_a_credential_nobody_is_asked_for_a_password(working: House, served: GitServer) -> None:
    ended = run(working, served, f"git ls-remote {served.url}")
    assert (ended["status"], served.users) == ("failed", [])
    assert ended["duration"] < 30e9


def test_nothing_of_the_owners_git_or_ssh_is_in_a_cell(working: House, served: GitServer) -> None:
    script = (
        "ls -A ~; env | grep -c SSH_ || true; "
        'git config --list --show-origin | grep -c "canary\\|\\.gitconfig" || true; '
        "git config user.name; ls -d /root/.ssh /home/*/.ssh 2>/dev/null | wc -l"
    )
    ended = run(working, served, script, **granted(served))
    assert ended["response"].split("\n")[:-1] == ["scratch", "0", "0", "agent", "0"], ended


def test_a_token_goes_to_no_other_host(working: House, served: GitServer) -> None:
    with (
        tempfile.TemporaryDirectory(prefix="served-", dir="/tmp") as folder,
        git_server(Path(folder), "other") as other,
    ):
        script = f"export GIT_SSL_NO_VERIFY=1; git ls-remote {other.url} || true; git ls-remote {served.url}"
        fields = {**granted(served), "allow_hosts": [served.host, other.host]}
        ended = run(working, served, script, **fields)
        assert ended["status"] == "completed", ended
        assert (other.users, other.refused > 0, set(served.users)) == ([], True, {"me"})


def test_a_credential_is_granted_by_its_option_and_dropped_by_an_edit(working: House, served: GitServer) -> None:
    add = ("add", "--every", "1h", "--prompt", "x", "--command", "true", "--name", "one", "--allow-host", served.host)
    done = working.cronward(*add, "--git-credential", f"{served.host}=GIT_TOKEN")
    assert done.returncode == 0, done.stderr
    (secret,) = working.json("secret", "list")
    assert secret["jobs"] == ["one"]
    done = working.cronward("edit", "one", "--prompt", "y")
    assert f"--git-credential {served.host}=GIT_TOKEN" in done.stderr
    assert working.json("show", "one")["git_credentials"] == []
    for wrong in ("elsewhere.example=GIT_TOKEN", f"{served.host}=NOT_SET", "nothing"):
        assert working.cronward("edit", "one", "--git-credential", wrong).returncode == 2, wrong
