"""The processes of live runs as a tree, measured from outside."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypedDict

import psutil

from supervisor.cli import render
from supervisor.cli.times import size, span

MAX_PROCESSES = 10_000
_ARGV_CHARS = 4000
_COLUMN_CHARS = 120


class Node(TypedDict):
    """One process. `cpu_seconds` since it began; `rss_bytes` and `age_seconds` now."""

    pid: int
    name: str
    command: str
    cpu_seconds: float
    rss_bytes: int
    age_seconds: float
    children: list[Node]


class Tree(TypedDict):
    """A live run and its processes; `None` while it has none, as in a back-off."""

    run: dict[str, Any]
    supervisor: int
    runner: Node | None


def trees(live: Iterable[dict[str, Any]], supervisor: int) -> list[Tree]:
    """The processes of each live run, as they are this moment."""
    return [{"run": run, "supervisor": supervisor, "runner": _runner(run)} for run in live]


def show(found: Sequence[Tree]) -> None:
    """The trees as one table, each process under its parent."""
    if not found:
        render.say("Nothing is running.")
        return
    columns = (
        render.Column("PID", right=True),
        render.Column("CPU", right=True),
        render.Column("MEMORY", right=True),
        render.Column("AGE", right=True),
        render.Column("PROCESS", shrinks=True, least=24),
        render.Column("COMMAND", shrinks=True, needs=100),
    )
    rows: list[Sequence[render.Cell | str]] = []
    supervisor = _node(_process(found[0]["supervisor"]), {})
    if supervisor is not None:
        rows.append(_row(supervisor, "supervisor", 0))
    for tree in found:
        rows += _rows(tree)
    render.show_table(columns, rows)


def _rows(tree: Tree) -> Iterable[Sequence[render.Cell | str]]:
    run = tree["run"]
    title = f"run {str(run['id'])[:8]} {run['status']}, attempt {run['attempt']}: {run['job_name'] or run['job_id']}"
    yield ["", "", "", "", render.Cell(f"  {title}", "bold"), ""]
    if tree["runner"] is not None:
        yield from _walk(tree["runner"], 2)


def _walk(node: Node, depth: int) -> Iterable[Sequence[render.Cell | str]]:
    yield _row(node, _role(node, depth), depth)
    for child in node["children"]:
        yield from _walk(child, depth + 1)


def _role(node: Node, depth: int) -> str:
    """What it is to us: runner and init are Python, and would be called so."""
    if depth == 2:
        return "runner"
    if depth == 3 and " cronward-proxy " in node["command"]:
        return "proxy"
    return "init" if depth == 4 and "/cronward/init.py" in node["command"] else node["name"]


def _row(node: Node, name: str, depth: int) -> Sequence[render.Cell | str]:
    return [
        str(node["pid"]),
        f"{node['cpu_seconds']:.1f} s",
        size(node["rss_bytes"]),
        span(node["age_seconds"]),
        "  " * depth + name,
        node["command"][:_COLUMN_CHARS],
    ]


def _runner(run: Mapping[str, Any]) -> Node | None:
    runner = _process(run["runner_pid"])
    children: dict[int, list[psutil.Process]] = {}
    with suppress(psutil.Error):
        # The number alone could be a later process's; a runner names its run.
        if runner is None or run["id"] not in runner.cmdline():
            return None
        for process in runner.children(recursive=True)[:MAX_PROCESSES]:
            with suppress(psutil.Error):
                children.setdefault(process.ppid(), []).append(process)
    return _node(runner, children)


def _process(pid: int | None) -> psutil.Process | None:
    try:
        return psutil.Process(pid) if pid else None
    except psutil.Error:
        return None


def _node(process: psutil.Process | None, children: Mapping[int, Sequence[psutil.Process]]) -> Node | None:
    if process is None:
        return None
    try:
        with process.oneshot():
            times = process.cpu_times()
            return {
                "pid": process.pid,
                "name": process.name(),
                "command": " ".join(process.cmdline())[:_ARGV_CHARS],
                "cpu_seconds": round(times.user + times.system, 3),
                "rss_bytes": process.memory_info().rss,
                "age_seconds": round(max(0.0, time.time() - process.create_time()), 1),
                "children": [node for child in children.get(process.pid, ()) if (node := _node(child, children))],
            }
    except psutil.Error:
        # It ended while it was looked at.
        return None
