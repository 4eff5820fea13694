"""Gates and checks in real cells: what they see, what their ends mean, and that nothing of them is left."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from shared.fence import MOST
from shared.messages import Cell, ExecuteRequest, Offer, Secret, Task
from tests.cell.test_kill import WAYS
from tests.driver import (
    Driven,
    adopting_orphans,
    children,
    eventually,
    execute,
    limits,
    marker,
    request,
    run_as,
    survivors,
)
from tests.lacks import need
from tests.repositories import BRANCH, COMMIT, branches, repository, tree

pytestmark = need("cell")
SECRET = Secret(name="TOKEN", value="tok-4e1f77-canary/+&", variable="MINE")
FLOOD = "/usr/bin/yes"


@pytest.fixture(autouse=True)
def as_the_supervisor() -> Iterator[None]:
    """What a killed runner leaves would become ours: seen, and cleared away."""
    with adopting_orphans():
        yield


def sh(script: str, *words: str, **changes: Any) -> Task:
    return Task(argv=("/bin/sh", "-c", script, "sh", *words), **changes)


def agent(log_dir: Path, script: str = "cat", **changes: Any) -> ExecuteRequest:
    return request(log_dir, "/bin/sh", "-c", script, **changes)


# What their ends mean.


def test_what_the_gate_wrote_stands_in_the_prompt_fenced_and_unread(log_dir: Path) -> None:
    wrote = "3 new mails {{ job.name }} {{ gate.output }}"
    gate = sh(f"echo '{wrote}'; echo looked >&2")
    found = execute(agent(log_dir, prompt="Read: . Answer.", gate=gate, gate_at=6))
    head, mark, said, *_, end, tail = found["response"].split("\n")
    assert (found["reason"], head, said, tail) == ("ok", "Read: ", wrote, ". Answer.")
    assert mark.startswith("<data id=")
    assert end == f"</data id={mark.split('>')[0].removeprefix('<data id=')}>"
    assert (found["gate"]["exit_code"], found["gate"]["words"]) == (0, "looked")
    assert 0 < found["gate"]["seconds"] < found["usage"]["wall_seconds"]
    assert (log_dir / "gate").read_text() == f"{wrote}\n"
    assert found["check"] is None


def test_a_gate_decides_whether_the_agent_is_started(log_dir: Path, work_dir: Path) -> None:
    table = {
        "exit 75": ("nothing_to_do", 75, "The gate found nothing to do."),
        "echo no mail >&2; exit 75": ("nothing_to_do", 75, "The gate found nothing to do. no mail"),
        "echo broken; exit 1": ("gate_failed", 1, "The gate ended with exit code 1. broken"),
        "kill -SEGV $$": ("gate_failed", None, "The gate was killed by SIGSEGV."),
    }
    for number, (script, expected) in enumerate(table.items()):
        own = log_dir / str(number)
        own.mkdir(mode=0o700)
        with Driven(agent(own, "touch ran", work_dir=str(work_dir), gate=sh(script))) as driven:
            found = driven.result()
            assert "started" not in [message["type"] for message in driven.messages], script
        assert (found["reason"], found["gate"]["exit_code"], found["error"]) == expected, found
        assert list(work_dir.iterdir()) == []


def test_a_gate_that_cannot_be_started_says_so(log_dir: Path) -> None:
    found = execute(agent(log_dir, gate=Task(argv=("/nonexistent/gate",))))
    assert found["reason"] == "bad_definition"
    assert "/nonexistent/gate" in found["error"]


def test_a_check_decides_whether_the_agents_work_stands(log_dir: Path, work_dir: Path) -> None:
    table = {"test -s made": "ok", "echo 2 tests failed; exit 1": "check_failed", "kill -9 $$": "check_failed"}
    for number, (script, reason) in enumerate(table.items()):
        own = log_dir / str(number)
        own.mkdir(mode=0o700)
        wanted = agent(own, "echo x > made; echo done", work_dir=str(work_dir), check=sh(script))
        found = execute(wanted)
        assert found["reason"] == reason, found
        assert (found["response"], found["exit_code"]) == ("done\n", 0), "the agent's answer stays the answer"
        if "failed" in script:
            assert found["error"] == "The check ended with exit code 1. 2 tests failed"
            assert found["check"]["words"] == "2 tests failed"
            assert (own / "check").read_text() == "2 tests failed\n"


@need("root")  # nobody else may see what a runner has open
def test_what_the_agents_cell_had_in_memory_is_given_back_before_the_check(log_dir: Path) -> None:
    """Its mounts are held while it lives, so that its end is told sooner; a check has all the memory to itself."""
    mine, other = marker(), marker()
    wanted = agent(log_dir, f"sleep {mine} & sleep 3", check=sh(f"sleep {other} & sleep 3"))
    with Driven(wanted) as driven:
        eventually(lambda: survivors(mine))
        agents = held_mounts(driven.process.pid)
        eventually(lambda: survivors(other))
        checks = held_mounts(driven.process.pid)
        assert driven.result()["reason"] == "ok"
    assert (agents, checks) == (1, 1)


def held_mounts(pid: int) -> int:
    """How many mount namespaces a process holds open."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(str(entry.readlink()))
    return sum(name.startswith("mnt:") for name in found)


