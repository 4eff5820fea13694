"""What a runner, or a command, has imported by when: each of these costs more than all of its own modules together."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from supervisor.status import Status
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.runs import RunsStore
from tests.fakes import NOON, make_job, make_run

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


def test_neither_a_work_directory_nor_the_lack_of_a_cell_costs_more_imports() -> None:
    assert imported("runner.attempt", "runner.grants", "runner.planted", "runner.fallback") & NEVER == set()
    assert imported("runner.subreaper", "runner.kin") & NEVER == set()


def test_init_imports_next_to_nothing_before_it_says_hello() -> None:
    assert imported("runner.init") & (NOT_YET | {"ctypes", "signal"}) == set()


def called(home: Path, *args: str) -> tuple[set[str], str]:
    """What is loaded when `cronward` has done this, and what it printed."""
    call = f"from supervisor.__main__ import main; code = main({['--home', str(home), *args]!r})"
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); {call}; print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, env={})
    return set(done.stderr.split()), done.stdout


def test_a_list_needs_neither_models_nor_typer_and_a_pipe_no_rich(tmp_path: Path) -> None:
    home = Home(tmp_path / "h")
    # Never due and long ago: what is said of both is the same at two readings of the clock.
    CronStore(home).add(make_job(name="n", enabled=False))
    then = NOON - timedelta(days=4000)
    RunsStore(home).record(make_run(status=Status.COMPLETED, started_at=then, finished_at=then))
    loaded, out = called(home.root, "list")
    assert "completed" in out
    assert loaded & {"typer", "pydantic", "rich.console", "supervisor.models", "asyncio"} == set()
    (home.runs / f"{make_job().id}.jsonl").chmod(0o400)  # the note does not hold any more: the history is read
    loaded, again = called(home.root, "list")
    assert again == out
    assert {"pydantic", "supervisor.stores.history"} <= loaded


def test_a_command_is_built_without_the_others(tmp_path: Path) -> None:
    loaded, _ = called(tmp_path / "h", "list", "--help")
    assert {name for name in loaded if name.startswith("supervisor.cli.")} & {
        f"supervisor.cli.{name}" for name in ("jobs", "joboptions", "importing", "agents", "keeping", "runs")
    } == set()
    assert "supervisor.models" not in loaded


def test_the_version_is_told_with_next_to_nothing() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from supervisor.__main__ import main; main(['--version'])"
    bare = [sys.executable, "-I", "-S", "-c", f"{code}; print(*sys.modules)"]
    done = subprocess.run(bare, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & {"collections", "typing", "re", "json", "pathlib", "supervisor.cli"} == set()
