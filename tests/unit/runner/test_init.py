"""The pure parts of the cell's init; what it does is tried in real cells."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import init

texts = st.binary(max_size=20).map(lambda raw: raw.replace(b"\0", b""))


@given(st.lists(texts), st.lists(texts))
def test_fields_arrive_in_order_whatever_they_hold(argv: list[bytes], env: list[bytes]) -> None:
    fields = [*(b"argv=" + text for text in argv), *(b"env=" + text for text in env)]
    data = b"".join(field + b"\0" for field in fields) + b"\0"
    read = init.parse_config(data)
    assert (read.get("argv", []), read.get("env", [])) == (argv, env)


@given(st.lists(st.integers(1, 64)), st.integers(0, 200))
def test_signals_arrive_however_the_pipe_cuts_them(numbers: list[int], at: int) -> None:
    data = b"".join(b"%d\n" % number for number in numbers)
    first, rest = init.parse_signals(data[:at])
    second, rest = init.parse_signals(rest + data[at:])
    assert (first + second, rest) == (numbers, b"")


@pytest.mark.parametrize(
    ("stat", "alive"),
    [
        ("12 (sleep) S 1 12 12 0", True),
        (f"12 (sleep) Z {'1 ' * 17}20 0", False),
        (f"12 (sleep) Z {'1 ' * 16}2 20 0", True),  # its first thread alone has ended
        ("12 (a) Z) R 1 12 12 0", True),
        (f"12 (a) S) Z {'1 ' * 17}20 0", False),
        ("", False),
    ],
)
def test_a_name_does_not_hide_the_state(stat: str, alive: bool) -> None:
    assert init.is_alive(stat) is alive


def test_outside_of_a_cell_it_does_nothing() -> None:
    """It signals whatever it can reach, which must never be all of a user's processes."""
    done = subprocess.run([sys.executable, "-I", "-S", init.__file__], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "not PID 1" in done.stderr


def test_it_imports_nothing_of_ours_and_nothing_that_costs() -> None:
    """It is shown in the cell alone, and each import is paid for at every start."""
    tree = ast.parse(Path(init.__file__).read_text())
    tops = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in tops if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in tops if isinstance(node, ast.ImportFrom)}
    assert names == {"__future__", "os", "resource", "select", "sys"}
    assert names <= set(sys.stdlib_module_names)
