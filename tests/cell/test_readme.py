"""The program in the README, as a reader would run it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.lacks import need

pytestmark = need("cell")
ROOT = Path(__file__).parents[2]


def test_the_program_in_the_readme_prints_what_it_says(tmp_path: Path) -> None:
    [program] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    [promised] = re.findall(r'# by now it has printed "(.*)"', program)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr, done.returncode) == (promised, "", 0)
    assert (tmp_path / "words-home").stat().st_mode & 0o777 == 0o700
