"""What of the launcher needs no process; the rest is in tests/processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shared.wire import MAX_LINE
from supervisor.spawning.launcher import MAX_SLUG, read_result, slug_of


def test_a_result_is_read_only_from_a_plain_file_of_bounded_size(tmp_path: Path) -> None:
    whole = json.dumps({"type": "result", "run_id": "run-1", "attempt": 2, "reason": "ok"})
    path = tmp_path / "result.json"
    assert read_result(tmp_path, "run-1", 2) is None
    path.write_text(whole)
    assert read_result(tmp_path, "run-1", 2) is not None
    assert read_result(tmp_path, "run-1", 1) is None
    assert read_result(tmp_path, "run-2", 2) is None
    path.write_text(whole[:-1])
    assert read_result(tmp_path, "run-1", 2) is None
    path.write_text(whole + " " * MAX_LINE)
    assert read_result(tmp_path, "run-1", 2) is None
    path.rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_text(whole)
    path.symlink_to(tmp_path / "elsewhere")
    assert read_result(tmp_path, "run-1", 2) is None


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("morning-news", "morning-news"),
        ("Tägliche Übersicht!", "T-gliche--bersicht"),
        ("--now; rm -rf /", "now--rm--rf"),
        ("漢字", ""),
        ("a" * 100, "a" * MAX_SLUG),
        ("a\nb\x1b[2J", "a-b--2J"),
    ],
)
def test_a_name_is_shown_in_ps_as_plain_letters(name: str, slug: str) -> None:
    assert slug_of(name) == slug
