"""The work directory: shown at its own path, with the rights that the agent's user has there, or refused."""

from __future__ import annotations

import os
from pathlib import Path

from tests.driver import execute, request
from tests.lacks import need

pytestmark = need("cell")


def test_a_writable_work_directory_is_where_the_agent_starts(log_dir: Path, work_dir: Path) -> None:
    result = execute(request(log_dir, "sh", "-c", "pwd; echo made > made", work_dir=str(work_dir)))
    assert (result["reason"], result["response"]) == ("ok", f"{work_dir}\n")
    assert (work_dir / "made").read_text() == "made\n"
    assert (work_dir / "made").stat().st_uid == work_dir.stat().st_uid


def test_nothing_around_a_work_directory_is_shown(log_dir: Path, work_dir: Path) -> None:
    (work_dir.parent / "secret").write_text("secret")
    (work_dir.parent / "secret").chmod(0o666)
    script = f"ls -A {work_dir.parent}; touch {work_dir.parent}/x 2>/dev/null; true"
    result = execute(request(log_dir, "sh", "-c", script, work_dir=str(work_dir)))
    assert result["response"] == f"{work_dir.name}\n"
    assert sorted(path.name for path in work_dir.parent.iterdir()) == ["secret", work_dir.name]


def test_one_that_can_only_be_read_is_shown_read_only(log_dir: Path, work_dir: Path) -> None:
    (work_dir / "file").write_text("readable")
    (work_dir / "file").chmod(0o644)
    if os.geteuid() == 0:
        os.chown(work_dir, 0, 0)
    work_dir.chmod(0o555)
    script = f"pwd; cat {work_dir}/file; touch {work_dir}/x 2>/dev/null || echo; : > here && echo read-only"
    result = execute(request(log_dir, "sh", "-c", script, work_dir=str(work_dir)))
    work_dir.chmod(0o755)
    assert result["response"] == "/home/agent/scratch\nreadable\nread-only\n"


def test_one_that_cannot_be_read_is_a_bad_definition(log_dir: Path, work_dir: Path) -> None:
    if os.geteuid() == 0:
        os.chown(work_dir, 0, 0)
    work_dir.chmod(0o000)
    result = execute(request(log_dir, "true", work_dir=str(work_dir)))
    work_dir.chmod(0o755)
    assert result["reason"] == "bad_definition"
    assert f"{work_dir} cannot be read" in result["error"]


def test_one_that_is_not_there_is_a_bad_definition(log_dir: Path, tmp_path: Path) -> None:
    result = execute(request(log_dir, "true", work_dir=str(tmp_path / "gone")))
    assert result["reason"] == "bad_definition"
    assert "is not there" in result["error"]


def test_one_that_holds_the_state_is_refused_also_through_a_link(log_dir: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        tmp_path.chmod(0o755)
    link = tmp_path.parent / f"{tmp_path.name}-link"
    link.symlink_to(tmp_path)
    for path in (tmp_path, link):
        result = execute(request(log_dir, "true", work_dir=str(path)))
        assert (result["reason"], "state" in result["error"]) == ("bad_definition", True), result
        for left in log_dir.iterdir():
            left.unlink()


def test_one_below_the_private_tmp_is_still_itself(log_dir: Path, work_dir: Path) -> None:
    (work_dir / "mine").touch()
    script = "ls; ls -A /tmp | head -3"
    result = execute(request(log_dir, "sh", "-c", script, work_dir=str(work_dir)))
    assert result["response"].splitlines()[0] == "mine"