def test_a_check_is_not_asked_about_an_agent_that_failed(log_dir: Path) -> None:
    found = execute(agent(log_dir, "exit 3", check=sh("exit 0")))
    assert (found["reason"], found["check"]) == ("agent_error", None)


def test_work_whose_answer_is_only_ill_written_is_checked_too(log_dir: Path) -> None:
    for script, reason in (("exit 0", "invalid_output"), ("exit 1", "check_failed")):
        own = log_dir / reason
        own.mkdir(mode=0o700)
        found = execute(agent(own, "echo no JSON", output_format="json", check=sh(script)))
        assert (found["reason"], found["check"] is not None) == (reason, True), found


# What they see.


LOOK = """
pwd; cat file; (echo x > file) 2>/dev/null || echo kept; (echo x > new) 2>/dev/null || echo none
cat "$OUTER/readable"; (echo x > "$OUTER/writable") 2>/dev/null && echo wrote || echo only read
cat "$CRONWARD_SECRETS/TOKEN" 2>/dev/null || echo no secret; echo "${MINE:-no variable}"; echo "${AGENT_KEY:-no key}"
cat /home/agent/.login 2>/dev/null || echo no login
ls -A /home/agent /tmp | grep -c . ; ls /sys 2>/dev/null; tail -n +3 /proc/net/dev | cut -d: -f1
"""


def seen(log_dir: Path, work_dir: Path, name: str) -> list[str]:
    """What it found; the agent left traces wherever it can."""
    outer = work_dir.parent
    for path in ("readable", "writable"):
        (outer / path).write_text(f"{path}\n")
    (work_dir / "file").write_text("work\n")
    if ids := run_as():
        outer.chmod(0o755)
        os.chown(outer / "writable", ids.uid, ids.gid)
        os.chown(work_dir / "file", ids.uid, ids.gid)
    cell = Cell(
        run_as=run_as(),
        work_dir=str(work_dir),
        read_paths=(str(outer / "readable"),),
        write_paths=(str(outer / "writable"),),
    )
    task = sh(LOOK, env={"OUTER": str(outer)})
    wanted = agent(
        log_dir,
        "touch /tmp/trace ~/trace",
        cell=cell,
        secrets=(SECRET,),
        env={"AGENT_KEY": "key"},
        files={"/home/agent/.login": "login"},
        **{name: task},
    )
    found = execute(wanted)
    assert found["reason"] == "ok", found
    assert "canary" not in json.dumps(found) + (log_dir / name).read_text()
    return (log_dir / name).read_text().split("\n")


def test_a_gate_sees_what_the_agent_would_and_nothing_of_the_agent(log_dir: Path, work_dir: Path) -> None:
    lines = seen(log_dir, work_dir, "gate")
    assert lines[:4] == [str(work_dir), "work", "kept", "none"]
    assert lines[4:6] == ["readable", "wrote"]
    assert lines[6] == "[secret TOKEN][secret TOKEN]"
    assert "no key" in lines
    assert "no login" in lines


