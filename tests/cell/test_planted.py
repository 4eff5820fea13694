"""What a run left in its work directory, and the paths that a job names, in real cells."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from runner.planted import MARGIN_SECONDS
from shared.messages import Cell
from tests.driver import execute, request, run_as
from tests.lacks import need

pytestmark = need("cell")
DEEP = 1200


def own(*paths: Path) -> None:
    if ids := run_as():
        for path in paths:
            os.lchown(path, ids.uid, ids.gid)


def in_cell(log_dir: Path, script: str, **cell: Any) -> dict[str, Any]:
    for left in log_dir.iterdir():
        left.unlink()
    asked = Cell(run_as=run_as(), **{key: str(path) if key == "work_dir" else path for key, path in cell.items()})
    return execute(request(log_dir, "sh", "-c", script, cell=asked))


def named(result: dict[str, Any], below: Path) -> dict[str, str]:
    found = result["planted"]["found"]
    return {one["path"].removeprefix(f"{below}/"): one["why"] for one in found}


LEFT = """
mkdir -p .vscode sub/.claude/hooks closed
echo x > .envrc; echo x > sub/conftest.py; echo x > .vscode/tasks.json; echo x > sub/.claude/settings.json
echo x > sub/.claude/hooks/pre; echo x > notes.txt; echo x > run.sh; chmod +x run.sh; echo more >> Makefile
mkfifo pipe; ln -s /etc/passwd out; ln -s ../../x up; ln -s notes.txt in; ln -s sub/../../y odd
truncate -s 40M hole; echo x > secret.pth; cp old.sh new.sh; mv package.json sub/package.json
echo x > "$(printf 'e\\033[31mvil\\377.pth')"; chmod 0 closed
mkdir listed; : > listed/x; chmod 444 listed
"""


def test_what_tools_would_run_is_named_and_the_rest_is_not(log_dir: Path, work_dir: Path) -> None:
    for name in ("Makefile", "package.json", "old.sh", "kept.pth", ".npmrc"):
        (work_dir / name).write_text("old\n")
        os.utime(work_dir / name, (1, 1))
        own(work_dir / name)
    (work_dir / "old.sh").chmod(0o755)
    settle()
    result = in_cell(log_dir, LEFT, work_dir=work_dir)
    assert result["reason"] == "ok", result
    assert named(result, work_dir) == {
        **dict.fromkeys((".envrc", "sub/conftest.py", ".vscode/", ".vscode/tasks.json", "sub/.claude/"), "tool"),
        **dict.fromkeys(("sub/.claude/settings.json", "sub/.claude/hooks/pre", "Makefile", "secret.pth"), "tool"),
        **dict.fromkeys(("sub/package.json", "e\x1b[31mvil\\xff.pth"), "tool"),
        **dict.fromkeys(("run.sh", "new.sh"), "executable"),
        **dict.fromkeys(("out", "up", "odd"), "link"),
        "pipe": "special",
        "hole": "sparse",
        "closed/": "closed",
        "listed/": "closed",
    }
    planted = result["planted"]
    assert (planted["count"], planted["whole"]) == (len(planted["found"]), True)
    for name in ("closed", "listed"):
        (work_dir / name).chmod(0o755)


def settle() -> None:
    """Until what was made before is older than the margin within which nobody can tell."""
    time.sleep(MARGIN_SECONDS + 0.1)


def test_what_was_there_before_is_not_named_whatever_its_time_says(log_dir: Path, work_dir: Path) -> None:
    (work_dir / "Makefile").write_text("old\n")
    (work_dir / "conftest.py").write_text("old\n")
    own(work_dir / "Makefile", work_dir / "conftest.py")
    settle()
    result = in_cell(log_dir, "echo new > conftest.py; touch -d '2001-01-01' conftest.py", work_dir=work_dir)
    assert named(result, work_dir) == {"conftest.py": "tool"}


def test_a_tree_of_1200_levels_is_looked_through_to_its_end(log_dir: Path, open_dir: Path) -> None:
    program = (
        "import os\n"
        f"for _ in range({DEEP}):\n os.mkdir('d' * 20); os.chdir('d' * 20)\n"
        "open('.envrc', 'w').close(); os.symlink('..', 'loop'); os.symlink('../' * 1300, 'out')\n"
    )
    result = in_cell(log_dir, f'exec /usr/bin/python3 -c "{program}"', work_dir=open_dir)
    assert result["reason"] == "ok", result
    found = [(one["path"][-6:], one["why"]) for one in result["planted"]["found"]]
    assert sorted(found) == [(".envrc"[-6:], "tool"), ("dd/out", "link")]
    assert result["planted"]["seen"] == DEEP + 3


def test_of_many_the_first_are_named_and_all_are_counted(log_dir: Path, work_dir: Path) -> None:
    script = "i=0; while [ $i -lt 150 ]; do : > x$i; chmod +x x$i; : > y$i.pth; i=$((i+1)); done; : > .envrc"
    planted = in_cell(log_dir, script, work_dir=work_dir)["planted"]
    assert (planted["count"], len(planted["found"])) == (301, 100)
    assert {one["why"] for one in planted["found"]} == {"tool"}


def test_nobody_looks_where_nothing_could_be_written(log_dir: Path, work_dir: Path) -> None:
    assert in_cell(log_dir, "true")["planted"] is None
    assert in_cell(log_dir, "true", work_dir=work_dir, work_mode="read")["planted"] is None


# ---- paths that the job names


def test_paths_are_shown_at_their_own_places_with_their_rights(log_dir: Path, work_dir: Path) -> None:
    for name in ("read", "write", "hidden"):
        (work_dir / name).mkdir()
        (work_dir / name / "file").write_text(f"{name}\n")
        (work_dir / name / "file").chmod(0o644)
        own(work_dir / name, work_dir / name / "file")
    (work_dir / "one").write_text("one file\n")
    (work_dir / "one").chmod(0o644)
    script = (
        f"cd {work_dir}; ls; cat read/file one; echo new > write/new; echo x > read/x 2>/dev/null || echo no;"
        " (echo x >> one) 2>/dev/null || echo no; echo x > write/.envrc"
    )
    read, write = (str(work_dir / "read"), str(work_dir / "one")), (str(work_dir / "write"),)
    result = in_cell(log_dir, script, read_paths=read, write_paths=write)
    assert result["response"] == "one\nread\nwrite\nread\none file\nno\nno\n", result
    assert (work_dir / "write" / "new").read_text() == "new\n"
    assert named(result, work_dir) == {"write/.envrc": "tool"}


def test_the_inner_path_decides(log_dir: Path, work_dir: Path) -> None:
    for path in (work_dir / "kept", work_dir / "kept" / "open"):
        path.mkdir()
        own(path)
    script = "touch a kept/open/b; touch kept/c 2>/dev/null || echo no; mv kept x 2>/dev/null || echo no"
    asked = {"read_paths": (str(work_dir / "kept"),), "write_paths": (str(work_dir / "kept" / "open"),)}
    assert in_cell(log_dir, script, work_dir=work_dir, **asked)["response"] == "no\nno\n"
    assert (work_dir / "kept" / "open" / "b").exists()


def test_a_path_that_is_not_as_it_was_is_refused_in_a_sentence(log_dir: Path, work_dir: Path) -> None:
    (work_dir / "real").mkdir()
    (work_dir / "link").symlink_to("real")
    (work_dir / "real" / "inner").mkdir()
    os.mkfifo(work_dir / "pipe")
    other = work_dir / "other"
    other.mkdir(mode=0o555)
    own(work_dir / "real", work_dir / "pipe")
    table = [
        ({"read_paths": (f"{work_dir}/link",)}, "A link stands"),
        ({"write_paths": (f"{work_dir}/link/inner",)}, "A link stands"),
        ({"read_paths": (f"{work_dir}/gone",)}, "is not there"),
        ({"read_paths": (f"{work_dir}/pipe",)}, "neither a file nor a directory"),
        ({"write_paths": (f"{other}",)}, "cannot be written"),
        ({"read_paths": (str(log_dir),)}, "state" if os.geteuid() else "cannot be read"),
        ({"read_paths": ("/proc",)}, "the cell's own"),
    ]
    for cell, words in table:
        result = in_cell(log_dir, "true", **cell)
        assert (result["reason"], words in result["error"]) == ("bad_definition", True), (cell, result)


@pytest.mark.parametrize("exchanged", ["work_dir", "read_paths"])
def test_a_path_that_is_exchanged_before_it_is_mounted_starts_no_agent(
    log_dir: Path, open_dir: Path, exchanged: str
) -> None:
    """By a bubblewrap that puts another directory there first, as a neighbour with the right timing could."""
    (path := open_dir / "path").mkdir()
    (secret := open_dir / "secret").mkdir()
    own(path, secret)
    wrapper = open_dir / "bwrap"
    wrapper.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] || {{ rmdir {path}; ln -s {secret} {path}; }}\nexec bwrap "$@"\n'
    )
    wrapper.chmod(0o755)
    cell = {"work_dir": path} if exchanged == "work_dir" else {"read_paths": (str(path),)}
    result = in_cell(log_dir, "touch /tmp/ran; echo ran", bwrap=str(wrapper), **cell)
    assert result["reason"] == "sandbox_unavailable", result
    assert "exchanged" in result["error"]
    assert result["response"] == ""
