"""`cronward doctor JOB`: a job that could run passes; what another one lacks is named with its repair."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.messages import ExecuteResult, Layer, Secret
from shared.reasons import Reason
from supervisor.config import Config
from supervisor.control.desk import reach
from supervisor.definitions.limits import Maxima
from supervisor.definitions.secrets import SecretStore
from supervisor.models import CronJob
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.trials import jobtrial
from supervisor.trials.doctor import Finding
from supervisor.trials.jobdoctor import examine_job
from tests.driver import request, run_as
from tests.house import house
from tests.lacks import need
from tests.repositories import git, repository

pytestmark = need("cell")

VALUE = "a value that nobody is shown"


@dataclass
class Site:
    """A home without a supervisor, and a directory of the agent's user."""

    home: Home
    work: Path
    programs: Path
    config: Config

    def add(self, **draft: Any) -> CronJob:
        usual = {"cron_expr": "@every 1h", "prompt": "never seen", "work_dir": str(self.work)}
        with reach(self.home, self.config) as desk:
            added = desk.add_job(usual | draft)
        found = CronStore(self.home).get(added.id)
        assert found is not None
        return found

    def found(self, job: CronJob, **changes: Any) -> dict[str, Finding]:
        findings = examine_job(self.home, self.config.model_copy(update=changes), job, datetime.now(UTC))
        assert VALUE not in repr(findings)
        return {finding.name: finding for finding in findings}


@pytest.fixture
def site(tmp_path: Path, open_dir: Path) -> Iterator[Site]:
    ids = run_as()
    own = {"uid_base": ids.uid, "uid_count": 1} if ids else {}
    programs = Path(tempfile.mkdtemp(prefix="cronward-programs-", dir="/tmp"))
    programs.chmod(0o755)
    yield Site(Home.of(tmp_path / "home"), open_dir, programs, Config(permit_host_network=True, **own))
    shutil.rmtree(programs)


def bad(findings: dict[str, Finding]) -> set[str]:
    return {name for name, finding in findings.items() if finding.required and not finding.ok}


def program(site: Site) -> Path:
    script = site.programs / "agent"
    script.write_text("#!/bin/sh\ntouch started\n")
    script.chmod(0o755)
    return script


def test_a_job_that_could_run_passes_and_its_agent_was_not_started(site: Site) -> None:
    (site.work / ".git").mkdir()
    SecretStore(site.home).set("TOKEN", VALUE)
    before = sorted(path.name for path in site.home.root.rglob("*"))
    job = site.add(command=str(program(site)), network="public", secrets=["TOKEN=KEY"], read_paths=["/var/log"])
    found = site.found(job)
    assert bad(found) == set(), found
    wanted = {"definition", "program", "login", "paths", "isolation", "network", "limits", "user", "secrets", "cell"}
    wanted |= {"cell: program", "cell: work directory", "cell: /var/log", "cell: repository", "cell: network"}
    assert wanted | {"cell: limits", "cell: secrets"} <= found.keys()
    assert "can be written" in found["cell: work directory"].detail
    assert "denied a host that is not named" in found["cell: network"].detail
    assert "memory limit: 1 GiB" in found["cell: limits"].detail
    assert not (site.work / "started").exists()
    assert [path.name for path in site.work.rglob("*")] == [".git"]
    kept = {"pycache", "clones"}
    after = {path.name for path in site.home.root.iterdir()} - kept
    assert after <= {*before, "jobs", "runs", "logs", "damaged", "outbox", "secrets", "supervisor.lock"}
    assert list(site.home.logs.iterdir()) == []
    assert [(each.name, each.variable) for each in jobtrial._stand_ins(job)] == [("TOKEN", "KEY")]
    assert VALUE not in [each.value for each in jobtrial._stand_ins(job)]
    assert not site.home.uids.exists()


def test_a_clone_is_made_for_the_mode_branch_and_nothing_of_it_stays(site: Site) -> None:
    original = repository(site.work / "original")
    job = site.add(command="cat", work_mode="branch", work_dir=str(original))
    found = site.found(job)
    assert bad(found) == set(), found
    assert "can be written" in found["cell: work directory"].detail
    assert git(original, "branch", "-a") == "* main"
    assert list(site.home.clones.iterdir()) == []


