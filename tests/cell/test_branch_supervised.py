"""The work mode `branch` with a whole supervisor: what is recorded and shown, and what a kill -9 leaves."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.driver import marker, survivors
from tests.house import House, eventually, house
from tests.lacks import need
from tests.repositories import branches, git, owned, repository

pytestmark = need("cell", "git")
COMMIT = "echo second > second && git add second && git commit -q -m second"


def original(tmp_path: Path) -> Path:
    """Root's runs have an id of their own, which may write here as everybody may."""
    place = repository(tmp_path / "original", options=("--shared=0777",))
    if os.geteuid() == 0:
        for path in (place, *place.rglob("*")):
            path.chmod(path.stat().st_mode | (0o777 if path.is_dir() else 0o666))
    tmp_path.chmod(0o755)
    return place


def add(home: House, place: Path, script: str, *options: str) -> str:
    words = ("add", "--name", "nightly", "--every", "24h", "--prompt", "x", "--work-dir", str(place))
    done = home.json(*words, "--work-mode", "branch", "--command", f"sh -c '{script}'", *options)
    return str(done["id"])


def test_a_run_offers_a_branch_and_says_how_to_look_at_it(tmp_path: Path) -> None:
    place = original(tmp_path)
    with house(tmp_path) as home:
        home.start()
        job = add(home, place, COMMIT)
        waited = home.cronward("run", "nightly", "--wait")
        [run] = home.ended(job)
        assert (run["status"], run["branch"]["commits"]) == ("completed", 1), run
        name = f"cronward/nightly/{run['id']}"
        assert run["branch"]["name"] == name
        assert name in branches(place)
        shown = home.cronward("logs", run["id"]).stdout
        command = f"git -C {place} log --stat {run['branch']['base'][:12]}..{name}"
        assert command in shown
        assert command in waited.stderr
        assert "second" in git(place, *command.split()[3:])
        eventually(lambda: not list((home.root / "clones").iterdir()))


def test_a_directory_that_is_no_repository_is_refused_when_the_job_is_added(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with house(tmp_path) as home:
        options = ("--every", "1h", "--prompt", "x", "--command", "cat", "--work-mode", "branch")
        for where, words in (((), "needs a work directory"), (("--work-dir", str(tmp_path / "plain")), "has no .git")):
            done = home.cronward("add", *options, *where)
            assert (done.returncode != 0, words in done.stderr) == (True, True), done.stderr
        assert home.json("list") == []


def test_after_a_kill_of_everything_nothing_stays_and_the_next_run_works(tmp_path: Path) -> None:
    place, mark = original(tmp_path), marker()
    deep = "i=0; while [ $i -lt 1200 ]; do mkdir d; cd d; i=$((i+1)); done"
    with house(tmp_path) as home:
        home.start()
        job = add(home, place, f"if [ -e once ]; then {COMMIT}; else {deep}; sleep {mark}; fi")
        home.cronward("run", "nightly")
        eventually(lambda: survivors(mark))
        assert list((home.root / "clones").iterdir())
        home.stop(signal.SIGKILL)
        eventually(lambda: not survivors(mark))
        home.start()
        [left] = home.ended(job)
        assert left["reason"] == "supervisor_died"
        eventually(lambda: not list((home.root / "clones").iterdir()))
        assert list(branches(place)) == ["main"]
        (place / "once").touch()
        git(place, "add", "once")
        git(place, "commit", "-q", "-m", "once")
        open_to_all(place)
        home.cronward("run", "nightly", "--wait")
        run = home.ended(job, 2)[-1]
        assert (run["status"], run["branch"]["commits"]) == ("completed", 1), run


def open_to_all(place: Path) -> None:
    owned(place)
    if os.geteuid() == 0:
        for path in (place, *place.rglob("*")):
            path.chmod(path.stat().st_mode | (0o777 if path.is_dir() else 0o666))


def test_a_killed_runner_leaves_no_clone(tmp_path: Path) -> None:
    place, mark = original(tmp_path), marker()
    with house(tmp_path) as home:
        home.start()
        job = add(home, place, f"sleep {mark}", "--retries", "0")
        home.cronward("run", "nightly")
        eventually(lambda: survivors(mark))
        [live] = home.runs(job)
        os.kill(int(eventually(lambda: home.runs(job)[0]["runner_pid"] or home.client.live()[0]["runner_pid"])), 9)
        [run] = home.ended(job)
        assert (run["id"], run["reason"]) == (live["id"], "runner_broke")
        eventually(lambda: not list((home.root / "clones").iterdir()))
