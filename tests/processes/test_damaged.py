"""One file that cannot be read costs its own job something, and no other; what was removed is still read by name."""

from __future__ import annotations

import ctypes
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.reasons import Reason
from supervisor.cli.times import stamp
from supervisor.control.routes import answer
from supervisor.cronscheduler import CronScheduler
from supervisor.models import CronRun
from supervisor.spawning.launcher import Executor
from supervisor.status import Status
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.runs import RunsStore
from supervisor.stores.store import DamagedError
from tests.command import Command
from tests.fakes import make_job, make_run
from tests.ramdisk import FAST

BAD, GOOD = make_job().id, "22222222-0000-4000-8000-000000000002"


def bind_root(*, bound: bool) -> None:
    """Take from this thread, and those it begins, root's way around permissions; or give it back."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; then their upper halves
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.capget(header, sets) == 0
    around = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    sets[0] = sets[0] & ~around if bound else sets[0] | (sets[1] & around)
    assert libc.capset(header, sets) == 0


@pytest.fixture
def home() -> Iterator[Home]:
    """Two jobs with a run each; whoever looks is bound by permissions, as root would not be."""
    with tempfile.TemporaryDirectory(dir=FAST) as folder:
        found = Home(Path(folder) / "h")
        for job_id, name in ((BAD, "bad"), (GOOD, "good")):
            CronStore(found).add(make_job(id=job_id, name=name))
            RunsStore(found).record(ended(f"{job_id[:8]}-run", job_id, name))
        bind_root(bound=True)
        try:
            yield found
        finally:
            bind_root(bound=False)


@pytest.fixture
def cronward(home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home.root.parent / "no-config"))
    return Command(home.root, capsys, monkeypatch)


def ended(run_id: str, job_id: str, name: str, **fields: object) -> CronRun:
    begun = datetime.now(UTC) - timedelta(minutes=5)
    known = {"status": Status.COMPLETED, "reason": Reason.OK, "started_at": begun, "finished_at": begun}
    return make_run(id=run_id, job_id=job_id, job_name=name, **{**known, **fields})


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


SPOILT: dict[str, Callable[[Path], None]] = {"a fifo": make_fifo, "not ours to read": lambda path: path.chmod(0)}


@pytest.mark.parametrize("kind", SPOILT)
def test_a_history_that_cannot_be_read_stops_no_other_job(cronward: Command, home: Home, kind: str) -> None:
    SPOILT[kind](home.runs / f"{BAD}.jsonl")
    said = cronward("list")
    bad, good = sorted(line for line in said.out.splitlines() if line[:8] in (BAD[:8], GOOD[:8]))
    assert said.code == 0
    assert ("damaged" in bad, "completed 5 min ago" in good) == (True, True)
    assert f"Damaged history: {home.runs / BAD}.jsonl" in said.err
    for call in (("show", "good"), ("pause", "good"), ("resume", "good"), ("runs",), ("cron", "list_crons")):
        assert cronward(*call).code == 0, call
    assert "last        damaged" in cronward("show", "bad").out
    assert "Its history is damaged" in cronward("resume", "bad").out
    told = {job["name"]: job["last_error"] for job in cronward.json("list")}
    assert (str(home.runs) in told["bad"], told["good"]) == (True, "")


@pytest.mark.parametrize("kind", SPOILT)
def test_the_api_shows_the_other_jobs_beside_a_damaged_history(home: Home, kind: str) -> None:
    SPOILT[kind](home.runs / f"{BAD}.jsonl")
    found = answer(CronScheduler(CronStore(home)), "GET", "/v1/jobs", b"")
    told = {job["name"]: job["last_error"] for job in json.loads(b"".join(found.body))}
    assert (found.status, str(home.runs) in told["bad"], told["good"]) == (200, True, "")


@pytest.mark.parametrize("folder", ["jobs", "runs"])
def test_a_file_that_may_not_be_read_is_left_in_place_and_the_supervisor_starts(home: Home, folder: str) -> None:
    path = home.root / folder / (f"{BAD}.json" if folder == "jobs" else f"{BAD}.jsonl")
    content = path.read_bytes()
    path.chmod(0)
    scheduler = CronScheduler(CronStore(home), Executor(sys.executable, home.root / "pycache"))
    scheduler.start()
    try:
        status = scheduler.status()
        names = [job.name for job in scheduler.list_jobs()]
    finally:
        scheduler.stop(now=True)
    assert names == (["good"] if folder == "jobs" else ["bad", "good"])
    assert [f"chmod 600 {path}" in problem for problem in status["damaged"]] == [True]
    path.chmod(0o600)
    assert path.read_bytes() == content
    assert [job.name for job in CronStore(home).list()] == ["bad", "good"]


def test_a_history_that_may_not_be_read_is_not_begun_anew(home: Home) -> None:
    (home.runs / f"{BAD}.jsonl").chmod(0)
    with pytest.raises(DamagedError, match="chmod 600"):
        RunsStore(home).record(make_run())
    assert list(home.damaged.iterdir()) == []


def test_the_history_of_a_removed_job_is_read_by_its_name_and_by_the_beginning_of_its_id(cronward: Command) -> None:
    assert cronward("remove", "bad").code == 0
    for ref in ("bad", BAD, BAD[:4]):
        assert [run["job_name"] for run in cronward.json("runs", ref)] == ["bad"], ref
    desk = CronScheduler(CronStore(cronward.home))
    assert [run.job_id for run in desk.find_runs("bad", None, None)] == [BAD]
    for ref in ("", "b", BAD[:3], "nobody"):
        assert cronward("runs", ref).code == 3, ref


def test_a_name_that_several_removed_jobs_had_means_the_runs_of_all(home: Home) -> None:
    store = RunsStore(home)
    store.record(ended("later", "33333333", "bad", started_at=datetime.now(UTC)))
    assert [run.id for run in store.runs_of("bad")] == ["later", f"{BAD[:8]}-run"]
    assert [run.id for run in store.runs_of("bad", last=1)] == ["later"]


def test_a_run_that_failed_before_it_began_is_the_last_one(cronward: Command, home: Home) -> None:
    at = datetime.now(UTC) - timedelta(minutes=2)
    why = {"status": Status.FAILED, "reason": Reason.BAD_DEFINITION, "error": "No such agent."}
    RunsStore(home).record(make_run(id="never-began", job_id=GOOD, job_name="good", finished_at=at, **why))
    RunsStore(home).record(make_run(id="skip", job_id=GOOD, status=Status.SKIPPED, reason=Reason.OVERLAP))
    words = Reason.BAD_DEFINITION.value
    assert f"{words} 2 min ago" in cronward("list").out
    assert f"{words} at {stamp(at)} (2 min ago)" in cronward("show", "good").out


def test_what_is_told_is_told_once_and_in_our_words(cronward: Command) -> None:
    assert cronward("pause", "good").out == f"Paused good ({GOOD}).\n"
    both = cronward("add", "--cron", "@daily", "--every", "1h", "--prompt", "x").err
    assert "(--cron and --every were given)" in both
    assert "(none of them was given)" in cronward("add", "--prompt", "x").err
