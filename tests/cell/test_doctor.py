"""`cronward doctor`: each layer is tried in a real cell, and what is missing is not called safe."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from runner import host, kernel
from shared.messages import ExecuteRequest, ExecuteResult, Layer
from shared.reasons import Reason
from supervisor.agents.weights import EngineFiles
from supervisor.cli.keeping import verdict
from supervisor.config import Config
from supervisor.spawning.preparation import make_executor
from supervisor.stores.home import Home
from supervisor.trials import probes
from supervisor.trials.doctor import Finding, examine, of_engine
from supervisor.trials.enginetrial import unloadable
from tests.driver import request, run_as
from tests.house import house
from tests.lacks import need

INSIDE = {"user namespace", "pid namespace", "mount namespace", "network namespace", "ipc namespace", "uts namespace"}
INSIDE |= {"no new privileges", "no capabilities", "rlimits", "landlock", "seccomp filter"}


@need("cell")
def test_each_layer_is_tried_and_what_it_keeps_an_agent_from_is_said(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        done = home.cronward("doctor", "--json")
    findings = {found["name"].removeprefix("layer: "): found for found in json.loads(done.stdout)}
    assert probes.WITHOUT.keys() <= findings.keys()
    assert probes.WITHOUT.keys() == INSIDE | {"memory limit", "kill", "proxy"}
    bad = [found for name, found in findings.items() if name in probes.WITHOUT and not found["ok"]]
    assert [found["name"] for found in bad] == ([] if kernel.landlock_version() >= 2 else ["layer: landlock"])
    assert all(findings[name]["without"].startswith("Without it an agent could ") for name in probes.WITHOUT)
    assert done.returncode == 0


@need("cell")
def test_an_engine_that_lacks_a_library_is_not_called_ready(tmp_path: Path, open_dir: Path) -> None:
    """As on a small Debian, where libgomp is not there: what is installed cannot be loaded."""
    execute, trial = make_executor(tmp_path / "home").execute, request(tmp_path, "true")
    engine = open_dir / "xllamacpp"
    engine.mkdir(mode=0o755)
    (engine / "__init__.py").write_text("")
    files = EngineFiles(site=engine.parent, paths=(engine,))
    assert unloadable(execute, trial, files) == ""
    (engine / "__init__.py").write_text("raise ImportError('libnowhere.so.1: cannot open it')")
    (tmp_path / "engine").rename(tmp_path / "engine-before")
    assert "libnowhere.so.1" in (unloadable(execute, trial, files) or "")
    found = of_engine(Home(tmp_path / "home"), Config(), files)
    assert (found.ok, found.required) == (False, False)
    assert "libnowhere.so.1" in found.detail


def test_the_last_line_of_the_doctor_says_what_all_of_it_comes_to() -> None:
    well, bad = Finding("cell", True, "there"), Finding("home", False, "open", "chmod")
    note = Finding("supervisor", False, "none", "start one", required=False)
    assert verdict([well], "runs are confined here") == "All in order: runs are confined here."
    assert verdict([well, note], "x") == "All in order: x. To be noted: supervisor."
    assert verdict([bad, note], "x") == "Not in order, see its repair above: home. To be noted: supervisor."


def test_the_same_acts_come_through_where_there_is_no_cell() -> None:
    """The control: what a probe calls held must not be so by itself."""
    ids = run_as()
    user: dict[str, Any] = {"user": ids.uid, "group": ids.gid, "extra_groups": []} if ids else {}
    with probes._outside() as facts:
        argv = [host.interpreter().executable, "-I", "-S", "-c", probes.SCRIPT.read_text(), json.dumps(facts)]
        if ids is not None:
            argv[0] = "/usr/bin/python3"  # root's own may lie where nobody else may look
        own = subprocess.Popen(["/usr/bin/sleep", "60"], **user)
        start = Path(f"/proc/{own.pid}/stat").read_text().rpartition(") ")[2].split()[19]
        argv[-1] = json.dumps({**facts, "pid": own.pid, "start": start})
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True, cwd="/tmp", **user)
        own.kill()
        own.wait()
    found: dict[str, bool] = json.loads(done.stdout)
    # Who can write nowhere outside is kept from it by the file's modes; the canary is read all the same.
    assert [name for name, held in found.items() if held] == []
    assert found.keys() == INSIDE


def test_where_no_cell_can_be_made_runs_are_not_called_safe(tmp_path: Path) -> None:
    with house(tmp_path, CRONWARD_BWRAP="/nonexistent/bwrap") as home:
        done = home.cronward("doctor")
    assert done.returncode == 1
    assert "Install it: apt-get install bubblewrap" in done.stdout


def test_a_layer_that_an_act_came_through_is_named_and_fails(tmp_path: Path) -> None:
    answers = dict.fromkeys(INSIDE, True) | {"mount namespace": False}

    def execute(asked: ExecuteRequest) -> ExecuteResult:
        missing = Layer(name="landlock", detail="not offered by this kernel", held=False)
        about = {"run_id": asked.run_id, "attempt": 1}
        if asked.limits.memory_bytes < 1 << 30 or asked.cell.network == "allow":
            return ExecuteResult(**about, reason=Reason.OK)  # type: ignore[arg-type]
        return ExecuteResult(**about, reason=Reason.OK, response=json.dumps(answers), layers=(missing,))  # type: ignore[arg-type]

    found = {probe.layer: probe.held for probe in probes.of_layers(execute, request(tmp_path, "true"))}
    assert found.pop("landlock") is None
    assert {name for name, held in found.items() if not held} == {"mount namespace", "memory limit", "kill", "proxy"}


@need("cell")
def test_a_bubblewrap_that_shows_too_much_is_found_out(
    tmp_path: Path, open_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that shows the agent a part of the host's /tmp, where the canary lies, and Landlock is told of it too."""
    # Not all of /tmp: on a busy host that has more files than a run may have there.
    monkeypatch.setattr(tempfile, "tempdir", str(open_dir))
    wrapper = tmp_path / "bwrap"
    wrapper.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exec /usr/bin/bwrap --version\n'
        f'for word; do shift; [ "$word" = --chdir ] && set -- "$@" --bind {open_dir} {open_dir}\n'
        'set -- "$@" "$word"; done\nexec /usr/bin/bwrap "$@"\n'
    )
    wrapper.chmod(0o755)
    for path in (tmp_path, tmp_path.parent):
        if path.stat().st_uid == os.geteuid() and os.geteuid() != 0:
            path.chmod(0o755)
    findings = examine(Home(tmp_path / "home"), Config(bwrap=str(wrapper)))
    held = {found.name: found.ok for found in findings}
    assert held["layer: mount namespace"] is False
    assert held["layer: pid namespace"] is True