def test_what_is_missing_is_named_with_its_repair_and_nothing_is_started(site: Site) -> None:
    """One after the other: what is broken, what is found, a word of the sentence and of its repair."""
    agent, extra, store = program(site), site.programs / "extra", SecretStore(site.home)
    store.set("TOKEN", VALUE)
    extra.mkdir()
    other = site.programs / "other"
    other.mkdir()
    plain = site.add(command="cat")
    rows: list[tuple[str, CronJob, Callable[[], object], dict[str, Any], str, str, str]] = [
        ("program", site.add(command=str(agent)), agent.unlink, {}, "program", "is not there", "--refresh-program"),
        ("work", site.add(command="cat", work_dir=str(other)), other.rmdir, {}, "paths", "No such file", "--work-dir"),
        (
            "path",
            site.add(command="cat", read_paths=[str(extra)]),
            extra.rmdir,
            {},
            "paths",
            "No such file",
            "--read-path",
        ),
        (
            "secret",
            site.add(command="cat", secrets=["TOKEN"]),
            lambda: store.remove("TOKEN"),
            {},
            "secrets",
            "TOKEN is not set",
            "secret set",
        ),
        (
            "network",
            site.add(command="cat", network="host"),
            bool,
            {"permit_host_network": False},
            "network",
            "not permitted",
            "--network",
        ),
        (
            "maxima",
            site.add(command="cat", limits={"memory": 1 << 30}),
            bool,
            {"maxima": Maxima(memory=1 << 29)},
            "limits",
            "memory",
            "maxima",
        ),
        ("bwrap", plain, bool, {"bwrap": "/nonexistent/bwrap"}, "cell", "apt-get install bubblewrap", "sentence says"),
        (
            "weights",
            site.add(agent="local"),
            bool,
            {"model_path": "/nonexistent.gguf"},
            "login",
            "is not a file",
            "fetch-model",
        ),
    ]
    for row, job, breaks, changes, name, word, repair in rows:
        breaks()
        found = site.found(job, **changes)
        assert bad(found) == {name}, (row, found)
        assert word in found[name].detail, (row, found[name])
        assert repair in found[name].repair, (row, found[name])
        assert any(key.startswith("cell:") for key in found) is False, row


def test_a_work_directory_that_its_user_may_not_write_is_told_but_forbids_no_run(site: Site) -> None:
    site.work.chmod(0o555)
    job = site.add(command="cat")
    found = site.found(job)["cell: work directory"]
    assert (found.ok, found.required) == (False, False)
    assert "starts in /home/agent/scratch" in found.detail
    assert "--work-mode read" in found.repair


def test_a_share_of_cpu_that_nobody_holds_is_a_failure(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    job = site.add(command="cat", limits={"cpu_percent": 50})
    monkeypatch.setattr(jobtrial.cgroup, "at_hand", lambda _pid: False)
    found = site.found(job)
    assert bad(found) == {"cell: whole run"}
    assert "Delegate=yes" in found["cell: whole run"].repair


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"program": "sh"}, "cell: program"),
        ({"unseen": ["/opt/agent"]}, "cell: program"),
        ({"paths": {"/w": [False, False]}}, "cell: work directory"),
        ({"paths": {"/w": [True, True], "/r": [True, True]}}, "cell: /r"),
        ({"repositories": {"/w/.git": [True, True]}}, "cell: repository"),
        ({"repositories": {"/w/.git": [False, False]}}, "cell: repository"),
        ({"reached": True}, "cell: network"),
        ({"interfaces": ["eth0"]}, "cell: network"),
        ({"withheld": ["TOKEN"]}, "cell: secrets"),
        ({"rlimits": {"RLIMIT_NPROC": -1}}, "cell: limits"),
        ({"rlimits": {"RLIMIT_NPROC": 9}}, "cell: limits"),
    ],
)
def test_a_cell_that_does_not_keep_what_was_promised_fails(tmp_path: Path, changed: dict[str, Any], name: str) -> None:
    """Its report comes from a cell that does hold, and one word of it is another one."""
    assert failing(tmp_path, {}) == set()
    assert failing(tmp_path, changed) == {name}


def failing(folder: Path, changed: dict[str, Any]) -> set[str]:
    good = {"program": "", "unseen": [], "paths": {"/w": [True, True], "/r": [True, False]}, "reached": False}
    good |= {"repositories": {"/w/.git": [True, False]}, "interfaces": [], "proxy": "", "withheld": [], "cwd": "/w"}
    good |= {"rlimits": {"RLIMIT_NPROC": 8}}
    asked = request(folder, "true", work_dir="/w")
    asked = replace(asked, cell=replace(asked.cell, read_paths=("/r",)), secrets=(Secret(name="TOKEN", value="x" * 8),))
    asked = replace(asked, prompt=json.dumps({"rlimits": {"RLIMIT_NPROC": 8}}))
    layers = (Layer(name="user namespace"), Layer(name="memory limit"))
    about: dict[str, Any] = {"run_id": "r", "attempt": 1, "reason": Reason.OK, "layers": layers}
    result = ExecuteResult(**about, response=json.dumps(good | changed))
    findings = jobtrial._findings(Home.of(folder), asked, result, called=False)
    return {finding.name for finding in findings if finding.required and not finding.ok}


def test_the_command_says_so_by_its_exit_code_and_knows_no_other_job(tmp_path: Path) -> None:
    with house(tmp_path) as home:
        added = home.json("add", "--every", "1h", "--prompt", "x", "--command", "cat", "--name", "morning")
        good = home.cronward("doctor", "morning", "--json")
        assert good.returncode == 0, good.stdout
        assert {"name", "ok", "detail", "repair", "required", "without"} == json.loads(good.stdout)[0].keys()
        home.environ["CRONWARD_BWRAP"] = "/nonexistent/bwrap"
        broken = home.cronward("doctor", added["id"][:8])
        assert (broken.returncode, "apt-get install bubblewrap" in broken.stdout) == (1, True)
        absent = home.cronward("doctor", "nobody")
        assert (absent.returncode, "There is no job" in absent.stderr) == (3, True)
