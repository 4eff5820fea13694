"""What a runner has imported by when: each of these costs more than all of its own modules together."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
NEVER = {"asyncio", "dataclasses", "inspect", "json", "logging", "pathlib", "re", "subprocess", "typing"}
NOT_YET = NEVER | {"collections", "contextlib", "enum", "functools", "selectors"}


def imported(*modules: str) -> set[str]:
    """What is loaded in an interpreter such as a runner's, once it has these."""
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_this_test_sees_imports() -> None:
    assert {"json", "re", "enum", "dataclasses"} <= imported("json", "dataclasses")


def test_until_bubblewrap_is_started_a_runner_imports_nothing_that_costs() -> None:
    assert imported("runner.channel", "shared.messages", "runner.attempt") & NOT_YET == set()


def test_what_a_run_without_network_or_json_needs_costs_little_either() -> None:
    late = ("kill", "layers", "relay", "tally", "seccomp", "output", "leaf")
    assert imported("runner.attempt", *(f"runner.{name}" for name in late)) & NEVER == set()


def test_init_imports_next_to_nothing_before_it_says_hello() -> None:
    assert imported("runner.init") & (NOT_YET | {"ctypes", "signal"}) == set()
