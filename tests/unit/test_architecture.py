"""Who may import whom, how long things may be, and which names are somebody else's: read from the sources."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILE_LINES, FUNCTION_LINES = 400, 50
JUDGING = {"jsonschema", "referencing"}
"""What judges answers is loaded where it is needed only: a runner that has nothing to judge does not wait for it."""
SUPERVISORDS = {
    *("childutils", "compat", "confecho", "datatypes", "dispatchers", "events", "http", "http_client", "loggers"),
    *("medusa", "options", "pidproxy", "poller", "process", "rpcinterface", "scripts", "skel", "socket_manager"),
    *("states", "supervisorctl", "supervisord", "templating", "tests", "ui", "web", "xmlrpc"),
}
"""Its top-level package has our name: with both installed, a file of the one would hide the other's."""
PURE = (
    "admission/admission",
    "timing/agenda",
    "admission/attempts",
    "models",
    "timing/occurrences",
    "timing/schedule",
    "admission/waiting",
)

Function = ast.FunctionDef | ast.AsyncFunctionDef
SOURCES = {
    str(path.relative_to(ROOT)): path.read_text()
    for package in ("shared", "runner", "supervisor")
    for path in sorted((ROOT / package).rglob("*.py"))
}
TREES = {name: ast.parse(text, name) for name, text in SOURCES.items()}
FUNCTIONS = {name: [node for node in ast.walk(tree) if isinstance(node, Function)] for name, tree in TREES.items()}


def names(statements: Iterable[ast.AST]) -> Iterator[str]:
    for node in statements:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def roots(found: Iterable[str]) -> set[str]:
    return {name.partition(".")[0] for name in found} - sys.stdlib_module_names


IMPORTS = {name: set(names(ast.walk(tree))) for name, tree in TREES.items()}
LATER = {
    name: {id(inner) for function in functions for inner in ast.walk(function)} for name, functions in FUNCTIONS.items()
}
AT_ONCE = {
    name: set(names(node for node in ast.walk(tree) if id(node) not in LATER[name])) for name, tree in TREES.items()
}


def offenders(folder: str, what: Callable[[str], Any]) -> dict[str, Any]:
    """What `what` finds in the files of a folder, those without a finding left out."""
    found = {name: what(name) for name in SOURCES if name.startswith(folder)}
    return {name: finding for name, finding in found.items() if finding}


def test_shared_imports_only_the_standard_library_and_itself() -> None:
    assert offenders("shared/", lambda name: roots(IMPORTS[name]) - {"shared"}) == {}


def test_the_runner_imports_only_the_standard_library_shared_and_itself() -> None:
    def too_much(name: str) -> set[str]:
        if name.startswith("runner/agents/"):  # programs of the cell, not of the runner
            return roots(IMPORTS[name]) - {"xllamacpp"}
        return (roots(AT_ONCE[name]) | roots(IMPORTS[name]) - JUDGING) - {"shared", "runner"}

    assert offenders("runner/", too_much) == {}


def test_the_init_of_a_cell_imports_nothing_of_ours() -> None:
    assert roots(IMPORTS["runner/init.py"]) == set()


def test_the_supervisor_never_imports_the_runner() -> None:
    assert offenders("supervisor/", lambda name: "runner" in roots(IMPORTS[name])) == {}


def test_one_module_knows_croniter() -> None:
    assert list(offenders("", lambda name: "croniter" in roots(IMPORTS[name]))) == ["supervisor/timing/schedule.py"]


def test_one_module_of_the_supervisor_reads_the_time_of_day() -> None:
    """Everything else is told what time it is. Commands, which end at once, may look for themselves."""
    readers = offenders("supervisor/", lambda name: re.search(r"datetime\.now\(|\btime\.time\(", SOURCES[name]))
    assert [name for name in readers if not name.startswith("supervisor/cli/")] == ["supervisor/timing/clock.py"]


@pytest.mark.parametrize("module", PURE)
def test_what_decides_touches_no_disk_no_clock_and_no_process(module: str) -> None:
    edges = {"asyncio", "os", "pathlib", "random", "shutil", "socket", "subprocess", "threading", "time"}
    assert {name.partition(".")[0] for name in IMPORTS[f"supervisor/{module}.py"]} & edges == set()


def test_no_module_hides_one_of_supervisords() -> None:
    ours = {name.split("/")[1].removesuffix(".py") for name in SOURCES if name.startswith("supervisor/")}
    assert ours & SUPERVISORDS == set()


def test_a_file_can_be_read_in_one_sitting() -> None:
    assert offenders("", lambda name: len(SOURCES[name].splitlines()) > FILE_LINES) == {}


def test_a_function_fits_a_screen() -> None:
    def too_long(name: str) -> list[str]:
        return [one.name for one in FUNCTIONS[name] if (one.end_lineno or 0) - one.lineno + 1 > FUNCTION_LINES]

    assert offenders("", too_long) == {}


def test_a_module_says_what_it_is_for() -> None:
    assert offenders("", lambda name: SOURCES[name].strip() and not ast.get_docstring(TREES[name])) == {}