def test_a_check_can_write_nothing_reach_nobody_and_knows_no_secret(log_dir: Path, work_dir: Path) -> None:
    lines = seen(log_dir, work_dir, "check")
    assert lines[:4] == [str(work_dir), "work", "kept", "none"]
    assert lines[4:6] == ["readable", "only read"]
    assert lines[6:10] == ["no secret", "no variable", "no key", "no login"]
    assert lines[-2].strip() == "lo"
    assert (work_dir / "file").read_text() == "work\n"


def test_what_an_agent_left_to_be_told_by_the_check_is_masked(log_dir: Path, work_dir: Path) -> None:
    script = 'cat "$CRONWARD_SECRETS/TOKEN" > leaked'
    wanted = agent(log_dir, script, work_dir=str(work_dir), secrets=(SECRET,), check=sh("cat leaked >&2; exit 1"))
    found = execute(wanted)
    assert found["error"] == "The check ended with exit code 1. [secret TOKEN]"
    assert "canary" not in json.dumps(found) + (log_dir / "check").read_text()


def test_a_gate_has_the_jobs_way_out_and_a_check_has_none(log_dir: Path) -> None:
    ask = 'echo "${http_proxy:-none}"; cat /proc/net/tcp | tail -n +2 | wc -l'
    cell = Cell(run_as=run_as(), network="allow", allow_hosts=("example.invalid",))
    found = execute(agent(log_dir, cell=cell, gate=sh(ask), check=sh(ask)))
    assert found["reason"] == "ok", found
    assert (log_dir / "gate").read_text() == "http://127.0.0.1:3128\n1\n"
    assert (log_dir / "check").read_text() == "none\n0\n"


# In the mode `branch`.


@need("git")
@pytest.mark.parametrize(("passes", "form"), [(True, "text"), (False, "text"), (True, "json")])
def test_only_what_passed_the_check_is_offered(
    log_dir: Path, tmp_path: Path, offer: Offer, passes: bool, form: Any
) -> None:
    original = repository(tmp_path / "private" / "original")
    before = tree(original)
    cell = Cell(run_as=run_as(), work_dir=str(original), work_mode="branch", offer=offer)
    gate = sh("test ! -e second && cat file")
    check = sh(f"pwd; cat second; git log -1 --format=%s; (echo x > second) 2>/dev/null; exit {1 - passes}")
    found = execute(agent(log_dir, f"{COMMIT}; echo done", cell=cell, gate=gate, check=check, output_format=form))
    assert (log_dir / "gate").read_text() == "first\n"
    assert (log_dir / "check").read_text().split("\n")[:3] == [str(original), "second", "second"]
    assert list(Path(offer.directory).iterdir()) == []
    if passes:
        reason = "ok" if form == "text" else "invalid_output"
        assert (found["reason"], found["branch"]["name"]) == (reason, BRANCH), found
        return
    assert (found["reason"], found["branch"]["name"]) == ("check_failed", "")
    assert "passed the job's check" in found["branch"]["problem"]
    assert tree(original) == before
    assert list(branches(original)) == ["main"]


# Their ends.


def test_a_gate_that_hangs_costs_the_runs_time_and_nothing_more(log_dir: Path) -> None:
    mark = marker()
    gate = sh("sleep $1", mark)
    found = execute(agent(log_dir, gate=gate, limits=limits(wall_seconds=2.0)))
    assert (found["reason"], found["error"]) == ("timeout_wall", "With the gate, it took longer than 2 s.")
    assert survivors(mark) == []


def test_a_check_that_hangs_has_what_is_left_of_the_runs_time(log_dir: Path) -> None:
    mark = marker()
    began = time.monotonic()
    check = sh("sleep $1", mark)
    found = execute(agent(log_dir, "sleep 1", check=check, limits=limits(wall_seconds=3.0)))
    assert (found["reason"], found["error"]) == ("timeout_wall", "With the check, it took longer than 3 s.")
    assert time.monotonic() - began < 9
    assert found["check"]["seconds"] < 2.5
    assert survivors(mark) == []


def test_the_gates_time_is_not_the_agents_time_to_be_set_up(log_dir: Path) -> None:
    gate = sh("sleep 2.5")
    found = execute(agent(log_dir, gate=gate, limits=limits(wall_seconds=20.0, setup_seconds=2.0)))
    # Whether the gate's own cell stands in time is a matter of the machine's load; what follows it is not.
    assert found["reason"] == "ok", found


