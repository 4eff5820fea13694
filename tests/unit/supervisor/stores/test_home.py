"""Where the home is, and that it is its owner's alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.errors import RefusedError, StoreError
from supervisor.stores.home import SOCKET_PATH_BYTES, Home, own_directory


@pytest.fixture
def any_umask() -> Iterator[None]:
    old = os.umask(0)
    yield
    os.umask(old)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize(
    ("option", "environ", "expected"),
    [
        ("/a", {"CRONWARD_HOME": "/b", "XDG_STATE_HOME": "/c", "HOME": "/d"}, "/a"),
        (None, {"CRONWARD_HOME": "/b", "XDG_STATE_HOME": "/c", "HOME": "/d"}, "/b"),
        (None, {"XDG_STATE_HOME": "/c", "HOME": "/d"}, "/c/cronward"),
        (None, {"XDG_STATE_HOME": "relative", "HOME": "/d"}, "/d/.local/state/cronward"),
        (None, {"CRONWARD_HOME": "", "HOME": "/d"}, "/d/.local/state/cronward"),
        ("/a/./b/../c", {}, "/a/c"),
    ],
)
def test_the_home_is_the_one_that_was_named_nearest(option: str | None, environ: dict[str, str], expected: str) -> None:
    assert Home.resolve(option, environ).root == Path(expected)


def test_a_relative_home_stays_the_same_when_the_process_moves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Home.resolve("here", {}).root == tmp_path / "here"
    assert Home.of("here").root == tmp_path / "here"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_whatever_the_umask_nobody_else_can_enter(tmp_path: Path, any_umask: None, umask: int) -> None:
    home = Home(tmp_path / "state" / "cronward")
    os.umask(umask)
    home.create()
    made = [home.root.parent, home.root, home.jobs, home.runs, home.logs, home.damaged]
    assert [mode(path) for path in made] == [0o700] * 6


def test_an_open_home_of_ours_is_closed(tmp_path: Path) -> None:
    home = Home(tmp_path / "h")
    home.create()
    home.root.chmod(0o755)
    home.jobs.chmod(0o770)
    home.create()
    assert (mode(home.root), mode(home.jobs)) == (0o700, 0o700)


@pytest.mark.parametrize("name", ["", "jobs", "runs", "logs", "damaged"])
def test_a_link_in_the_place_of_a_directory_is_refused(tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    home = Home(tmp_path / "h")
    home.create()
    place = home.root / name
    place.rename(tmp_path / "away")
    place.symlink_to(elsewhere)
    with pytest.raises(RefusedError, match="link"):
        home.create()
    assert not list(elsewhere.iterdir())


def test_a_file_in_the_place_of_the_home_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "h").write_text("mine")
    with pytest.raises(RefusedError, match="no directory"):
        Home(tmp_path / "h").create()
    assert (tmp_path / "h").read_text() == "mine"


def test_a_home_of_somebody_elses_is_refused(tmp_path: Path) -> None:
    theirs = Path("/proc")  # of whatever a mistake here would touch, the least harmful
    if os.geteuid() == 0:
        theirs = tmp_path / "theirs"
        theirs.mkdir()
        os.chown(theirs, 12345, 12345)
    with pytest.raises(RefusedError, match="belongs to"):
        Home(theirs).create()


def test_a_home_that_cannot_be_made_is_a_sentence() -> None:
    with pytest.raises(StoreError, match="cannot be made or opened: No such file"):
        Home(Path("/proc/cronward")).create()


def test_a_name_too_long_for_the_file_system_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="too long"):
        own_directory(tmp_path / ("x" * 300))


def home_with_socket_of(length: int) -> Home:
    home = Home(Path("/" + "h" * (length - len("//control.sock"))), runtime=Path("/run/user/1000"))
    assert len(str(home.root / "control.sock")) == length
    return home


def test_the_socket_lies_in_the_home_while_its_path_fits() -> None:
    home = home_with_socket_of(SOCKET_PATH_BYTES)
    assert home.socket == home.root / "control.sock"


def test_a_longer_path_moves_the_socket_to_the_runtime_directory() -> None:
    home = home_with_socket_of(SOCKET_PATH_BYTES + 1)
    assert home.socket.parent == Path("/run/user/1000/cronward")
    assert len(str(home.socket)) <= SOCKET_PATH_BYTES
    assert home.socket != home_with_socket_of(SOCKET_PATH_BYTES + 2).socket


def test_the_length_is_counted_in_bytes() -> None:
    root = Path("/" + "é" * 50)
    assert len(str(root / "control.sock")) < SOCKET_PATH_BYTES
    assert Home(root).socket.parent != root


@pytest.mark.parametrize("runtime", [None, Path("/" + "r" * 120)])
def test_without_a_runtime_directory_that_fits_the_socket_is_under_tmp(runtime: Path | None) -> None:
    home = Home(Path("/" + "h" * 120), runtime)
    assert home.socket.parent == Path(f"/tmp/cronward-{os.geteuid()}")


def test_the_runtime_directory_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / ("h" * 110), runtime=tmp_path)
    home.create()
    if home.socket.parent.parent == tmp_path:
        assert mode(home.socket.parent) == 0o700


def test_a_runtime_directory_that_is_not_absolute_counts_as_none() -> None:
    assert Home.resolve("/a", {"XDG_RUNTIME_DIR": "run"}).runtime is None
    assert Home.resolve("/a", {"XDG_RUNTIME_DIR": "/run/user/1"}).runtime == Path("/run/user/1")


def test_the_logs_of_an_attempt_lie_under_its_run() -> None:
    assert Home(Path("/h")).log_dir("r1", 2) == Path("/h/logs/r1/2")
