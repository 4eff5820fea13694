"""The paths that a job names: settled when it is added, looked at again before each attempt, refused in a sentence."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from supervisor.definitions import paths
from supervisor.definitions.paths import check_paths, settle_paths
from supervisor.errors import InvalidError
from supervisor.models import CronJob
from tests.fakes import make_job
from tests.lacks import need


def settled(home: Path, **fields: Any) -> CronJob:
    return settle_paths(make_job(**fields), home)


def refusal(home: Path, **fields: Any) -> str:
    with pytest.raises(InvalidError) as refused:
        settled(home, **fields)
    return str(refused.value)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "state" / "jobs").mkdir(parents=True)
    return tmp_path / "state"


def test_links_are_followed_once_and_what_is_named_twice_is_kept_once(tmp_path: Path, home: Path) -> None:
    (real := tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    job = settled(home, read_paths=(f"{tmp_path}/link", str(real)), write_paths=(f"{real}/../real/.",)[:0])
    assert (job.read_paths, job.write_paths) == ((str(real),), ())
    job = settled(home, write_paths=(f"{tmp_path}/link/../real",))
    assert job.write_paths == (str(real),)


def test_what_no_agent_may_see_is_refused_in_a_sentence(tmp_path: Path, home: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "to-state").symlink_to(home)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (repository := tmp_path / "repository" / ".git" / "hooks").mkdir(parents=True)
    table: list[tuple[str, str]] = [
        ("relative", "relative"),
        ("", "relative"),
        ("/no/such/path", "No such file"),
        ("/nul\0", "printable"),
        ("/esc\x1b", "printable"),
        ("/half\udcff", "printable"),
        ("/", "own state"),
        (str(home), "own state"),
        (str(home / "jobs"), "own state"),
        (str(tmp_path), "own state"),
        (str(tmp_path / "to-state"), "own state"),
        (str(tmp_path / "loop"), "cannot be used"),
        (str(tmp_path / "pipe"), "neither a file nor a directory"),
        ("/proc/self", "take the place"),
        ("/proc", "take the place"),
        ("/dev/null", "neither a file nor a directory"),
        ("/dev", "take the place"),
        ("/usr", "The path to be"),
        ("/home", "The path to be"),
        (str(Path(paths.__file__).parents[1]), "programs of cronward"),
        (str(Path(paths.__file__).parents[2]), "programs of cronward"),
        (str(Path(paths.__file__).parents[1] / "cli"), "programs of cronward"),
    ]
    for path, words in table:
        for field in ("read_paths", "write_paths"):
            said = refusal(home, **{field: (path,)})
            assert words in said, (field, path, said)
            assert said.endswith(".")
            assert said.isprintable()
    for path in ("/etc/ssl/certs", "/usr/share"):
        assert settled(home, read_paths=(path,)).read_paths
        assert "operating system's" in refusal(home, write_paths=(path,))
    assert "given both" in refusal(home, read_paths=(str(repository),), write_paths=(str(repository),))
    for fields in ({"write_paths": (str(repository),)}, {"work_dir": str(repository)}):
        assert "repository's own directory" in refusal(home, **fields)
        assert settled(home, git_write=True, **fields)
    assert settled(home, work_dir=str(repository), work_mode="read")
    assert "at most 32" in refusal(home, read_paths=tuple(f"/{number}" for number in range(33)))


@need("user")
def test_what_is_written_belongs_to_the_user(tmp_path: Path, home: Path) -> None:
    (tmp_path / "closed").mkdir(0o555)
    for path in (str(tmp_path / "closed"), "/var/lib"):
        assert "has to belong to you" in refusal(home, write_paths=(path,))


def test_a_link_put_there_later_is_noticed_before_an_attempt(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    for fields in ({"read_paths": (f"{tmp_path}/one",)}, {"write_paths": (f"{tmp_path}/one",)}):
        check_paths(make_job(**fields))
    (tmp_path / "one").rmdir()
    for fields in ({"read_paths": (f"{tmp_path}/one",)}, {"write_paths": (f"{tmp_path}/one",)}):
        with pytest.raises(InvalidError, match="is gone"):
            check_paths(make_job(**fields))
    (tmp_path / "one").symlink_to("other")
    for fields in ({"read_paths": (f"{tmp_path}/one",)}, {"write_paths": (f"{tmp_path}/one",)}):
        with pytest.raises(InvalidError, match="a link stands"):
            check_paths(make_job(**fields))


def test_a_directory_that_became_a_chain_of_links_is_gone(tmp_path: Path) -> None:
    """Longer than the kernel would follow, and than Python's stack is deep: an agent can make it in a write path."""
    for number in range(1500):
        (tmp_path / f"link{number}").symlink_to(f"link{number + 1}")
    place = str(tmp_path / "link0")
    for fields in ({"work_dir": place}, {"write_paths": (place,)}):
        with pytest.raises(InvalidError, match="gone, or a link"):
            check_paths(make_job(**fields))


def test_what_is_no_path_at_all_is_gone_before_an_attempt() -> None:
    for no_path in ("/tmp/a\x00b", "/tmp/\ud800"):
        for fields in ({"work_dir": no_path}, {"read_paths": (no_path,)}):
            with pytest.raises(InvalidError, match="is gone"):
                check_paths(make_job(**fields))
