"""The program in docs/embedding.md, as a reader would run it, and as a type checker reads it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from tests.lacks import need

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/embedding.md").read_text("utf-8")
[PROGRAM] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
[PRINTS] = re.findall(r"```\n\n```\n(.*?)```", PAGE, re.DOTALL)


def call(*argv: str, cwd: Path) -> tuple[str, str, int]:
    environ = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(cwd)}
    done = subprocess.run(
        [sys.executable, *argv], cwd=cwd, env=environ, capture_output=True, text=True, timeout=55, check=False
    )
    return done.stdout, done.stderr, done.returncode


@need("cell")
def test_the_program_prints_what_the_page_says(tmp_path: Path) -> None:
    assert call("-c", PROGRAM, cwd=tmp_path) == (PRINTS, "", 0)
    assert (tmp_path / "night").stat().st_mode & 0o777 == 0o700


def test_a_strict_type_checker_has_nothing_to_say_and_sees_a_mistake(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "right.py").write_text(PROGRAM)
    (tmp_path / "wrong.py").write_text(PROGRAM.replace("run_job(job.name)", "run_job(job.enabled)"))
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nstrict = True\nfollow_imports = silent\nmypy_path = {ROOT}\n")
    out, err, code = call("-m", "mypy", "--cache-dir", os.devnull, "right.py", "wrong.py", cwd=tmp_path)
    assert code == 1, err
    assert re.findall(r"^(\S+?):\d+: error: .*\[([\w-]+)\]$", out, re.MULTILINE) == [("wrong.py", "arg-type")]


def test_every_package_says_that_it_is_typed() -> None:
    assert all(files(package).joinpath("py.typed").is_file() for package in ("supervisor", "runner", "shared"))
