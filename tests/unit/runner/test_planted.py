"""Which of the things that a run left are named, and why. Real trees are looked through in tests/cell."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from runner import planted
from runner.planted import Folder, judge, leads_out, shown
from runner.walk import Walk

FILE, FOLDER, LINK = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK
PLAIN = Folder("/w", 0, git=False, tools=False)
IN_GIT, HOOKS = Folder("/w/.git", 1, git=True, tools=False), Folder("/w/.git/hooks", 2, git=True, tools=False)
TOOLS = Folder("/w/.claude/a", 2, git=False, tools=True)


def state(mode: int, size: int = 0, blocks: int = 0) -> os.stat_result:
    class Stat:
        st_mode, st_size, st_blocks = mode, size, blocks

    return Stat()  # type: ignore[return-value]


def test_the_verdicts() -> None:
    table = [
        ("notes.txt", FILE | 0o644, PLAIN, None),
        ("run", FILE | 0o744, PLAIN, "executable"),
        ("run", FILE | 0o645, PLAIN, "executable"),
        ("x", FILE | 0o4755, PLAIN, "set-id"),
        ("Makefile", FILE | 0o2755, PLAIN, "set-id"),
        ("x", FOLDER | 0o2755, PLAIN, None),
        ("Makefile", FILE | 0o755, PLAIN, "tool"),
        ("GNUmakefile", FILE | 0o644, PLAIN, "tool"),
        ("CLAUDE.md", FILE | 0o644, PLAIN, "tool"),
        ("x.PTH", FILE | 0o644, PLAIN, "tool"),
        ("vite.config.ts", FILE | 0o644, PLAIN, "tool"),
        ("build", FOLDER | 0o755, PLAIN, None),
        ("Makefile", LINK | 0o777, PLAIN, "tool"),
        ("anything", FILE | 0o644, TOOLS, "tool"),
        (".vscode", FOLDER | 0o755, PLAIN, "tool"),
        (".git", FILE | 0o644, PLAIN, "repository"),
        (".git", FOLDER | 0o755, PLAIN, "repository"),
        (".git", LINK | 0o777, PLAIN, "repository"),
        ("config", FILE | 0o644, IN_GIT, "repository"),
        ("config", FILE | 0o644, PLAIN, None),
        ("index", FILE | 0o644, IN_GIT, None),
        ("post-merge", FILE | 0o644, HOOKS, "repository"),
        ("post-merge", LINK | 0o777, HOOKS, "repository"),
        ("f", stat.S_IFIFO | 0o644, PLAIN, "special"),
        ("s", stat.S_IFSOCK | 0o644, TOOLS, "special"),
        ("hidden", FOLDER | 0o311, PLAIN, "closed"),
        ("hidden", FOLDER | 0o444, PLAIN, "closed"),
    ]
    for name, mode, folder, why in table:
        assert judge(name, state(mode), "", folder) == why, (name, oct(mode), folder)
    assert judge("hole", state(FILE | 0o644, 1 << 40, 8), "", PLAIN) == "sparse"
    assert judge("small", state(FILE | 0o644, 1 << 20, 0), "", PLAIN) is None
    assert judge("full", state(FILE | 0o644, 1 << 30, 1 << 21), "", PLAIN) is None


def test_a_link_that_may_lead_out_is_one_that_does() -> None:
    table = {
        ("x", 0): False,
        ("a/b", 0): False,
        ("..", 0): True,
        ("..", 1): False,
        ("../..", 1): True,
        ("./../x", 1): False,
        ("/w/x", 5): True,
        ("a/../b", 5): True,
        ("../a/..", 5): True,
        ("", 0): False,
    }
    for (link, depth), expected in table.items():
        assert leads_out(link, depth) is expected, (link, depth)


@given(st.text(), st.integers(0, 3))
def test_any_name_is_short_text_in_any_encoding(name: str, times: int) -> None:
    told = shown(os.fsdecode(os.fsencode("/w/" + name.encode("utf-8", "ignore").decode() * 40**times)))
    assert len(json.dumps(told)) <= 2 * planted.PATH_MOST + 10
    told.encode()


def test_a_clock_that_was_set_back_widens_the_look(tmp_path: Path) -> None:
    wall, boot = time.time(), time.clock_gettime(time.CLOCK_BOOTTIME)
    assert abs(planted.since(0.0, wall, boot) - wall) < 1
    assert planted.since(wall - 50, wall, boot) <= wall - 49
    # As if the wall clock had said an hour more when the run began.
    assert abs(planted.since(0.0, wall + 3600, boot) - wall) < 1
    assert planted.since(0.0, wall - 3600, boot) == wall - 3600


def test_a_walk_is_bounded_and_says_so(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"d{number % 5}").mkdir(exist_ok=True)
        (tmp_path / f"d{number % 5}" / f"{number}").touch()
    whole = Walk(1000, 10.0)
    assert len(list(whole.folders(str(tmp_path)))) == 6
    assert (whole.seen, whole.cut) == (35, False)
    few = Walk(20, 10.0)
    list(few.folders(str(tmp_path)))
    assert (few.seen, few.cut) == (20, True)
    times = iter([0.0, 0.0, 0.0, 99.0, 99.0])
    late = Walk(1000, 10.0, lambda: next(times))
    assert len(list(late.folders(str(tmp_path)))) < 6
    assert late.cut


def test_a_walk_follows_no_link_and_believes_no_way_back_that_leads_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "tree" / "a" / "b").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "elsewhere")
    walk = Walk(1000, 10.0)
    seen = []
    for folder, _ in walk.folders(str(tmp_path / "tree")):
        seen.append(folder)
        if folder == "a/b":  # moved away while we are in it
            (tmp_path / "tree" / "a" / "b").rename(tmp_path / "elsewhere" / "b")
    assert (seen, walk.cut) == (["", "a", "a/b"], True)
    assert walk.here == -1
    assert not any(
        str(link.readlink()).startswith(str(tmp_path)) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()
    )
