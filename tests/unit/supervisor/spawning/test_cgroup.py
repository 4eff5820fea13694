"""Where a cgroup of our own is to be had, on folders that look like cgroups. The real thing is tried in a VM."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor.spawning.cgroup import Cgroup, CgroupError, Leaf, check, claim, own_path, settings
from tests.driver import limits
from tests.lacks import need

V2 = "25 30 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
CONTAINER = "25 30 0:26 /pod/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
HYBRID = "31 30 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" + V2.replace("cgroup ", "cgroup/unified ")
FILES = {
    "cgroup.controllers": "cpuset cpu io memory pids\n",
    "cgroup.procs": "4711\n",
    "cgroup.subtree_control": "",
    "cgroup.type": "domain\n",
    "cgroup.kill": "",
}


def cgroup(folder: Path, **changed: str | None) -> Path:
    """`changed` by name with `_` for the dot; None: no such file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in {**FILES, **{name.replace("_", ".", 1): text for name, text in changed.items()}}.items():
        if text is not None:
            (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("mine", "mounts", "found"),
    [
        ("0::/user.slice/a.scope\n", V2, "/sys/fs/cgroup/user.slice/a.scope"),
        ("0::/\n", V2, "/sys/fs/cgroup"),
        ("12:pids:/x\n0::/a:b\n", HYBRID, "/sys/fs/cgroup/unified/a:b"),
        ("0::/pod/abc/x\n", CONTAINER, "/sys/fs/cgroup/x"),
        ("0::/pod/abc\n", CONTAINER, "/sys/fs/cgroup"),
    ],
)
def test_our_cgroup_is_found(mine: str, mounts: str, found: str) -> None:
    assert own_path(mine, mounts) == Path(found)


@pytest.mark.parametrize(
    ("mine", "mounts"), [("", V2), ("4:memory:/x\n", V2), ("0::/x\n", ""), ("0::/pod/abcd\n", CONTAINER), ("x", "y - ")]
)
def test_where_there_is_none_a_sentence_says_so(mine: str, mounts: str) -> None:
    with pytest.raises(CgroupError, match=r"\.$"):
        own_path(mine, mounts)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"cgroup_controllers": "cpu io\n"}, "no controller memory and pids"),
        ({"cgroup_controllers": "cpu memory\n"}, "no controller pids"),
        ({"cgroup_procs": "4711\n12\n"}, "other processes"),
        ({"cgroup_type": None}, "root"),
        ({"cgroup_kill": None}, "5.14"),
        ({"cgroup_subtree_control": None}, "not ours to write"),
        ({"cgroup_procs": None}, "cannot be read"),
    ],
)
def test_what_cannot_be_had_is_not_touched(tmp_path: Path, changed: dict[str, str | None], words: str) -> None:
    path = cgroup(tmp_path / "me", **changed)
    with pytest.raises(CgroupError, match=words):
        claim(path, 4711)
    assert not (path / "supervisor").exists()


def test_only_controllers_that_are_used_are_shared_out(tmp_path: Path) -> None:
    assert check(cgroup(tmp_path / "me"), 4711) == {"memory", "pids", "cpu"}
    assert check(cgroup(tmp_path / "less", cgroup_controllers="pids memory"), 4711) == {"memory", "pids"}


@need("user")
def test_a_cgroup_of_roots_is_not_ours(tmp_path: Path) -> None:
    path = cgroup(tmp_path / "me")
    path.chmod(0o500)
    with pytest.raises(CgroupError, match="not ours to write"):
        check(path, 4711)


def test_a_claim_that_fails_half_way_is_taken_back(tmp_path: Path) -> None:
    """A folder's new cgroup has no files of its own here: the move itself is what fails."""
    path = cgroup(tmp_path / "me")
    with pytest.raises(CgroupError, match="cannot be shared out"):
        claim(path, 4711)
    assert not (path / "supervisor").exists()


def test_where_the_controllers_are_not_shared_out_we_move_back(tmp_path: Path) -> None:
    path = cgroup(tmp_path / "me", cgroup_subtree_control=None, cgroup_procs="")
    cgroup(path / "supervisor", cgroup_procs="")
    (path / "cgroup.subtree_control").mkdir()  # which can be opened, but not to write
    with pytest.raises(CgroupError, match="cannot be shared out"):
        claim(path, 4711)
    assert (path / "supervisor" / "cgroup.procs").read_text() == "4711"
    assert (path / "cgroup.procs").read_text() == "4711"


def test_a_claim_moves_us_first_and_shares_out_then(tmp_path: Path) -> None:
    path = cgroup(tmp_path / "me")
    cgroup(path / "supervisor", cgroup_procs="")
    assert claim(path, 4711) == Cgroup(path, frozenset({"cpu", "memory", "pids"}))
    assert (path / "supervisor" / "cgroup.procs").read_text() == "4711"
    assert (path / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_the_limits_of_a_run_are_those_of_its_leaf() -> None:
    asked = limits(memory_bytes=1 << 30, processes=9, cpu_percent=150)
    common = {"memory.max": "1073741824", "memory.oom.group": "1", "pids.max": "9"}
    assert settings(asked, frozenset({"memory", "pids", "cpu"})) == {**common, "cpu.max": "150000 100000"}
    assert settings(asked, frozenset({"memory", "pids"})) == common
    assert settings(limits(memory_bytes=1 << 30, processes=9), frozenset({"cpu"})) == common


def test_a_leaf_that_cannot_be_limited_is_none(tmp_path: Path) -> None:
    found = Cgroup(tmp_path, frozenset({"memory", "pids"}))
    with pytest.raises(CgroupError, match="No cgroup can be made"):
        found.leaf("run", 1, limits())
    assert list(tmp_path.iterdir()) == []


def test_leaves_go_bottom_up(tmp_path: Path) -> None:
    (tmp_path / "run-1.1" / "a" / "b").mkdir(parents=True)
    assert Leaf(tmp_path / "run-1.1").clear()
    assert not (tmp_path / "run-1.1").exists()
    assert Leaf(tmp_path / "run-1.1").clear()  # gone already


def test_a_leaf_in_which_something_still_dies_stays(tmp_path: Path) -> None:
    leaf = tmp_path / "run-1.1"
    leaf.mkdir()
    (leaf / "cgroup.kill").write_text("")  # and a folder with a file in it cannot be removed
    assert not Leaf(leaf).clear()
    assert (leaf / "cgroup.kill").read_text() == "1"


def test_what_a_predecessor_left_is_ended_and_nothing_else(tmp_path: Path) -> None:
    for name in ("run-1.1", "run-2.1", "supervisor", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "run-2.1" / "stuck").write_text("")
    (tmp_path / "run-file").write_text("")
    left = Cgroup(tmp_path, frozenset()).sweep()
    assert [leaf.path.name for leaf in left] == ["run-2.1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "run-2.1", "run-file", "supervisor"]
