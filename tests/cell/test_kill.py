"""Nothing survives: whoever is killed, however the agent's children hide, and however early it happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from shared import wire
from tests.driver import RUNNER, Driven, adopting_orphans, children, eventually, limits, marker, request, survivors
from tests.lacks import BWRAP, need

pytestmark = need("cell")

IGNORE = "trap '' TERM HUP INT;"
# Each leaves a sleep with the mark in its argv: $1.
WAYS = {
    "a child": "sleep $1 & wait",
    "its own session": "setsid sleep $1 & wait",
    "a daemon by double fork": "(setsid sh -c 'sleep $1 & exit' sh $1 &); sleep $1",
    "deaf to TERM": f"{IGNORE} sh -c '{IGNORE} sleep $1' sh $1 & while :; do sleep $1; done",
    "stopped": "sleep $1 & kill -STOP $!; sleep $1",
    "deaf, detached and holding the pipes": f"{IGNORE} setsid sh -c '{IGNORE} while :; do sleep $1; done' sh $1 & wait",
    "many": "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do setsid sleep $1 & done; wait",
}
each_way = pytest.mark.parametrize("script", WAYS.values(), ids=WAYS.keys())


@pytest.fixture(autouse=True)
def as_the_supervisor() -> Iterator[None]:
    """What a killed runner leaves would become ours: seen, and cleared away."""
    with adopting_orphans():
        yield


def start(log_dir: Path, script: str, mark: str, **changes: object) -> Driven:
    """An attempt whose agent has at least one process with that mark by the time this returns."""
    driven = Driven(request(log_dir, "sh", "-c", script, "sh", mark, **changes))
    driven.wait_for("started")
    eventually(lambda: any("sleep" in name for name in names(mark)), within=10)
    return driven


def names(mark: str) -> list[str]:
    found = []
    for pid in survivors(mark):
        with suppress(OSError):
            found.append(Path(f"/proc/{pid}/comm").read_text().strip())
    return found


@each_way
def test_nothing_survives_a_timeout(log_dir: Path, script: str) -> None:
    mark = marker()
    with start(log_dir, script, mark, limits=limits(wall_seconds=3.0, grace_seconds=0.2)) as driven:
        result = driven.result()
        assert survivors(mark) == []
    assert result["reason"] == "timeout_wall"
    assert 3.0 <= result["usage"]["wall_seconds"] < 8


@each_way
def test_nothing_survives_a_stop(log_dir: Path, script: str) -> None:
    mark = marker()
    with start(log_dir, script, mark, limits=limits(grace_seconds=0.2)) as driven:
        driven.stop("replaced")
        result = driven.result()
        assert survivors(mark) == []
    assert result["reason"] == "replaced"


@each_way
def test_nothing_survives_the_agents_own_end(log_dir: Path, script: str) -> None:
    mark = marker()
    with Driven(request(log_dir, "sh", "-c", f"({script}) & sleep 0.5; exit 0", "sh", mark)) as driven:
        result = driven.result()
        assert survivors(mark) == []
    assert result["reason"] == "ok"
    assert result["left_behind"] > 0


@each_way
def test_nothing_survives_a_killed_runner(log_dir: Path, script: str) -> None:
    mark = marker()
    with start(log_dir, script, mark) as driven:
        driven.process.kill()
        eventually(lambda: not survivors(mark))


def bwrap_that_outlives_its_parent(path: Path) -> str:
    """Without --die-with-parent no signal takes the cell along with a killed runner, only the life pipe's end does."""
    keep = 'for word; do shift; [ "$word" = --die-with-parent ] || set -- "$@" "$word"; done'
    path.write_text(f'#!/bin/sh\n{keep}\nexec {BWRAP} "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_the_end_of_the_life_pipe_alone_ends_the_cell_of_a_killed_runner(log_dir: Path, tmp_path: Path) -> None:
    mark = marker()
    usual = request(log_dir).cell
    cell = replace(usual, bwrap=bwrap_that_outlives_its_parent(tmp_path / "bwrap"))
    with start(log_dir, WAYS["deaf, detached and holding the pipes"], mark, cell=cell) as driven:
        [bwrap] = children(driven.process.pid)
        assert b"--die-with-parent" not in Path(f"/proc/{bwrap}/cmdline").read_bytes().split(b"\0")
        driven.process.kill()
        try:
            eventually(lambda: not survivors(mark) and bwrap not in children())
        except AssertionError:
            os.kill(driven.wait_for("started")["pid"], signal.SIGKILL)  # the cell's init, which nothing else would end
            raise


@each_way
def test_nothing_survives_the_end_of_the_request_pipe(log_dir: Path, script: str) -> None:
    mark = marker()
    with start(log_dir, script, mark) as driven:
        driven.hang_up()
        assert driven.exit_code() == 4
        assert survivors(mark) == []
    assert json.loads((log_dir / "result.json").read_text())["reason"] == "supervisor_died"


SUPERVISOR = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-I", "-S", sys.argv[1]], stdin=0, stdout=1, env={}, start_new_session=True)
time.sleep(60)
"""


def test_nothing_survives_a_killed_supervisor_though_its_pipes_stay_open(log_dir: Path) -> None:
    mark = marker()
    requests, ours = os.pipe()
    theirs, messages = os.pipe()
    supervisor = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(RUNNER)], stdin=requests, stdout=messages)
    try:
        os.write(ours, wire.encode(asdict(request(log_dir, "sleep", mark))))
        eventually(lambda: survivors(mark), within=10)
        runners = children(supervisor.pid)
        supervisor.kill()
        supervisor.wait()
        eventually(lambda: not survivors(mark) and not set(children()).intersection(runners))
    finally:
        supervisor.kill()
        supervisor.wait()
        for descriptor in (requests, ours, theirs, messages):
            os.close(descriptor)


def test_nothing_survives_a_killed_bubblewrap(log_dir: Path) -> None:
    mark = marker()
    with start(log_dir, WAYS["deaf, detached and holding the pipes"], mark) as driven:
        [bwrap] = children(driven.process.pid)
        os.kill(bwrap, signal.SIGKILL)
        result = driven.result()
        assert survivors(mark) == []
    assert result["reason"] == "runner_broke"


@pytest.mark.parametrize("delay_ms", range(0, 100, 5))
def test_nothing_survives_a_runner_killed_early(log_dir: Path, delay_ms: int) -> None:
    mark = marker()
    known = set(children())
    with Driven(request(log_dir, "sleep", mark)) as driven:
        driven.wait_for("ready")
        time.sleep(delay_ms / 1000)  # the moment itself is what is tried
        driven.process.kill()
        driven.process.wait()
        eventually(lambda: not survivors(mark))
        # A bubblewrap whose outer half died in the middle of its set-up waits for ever and never ran the agent. It
        # comes to the subreaper, whose sweep this stands for; no init and no agent may be among what comes.
        eventually(lambda: all(Path(f"/proc/{pid}/comm").read_text() == "bwrap\n" for pid in set(children()) - known))


@pytest.mark.parametrize("delay_ms", range(0, 40, 4))
def test_a_stop_in_the_middle_of_the_set_up_ends_it(log_dir: Path, delay_ms: int) -> None:
    mark = marker()
    with Driven(request(log_dir, "sleep", mark)) as driven:
        driven.wait_for("ready")
        time.sleep(delay_ms / 1000)
        driven.stop()
        assert driven.result()["reason"] == "canceled_by_user"
        assert survivors(mark) == []


def test_the_first_cause_wins_over_a_good_end(log_dir: Path) -> None:
    script = "trap 'echo bye; exit 0' TERM; sleep $1 & wait"
    with start(log_dir, script, marker(), limits=limits(grace_seconds=10)) as driven:
        driven.stop("job_removed")
        driven.stop("replaced")
        result = driven.result()
    assert (result["reason"], result["exit_code"]) == ("job_removed", 0)
    assert result["response"] == ""
    assert (log_dir / "stdout").read_text() == "bye\n"


def test_term_comes_first_and_kill_after_the_grace(log_dir: Path) -> None:
    script = "trap 'echo asked' TERM; while :; do sleep $1 & wait $!; done"
    with start(log_dir, script, marker(), limits=limits(grace_seconds=2)) as driven:
        asked = time.monotonic()
        driven.stop()
        result = driven.result()
        assert 2 <= time.monotonic() - asked < 6
    assert (result["reason"], result["signal"]) == ("canceled_by_user", 9)
    assert (log_dir / "stdout").read_text() == "asked\n"
    assert result["usage"]["cpu_seconds"] > 0


def test_an_obedient_agent_need_not_wait_for_the_grace(log_dir: Path) -> None:
    with start(log_dir, "exec sleep $1", marker(), limits=limits(grace_seconds=30)) as driven:
        asked = time.monotonic()
        driven.stop()
        assert driven.result()["signal"] == 15
        assert time.monotonic() - asked < 2


def test_a_stop_after_the_end_changes_nothing(log_dir: Path) -> None:
    with Driven(request(log_dir, "true")) as driven:
        driven.result()
        driven.stop()
        assert driven.exit_code() == 0
    assert json.loads((log_dir / "result.json").read_text())["reason"] == "ok"


def test_a_flood_that_is_deaf_ends_all_the_same(log_dir: Path) -> None:
    mark = marker()
    script = f"{IGNORE} sleep $1 & while :; do echo flood; done"
    with Driven(request(log_dir, "sh", "-c", script, "sh", mark, limits=limits(output_bytes=10_000))) as driven:
        assert driven.result()["reason"] == "output_limit"
        assert survivors(mark) == []


def test_a_fork_bomb_is_bounded_and_ends(log_dir: Path) -> None:
    mark = marker()
    script = "bomb() { sleep $1 & bomb $1 | bomb $1 & }; bomb $1; sleep $1"
    wanted = request(log_dir, "sh", "-c", script, "sh", mark, limits=limits(wall_seconds=1.0, processes=100))
    with Driven(wanted) as driven:
        assert driven.result()["reason"] in ("timeout_wall", "agent_error", "process_limit")
        assert survivors(mark) == []


def test_a_supervisor_that_breaks_the_protocol_is_not_served(log_dir: Path) -> None:
    mark = marker()
    with start(log_dir, "sleep $1", mark) as driven:
        driven.write(b"nonsense\n")
        result = driven.result()
        assert survivors(mark) == []
    assert result["reason"] == "runner_broke"
    assert "protocol" in result["error"]


def test_a_supervisor_that_does_not_listen_delays_no_end(log_dir: Path) -> None:
    mark = marker()
    with start(log_dir, "sleep $1", mark, limits=limits(wall_seconds=3.0)):
        eventually(lambda: not survivors(mark), within=10)
        eventually(lambda: (log_dir / "result.json").stat().st_size > 0)
    assert json.loads((log_dir / "result.json").read_text())["reason"] == "timeout_wall"
