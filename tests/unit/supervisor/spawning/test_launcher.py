"""What of the launcher needs no process; the rest is in tests/processes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from shared.wire import MAX_LINE
from supervisor.spawning.figures import flaw
from supervisor.spawning.launcher import _RESULT, MAX_SLUG, read_result, slug_of


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


USAGE = {"wall_seconds": 1.0, "cpu_seconds": 1.0, "peak_rss_bytes": 1, "output_bytes": 1}


@pytest.mark.parametrize(
    "said",
    [
        {"usage": {**USAGE, "wall_seconds": math.nan}},
        {"usage": {**USAGE, "wall_seconds": math.inf}},
        {"usage": {**USAGE, "cpu_seconds": -1e300}},
        {"usage": {**USAGE, "peak_rss_bytes": 10**4200}},
        {"left_behind": 1 << 64},
        {"gate": {"seconds": math.nan}},
    ],
    ids=str,
)
def test_a_figure_that_nobody_can_mean_is_not_believed(tmp_path: Path, said: dict[str, Any]) -> None:
    """It would be stored, and the run be readable by nobody."""
    whole = {"type": "result", "run_id": "run-1", "attempt": 2, "reason": "ok"}
    (tmp_path / "result.json").write_text(json.dumps({**whole, **said}))
    assert read_result(tmp_path, "run-1", 2) is None
    message = _RESULT.validate_python(_RESULT.validate_json(json.dumps({**whole, **said})))
    assert flaw(message) in {
        "usage.wall_seconds",
        "usage.cpu_seconds",
        "usage.peak_rss_bytes",
        "left_behind",
        "gate.seconds",
    }


def test_what_an_agent_says_that_it_used_is_no_fault_of_its_runner(tmp_path: Path) -> None:
    whole = {"type": "result", "run_id": "run-1", "attempt": 2, "reason": "ok", "usage": USAGE, "exit_code": -9}
    spending = {"input_tokens": 10**30, "cost_usd": 1e300}
    (tmp_path / "result.json").write_text(json.dumps({**whole, "spending": spending, "spent_in_all": spending}))
    assert read_result(tmp_path, "run-1", 2) is not None


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