def test_what_floods_is_ended_and_bounded(log_dir: Path) -> None:
    most = 1 << 20
    for name, reason in (("gate", "gate_failed"), ("check", "check_failed")):
        own = log_dir / name
        own.mkdir(mode=0o700)
        task = Task(argv=(FLOOD, "x" * 200))
        found = execute(agent(own, prompt="", gate_at=0, limits=limits(output_bytes=most), **{name: task}))
        assert found["reason"] == reason, found
        assert found["error"].startswith(f"The {name} wrote more than {most} bytes")
        assert (own / name).stat().st_size <= most


def test_a_gate_that_says_much_is_heard_in_part(log_dir: Path) -> None:
    gate = sh("yes gate | head -c 100000")
    found = execute(agent(log_dir, prompt="", gate=gate, gate_at=0, response_bytes=1 << 16))
    assert found["reason"] == "ok"
    assert MOST - 10 < found["response"].count("gate\n") * 5 <= MOST + 10


@pytest.mark.parametrize("way", ["its own session", "a daemon by double fork", "deaf, detached and holding the pipes"])
def test_nothing_of_them_is_left_when_they_have_ended(log_dir: Path, way: str) -> None:
    mark = marker()
    script = f"({WAYS[way]}) & sleep 0.3; exit 0"
    with Driven(agent(log_dir, "exit 0", gate=sh(script, mark), check=sh(script, mark))) as driven:
        driven.wait_for("started")
        assert survivors(mark) == [], "the gate's, while the agent lives"
        assert driven.result()["reason"] == "ok"
        assert survivors(mark) == []


def hanging(log_dir: Path, name: str, mark: str) -> Driven:
    """An attempt whose gate or check is in the middle of it, with a child that hides."""
    task = sh(WAYS["deaf, detached and holding the pipes"], mark)
    driven = Driven(agent(log_dir, "exit 0", limits=limits(grace_seconds=0.2, wall_seconds=60.0), **{name: task}))
    eventually(lambda: len(survivors(mark)) >= 3, within=20)
    return driven


@pytest.mark.parametrize("name", ["gate", "check"])
def test_a_cancel_ends_them(log_dir: Path, name: str) -> None:
    mark = marker()
    with hanging(log_dir, name, mark) as driven:
        driven.stop()
        found = driven.result()
        assert survivors(mark) == []
    assert (found["reason"], found["error"]) == ("canceled_by_user", "")
    assert ("started" in [message["type"] for message in driven.messages]) is (name == "check")


@pytest.mark.parametrize("name", ["gate", "check"])
@pytest.mark.parametrize("how", ["the runner is killed", "the pipe ends", "bubblewrap is killed"])
def test_nothing_of_them_survives(log_dir: Path, name: str, how: str) -> None:
    mark = marker()
    with hanging(log_dir, name, mark) as driven:
        if how == "the runner is killed":
            driven.process.kill()
        elif how == "the pipe ends":
            driven.hang_up()
            assert driven.exit_code() == 4
            assert json.loads((log_dir / "result.json").read_text())["reason"] == "supervisor_died"
        else:
            [bwrap] = children(driven.process.pid)
            os.kill(bwrap, signal.SIGKILL)
            assert driven.result()["reason"] == ("runner_broke" if name == "gate" else "check_failed")
        eventually(lambda: not survivors(mark), within=10)


@pytest.mark.parametrize("isolation", [pytest.param("best-effort", marks=need("landlock")), "none"])
def test_they_run_without_namespaces_where_the_job_does(log_dir: Path, isolation: Any) -> None:
    mark = marker()
    network = "host" if isolation == "none" else "none"
    cell = Cell(isolation=isolation, network=network, run_as=run_as(), bwrap="/nonexistent/bwrap")
    way = f"({WAYS['its own session']}) & sleep 0.3; echo gone; exit 0"
    wanted = agent(
        log_dir, cell=cell, prompt="", gate_at=0, gate=sh(way, mark), check=sh(way, mark), run_id=f"tasks-{mark}"
    )
    found = execute(wanted)
    assert found["reason"] == "ok", found
    assert "gone" in found["response"]
    assert survivors(mark) == []
    assert list(Path("/tmp").glob(f"cronward-tasks-{mark}*")) == []
