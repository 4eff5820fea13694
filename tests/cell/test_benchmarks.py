"""That the benchmarks of cells still run. How fast this machine is, is no test's business."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "rows"), [("start", 5), ("cell", 2), ("kill", 2), ("files", 4), ("output", 5), ("soak", 0)]
)
def test_a_benchmark_still_runs(name: str, rows: int) -> None:
    argv = [sys.executable, "-m", f"benchmarks.{name}", "--smoke"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len([line for line in done.stdout.splitlines() if "x  " in line]) == rows
