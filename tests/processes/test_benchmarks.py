"""That the benchmarks that need no cell still run. How fast this machine is, is no test's business."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("name", "rows"), [("cli", 9), ("ontime", 4), ("accounting", 9), ("flow", 2)])
def test_a_benchmark_still_runs(name: str, rows: int) -> None:
    argv = [sys.executable, "-m", f"benchmarks.{name}", "--smoke"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len([line for line in done.stdout.splitlines() if "x  " in line]) == rows


def test_every_benchmark_is_run_by_a_test() -> None:
    tests = [ROOT / "tests" / kind / "test_benchmarks.py" for kind in ("processes", "cell")]
    told = "".join(path.read_text() for path in tests)
    programs = [path.stem for path in (ROOT / "benchmarks").glob("*.py") if "--smoke" in path.read_text()]
    assert len(programs) > 6
    assert [name for name in programs if f'("{name}",' not in told] == []
    assert [name for name in programs if name not in (ROOT / "scripts" / "bench").read_text()] == []
