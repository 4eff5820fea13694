"""Where the walls are, and what lies behind them; the mounting itself is tried by every cell that root makes."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.mounts import ancestors, links_on, outermost, walls_of

paths = st.lists(st.sampled_from("abc"), min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))


@pytest.mark.parametrize(
    ("closed", "walls"),
    [
        (set(), {}),
        ({"/root"}, {"/root": ["/root/.pyenv/3.11", "/root/app"]}),
        ({"/root", "/root/.pyenv"}, {"/root": ["/root/.pyenv/3.11", "/root/app"]}),
        ({"/root/.pyenv"}, {"/root/.pyenv": ["/root/.pyenv/3.11"]}),
        ({"/srv"}, {"/srv": ["/srv/work"]}),
        ({"/srv/work"}, {}),
    ],
)
def test_the_outermost_wall_is_found(closed: set[str], walls: dict[str, list[str]]) -> None:
    wanted = ["/root/.pyenv/3.11", "/root/app", "/srv/work", "/usr"]
    assert walls_of(wanted, lambda directory: directory not in closed) == walls


@given(st.lists(paths))
def test_the_outermost_paths_hold_all_and_not_each_other(wanted: list[str]) -> None:
    kept = outermost(wanted)
    assert all(any(f"{path}/".startswith(f"{outer}/") for outer in kept) for path in wanted)
    assert not any(a != b and f"{a}/".startswith(f"{b}/") for a in kept for b in kept)


def test_a_name_that_begins_alike_is_not_within() -> None:
    assert outermost(["/a/b", "/a/bc", "/a/b/c"]) == ["/a/b", "/a/bc"]


def test_ancestors_come_from_the_top() -> None:
    assert ancestors("/a/b/c") == ["/a", "/a/b"]
    assert ancestors("/a") == []


def test_every_link_on_the_way_is_found(tmp_path: Path) -> None:
    (tmp_path / "real" / "bin").mkdir(parents=True)
    (tmp_path / "real" / "bin" / "python").touch()
    (tmp_path / "minor").symlink_to("real")
    (tmp_path / "venv").symlink_to(tmp_path / "minor")
    found = links_on(str(tmp_path / "venv" / "bin" / "python"))
    assert found == [str(tmp_path / "venv"), str(tmp_path / "minor")]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    assert len(links_on(str(tmp_path / "a"))) == 2
