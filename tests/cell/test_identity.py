"""Whose rights a run has under root's supervisor, what that user can do to it, and what becomes of what it left."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.driver import children, marker, survivors
from tests.house import House, eventually, house
from tests.lacks import need
from tests.passage import let_through

pytestmark = need("root", "cell")
NOBODY = "nobody"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        tmp_path.chmod(0o755)
        made.start()
        yield made


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """Everybody's to write to, below directories that everybody may enter."""
    made = let_through(tmp_path) / "work"
    made.mkdir()
    made.chmod(0o777)
    os.chown(made, 4711, 4711)
    return made


def ran(home: House, **draft: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    job = home.run_now(retries=0, **draft)
    return job, home.ended(job["id"])[-1]


def standing(home: House) -> dict[str, Any]:
    """The one run whose agent runs by now."""
    (run,) = eventually(lambda: [run for run in home.client.live() if run["layers"]])
    return dict(run)


def as_nobody(*argv: str) -> subprocess.CompletedProcess[str]:
    drop = ["setpriv", f"--reuid={NOBODY}", "--regid=nogroup", "--clear-groups"]
    return subprocess.run([*drop, *argv], capture_output=True, text=True, timeout=20, check=False)


def test_a_job_that_names_a_user_runs_with_that_users_rights_and_no_other_groups(home: House, work: Path) -> None:
    _, run = ran(home, run_as=NOBODY, work_dir=str(work), command="sh -c 'touch made; id -G; pwd'")
    assert (run["status"], run["response"].split()) == ("completed", ["1000", str(work)])
    me = pwd.getpwnam(NOBODY)
    found = (work / "made").stat()
    assert (found.st_uid, found.st_gid) == (me.pw_uid, me.pw_gid)
    assert {layer["name"]: layer["detail"] for layer in run["layers"]}["uid drop"] == str(me.pw_uid)
    assert not (home.root / "uids.json").exists()


def test_a_user_that_went_since_fails_the_run(home: House) -> None:
    job = home.add(cron_expr="0 0 1 1 *", command="true", run_as=NOBODY, retries=0)
    path = home.root / "jobs" / f"{job['id']}.json"
    home.stop()
    path.write_text(path.read_text().replace(f'"{NOBODY}"', '"no-such-user"'))
    home.start()
    home.client.run_job(job["id"])
    (run,) = home.ended(job["id"])
    assert (run["reason"], "There is no user 'no-such-user'" in run["error"]) == ("bad_definition", True)


def test_bubblewrap_and_everything_else_of_a_run_is_never_roots(home: House, work: Path) -> None:
    job = home.run_now(work_dir=str(work), command="sleep 60")
    assert home.process is not None
    run = standing(home)
    uid = next(int(uid) for uid in json.loads((home.root / "uids.json").read_text())["uids"])
    pids, found = [run["runner_pid"]], []
    while pids:
        pid = pids.pop()
        pids += children(pid)
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        found.append((status["Name"], status["Uid"].split()))
    assert len(found) >= 4  # the runner, bubblewrap, init, the agent
    assert "bwrap" in {name for name, _ in found}
    assert {uid for _, ids in found for uid in ids} == {str(uid)}
    home.cronward("cancel", run["id"])
    home.ended(job["id"])


def test_what_a_removed_job_left_is_its_directorys_owners_and_the_id_is_free(home: House, work: Path) -> None:
    script = "mkdir -p a/b; echo left > a/b/file; ln -s /etc/shadow a/link; mkfifo a/fifo; chmod 000 a/b"
    job, run = ran(home, work_dir=str(work), command=f'sh -c "{script}"')
    assert run["status"] == "completed", run
    table = json.loads((home.root / "uids.json").read_text())["uids"]
    ((uid, owner),) = table.items()
    assert owner == {"job": job["id"], "places": [str(work)], "retired": False}
    assert {path.lstat().st_uid for path in work.rglob("*")} == {int(uid)}
    shadow = Path("/etc/shadow").stat().st_ctime_ns
    home.cronward("remove", job["id"])
    eventually(lambda: not json.loads((home.root / "uids.json").read_text())["uids"])
    assert {path.lstat().st_uid for path in work.rglob("*")} == {4711}
    assert Path("/etc/shadow").stat().st_ctime_ns == shadow


def test_a_job_that_is_removed_while_it_runs_is_reclaimed_when_nothing_of_it_is_left(home: House, work: Path) -> None:
    job = home.run_now(work_dir=str(work), command="sh -c 'touch left; sleep 60'")
    eventually((work / "left").exists)
    home.client.remove_job(job["id"])
    eventually(lambda: (work / "left").stat().st_uid == 4711)
    assert home.ended(job["id"])[-1]["reason"] == "job_removed"


def test_what_a_killed_supervisor_could_not_reclaim_the_next_one_does(home: House, work: Path) -> None:
    job, _ = ran(home, work_dir=str(work), command="touch left")
    home.stop(signal.SIGKILL)
    assert (work / "left").stat().st_uid != 4711
    home.cronward("remove", job["id"])  # without a supervisor: it only goes
    home.start()
    eventually(lambda: (work / "left").stat().st_uid == 4711)


# ---- what the user that a job names can do to its run: docs/security.md says so


@pytest.fixture
def running(home: House, work: Path) -> dict[str, Any]:
    mark = marker()
    home.run_now(
        retries=0, run_as=NOBODY, work_dir=str(work), prompt="a secret prompt", command=f"sh -c 'sleep {mark}'"
    )
    return {**standing(home), "mark": mark}


def test_the_user_of_a_run_can_end_it_and_nothing_of_it_stays(home: House, running: dict[str, Any]) -> None:
    assert as_nobody("kill", "-9", str(running["runner_pid"])).returncode == 0
    (run,) = home.ended(running["job_id"])
    assert (run["status"], run["reason"]) == ("failed", "runner_broke")
    assert survivors(running["mark"]) == []


def test_the_user_of_a_run_cannot_look_into_its_runner_nor_at_its_files(home: House, running: dict[str, Any]) -> None:
    pid = running["runner_pid"]
    for file in ("environ", "mem", "maps", "fd/0", "cwd", "root"):
        assert as_nobody("cat", f"/proc/{pid}/{file}").returncode != 0, file
    ptrace = "import ctypes,sys; l=ctypes.CDLL(None,use_errno=True); sys.exit(l.ptrace(16,int(sys.argv[1]),0,0)+1)"
    assert as_nobody("/usr/bin/python3", "-c", ptrace, str(pid)).returncode == 0  # -1: refused
    for path in (home.root, running["log_dir"], f"{running['log_dir']}/request.json"):
        assert as_nobody("cat", str(path)).returncode != 0, path
    home.cronward("cancel", running["id"])
    home.ended(running["job_id"])


def test_the_user_of_a_run_can_enter_its_cell(home: House, running: dict[str, Any]) -> None:
    """It is that user's own process; who must not see a run does not lend it a uid."""
    assert running["runner_pid"] != 0
    pids, agent = [running["runner_pid"]], 0
    while pids:
        agent = pids.pop()
        pids += children(agent)
    assert running["mark"].encode() in Path(f"/proc/{agent}/cmdline").read_bytes()
    assert as_nobody("ls", f"/proc/{agent}/root/run/cronward").returncode == 0
    home.cronward("cancel", running["id"])
    home.ended(running["job_id"])
