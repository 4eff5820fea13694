"""What makes git work in a cell: names from the configuration, tokens from files, nothing of the owner's own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from supervisor.config import Config
from supervisor.definitions.gitgrants import check_git, credentials_of, environment
from supervisor.errors import InvalidError
from supervisor.models import CronJob
from tests.fakes import make_job

REACH = {"network": "allow", "allow_hosts": ("github.com", ".corp.example", "git.example:8443")}


def job(*credentials: str, **fields: object) -> CronJob:
    return make_job(**{**REACH, "git_credentials": credentials, **fields})


def test_a_credential_is_for_one_host_that_the_job_can_reach() -> None:
    good = ["github.com=TOKEN", "GitHub.com=TOKEN", "me@github.com=TOKEN", "a.corp.example=T", "git.example:8443=T"]
    for text in good:
        check_git(job(text))
    check_git(job("anything.example=T", network="public", allow_hosts=()))
    bad = ["", "=T", "https://github.com=T", ".corp.example=T", "gitlab.com=T", "a b@github.com=T", "git.example=T"]
    bad += ["github.com", "x=10.0.0.1=T", "github.com/me=T", "*.corp.example=T", "github.com:22=T", "localhost=T"]
    for text in bad:
        with pytest.raises(InvalidError):
            check_git(job(text))
    for wrong in (job("github.com=A", "GITHUB.com=B"), job(*["github.com=A"] * 9), job("github.com=A", network="none")):
        with pytest.raises(InvalidError):
            check_git(wrong)


def test_no_sentence_repeats_what_may_be_a_token() -> None:
    with pytest.raises(InvalidError) as error:
        check_git(job("gitlab.com=ghp_0123456789abcdef"))
    assert "ghp_" not in str(error.value)


def test_nothing_is_said_where_nothing_is_asked_for() -> None:
    assert environment(make_job(), Config()) == {}


def test_who_commits_is_who_the_configuration_says() -> None:
    said = environment(make_job(), Config(git_name="Ada's agent", git_email="ada@example.com"))
    assert said == {
        "GIT_AUTHOR_NAME": "Ada's agent",
        "GIT_COMMITTER_NAME": "Ada's agent",
        "GIT_AUTHOR_EMAIL": "ada@example.com",
        "GIT_COMMITTER_EMAIL": "ada@example.com",
    }


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_itself_finds_token_user_and_remote(tmp_path: Path) -> None:
    """The real git, with what we set and no other configuration: two processes of it."""
    (tmp_path / "TOKEN").write_text('tok\'en "$HOME" `id` %s')
    env = environment(job("me@github.com=TOKEN"), Config()) | {"CRONWARD_SECRETS": str(tmp_path)}
    # Of others nobody is asked, though they come first.
    (tmp_path / ".gitconfig").write_text('[credential]\n\thelper = "!cat >asked; :"\n')
    env |= {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}

    def git(*words: str, said: str = "") -> str:
        argv = ["git", *words]
        return subprocess.run(
            argv, env=env, cwd=tmp_path, input=said, capture_output=True, text=True, check=True
        ).stdout

    filled = git("credential", "fill", said="protocol=https\nhost=github.com\n\n").splitlines()
    assert {"username=me", 'password=tok\'en "$HOME" `id` %s'} <= set(filled)
    assert git("ls-remote", "--get-url", "git@github.com:ada/tool.git").strip() == "https://github.com/ada/tool.git"
    assert not (tmp_path / "asked").exists()
    (tmp_path / ".gitconfig").unlink()
    with pytest.raises(subprocess.CalledProcessError):
        git("credential", "fill", said="protocol=https\nhost=elsewhere.example\n\n")
    assert not any("tok'en" in value for value in env.values())


def test_what_is_granted_for_git_is_read_as_it_is_written() -> None:
    found = credentials_of(job("me@GitHub.com:8443=TOKEN", "a.example=B"))
    assert [tuple(each) for each in found] == [("github.com:8443", "TOKEN", "me"), ("a.example", "B", "")]
