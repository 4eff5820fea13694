"""Nothing survives where no namespace ends it: whoever is killed, however the agent's processes hide."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.messages import Cell, Isolation
from shared.removal import remove_tree
from supervisor.spawning import strays
from tests.cell.test_kill import WAYS
from tests.driver import Driven, adopting_orphans, children, eventually, limits, marker, request, run_as, survivors
from tests.house import house
from tests.lacks import need

pytestmark = need("landlock")

# Forks and ends as fast as it can, in sessions of its own; whoever is found is gone already.
PHOENIX = """
import os, sys, time
for _ in range(3):
    if os.fork() == 0:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            os.setsid() if os.getpid() != os.getsid(0) else None
            if os.fork():
                os._exit(0)
time.sleep(60)
"""
SCRIPTS = {name: ("sh", "-c", script, "sh") for name, script in WAYS.items()}
SCRIPTS["reborn"] = ("/usr/bin/python3", "-c", PHOENIX)
each_way = pytest.mark.parametrize("argv", SCRIPTS.values(), ids=SCRIPTS.keys())


@pytest.fixture(autouse=True)
def as_the_supervisor() -> Iterator[None]:
    with adopting_orphans():
        yield
    for place in Path("/tmp").glob(f"cronward-gone-*.{os.getpid()}*"):
        remove_tree(str(place))  # there is no supervisor to do it


def start(
    log_dir: Path, argv: tuple[str, ...], mark: str, isolation: Isolation = "best-effort", **limit: float
) -> Driven:
    cell = Cell(isolation=isolation, network="none", run_as=run_as(), bwrap="/nonexistent/bwrap")
    held = limits(grace_seconds=0.2, **limit)
    wanted = request(log_dir, *argv, mark, cell=cell, limits=held, run_id=f"gone-{mark}")
    driven = Driven(wanted)
    driven.wait_for("started")
    eventually(lambda: survivors(mark), within=10)
    time.sleep(0.1)  # for its children to be there
    return driven


@each_way
def test_nothing_survives_a_timeout(log_dir: Path, argv: tuple[str, ...]) -> None:
    mark = marker()
    with start(log_dir, argv, mark, wall_seconds=3.0) as driven:
        assert driven.result()["reason"] == "timeout_wall"
        assert survivors(mark) == []


@each_way
def test_nothing_survives_a_stop_without_any_isolation(log_dir: Path, argv: tuple[str, ...]) -> None:
    mark = marker()
    with start(log_dir, argv, mark, "none") as driven:
        driven.stop("replaced")
        assert driven.result()["reason"] == "replaced"
        assert survivors(mark) == []


@each_way
def test_nothing_survives_the_agents_own_end(log_dir: Path, argv: tuple[str, ...]) -> None:
    mark = marker()
    command = f"{' '.join(map(quoted, (*argv, mark)))} & sleep 2; exit 0"
    with start(log_dir, ("sh", "-c", command, "sh"), mark) as driven:
        result = driven.result()
        assert (result["reason"], survivors(mark)) == ("ok", [])
    assert result["left_behind"] > 0


def quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


@each_way
def test_nothing_survives_a_killed_runner(log_dir: Path, argv: tuple[str, ...]) -> None:
    mark = marker()
    with start(log_dir, argv, mark) as driven:
        driven.process.kill()
        eventually(lambda: not survivors(mark))


@each_way
def test_nothing_survives_a_supervisor_that_is_gone(log_dir: Path, argv: tuple[str, ...]) -> None:
    mark = marker()
    with start(log_dir, argv, mark) as driven:
        driven.hang_up()
        assert driven.exit_code() == 4
        assert survivors(mark) == []


@each_way
def test_nothing_survives_a_killed_init(log_dir: Path, argv: tuple[str, ...]) -> None:
    mark = marker()
    with start(log_dir, argv, mark) as driven:
        os.kill(driven.wait_for("started")["pid"], signal.SIGKILL)
        assert driven.result()["reason"] == "runner_broke"
        assert survivors(mark) == []


@each_way
def test_the_supervisor_sweeps_what_runner_and_init_leave(log_dir: Path, argv: tuple[str, ...]) -> None:
    """Both are stopped first, so that neither can do it; and a bystander, as another runner is, is let alone."""
    mark = marker()
    bystander = os.posix_spawn("/usr/bin/sleep", ["sleep", "60"], {}, setsid=True)
    for isolation in ("best-effort", "none"):
        log = log_dir / isolation
        log.mkdir()
        with start(log, argv, mark, isolation) as driven:  # type: ignore[arg-type]
            init = driven.wait_for("started")["pid"]
            for pid in (driven.process.pid, init):
                os.kill(pid, signal.SIGSTOP)
            os.kill(init, signal.SIGKILL)
            driven.process.kill()
            driven.process.wait()
            eventually(lambda session=driven.process.pid: not strays.sweep(session) and not survivors(mark))
    os.kill(bystander, 0)
    assert bystander in children()


@pytest.mark.parametrize("delay_ms", range(0, 120, 12))
def test_nothing_survives_a_runner_killed_early(log_dir: Path, delay_ms: int) -> None:
    mark = marker()
    cell = Cell(isolation="best-effort", run_as=run_as(), bwrap="/nonexistent/bwrap")
    with Driven(request(log_dir, "sleep", mark, cell=cell, run_id=f"gone-{mark}")) as driven:
        driven.wait_for("ready")
        time.sleep(delay_ms / 1000)  # the moment itself is what is tried
        driven.process.kill()
        driven.process.wait()
        eventually(lambda: not survivors(mark))


@pytest.mark.parametrize("who", ["runner", "supervisor"])
def test_a_real_supervisor_leaves_no_process_and_no_directory_of_a_killed_run(tmp_path: Path, who: str) -> None:
    mark = marker()
    script = f"{WAYS['deaf, detached and holding the pipes']}".replace("$1", mark)
    with house(tmp_path, CRONWARD_BWRAP="/nonexistent/bwrap") as home:
        home.start()
        job = home.run_now(command=f"sh -c {quoted(script)}", isolation="best-effort", retries=0)
        eventually(lambda: survivors(mark), within=20)
        [run] = home.runs(job["id"])
        places = list(Path("/tmp").glob(f"cronward-{run['id']}.*"))
        assert len(places) == 1
        assert home.process is not None
        if who == "runner":
            [runner] = children(home.process.pid)
            os.kill(runner, signal.SIGKILL)
        else:
            home.stop(signal.SIGKILL)
        eventually(lambda: not survivors(mark), within=5)
        if who == "supervisor":
            home.start()
        [ended] = home.ended(job["id"])
        assert ended["reason"] == ("runner_broke" if who == "runner" else "supervisor_died")
        assert ended["layers"] or who == "supervisor"
        eventually(lambda: not places[0].exists(), within=5)
        home.stop()
