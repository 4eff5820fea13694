"""import, apply and export as they are typed, with and without a supervisor, and killed in the middle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from supervisor.definitions.batch import Batch
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.lock import HomeLock
from tests.command import Command, snapshot
from tests.house import CHECKOUT, House

GOLDEN = CHECKOUT / "tests" / "unit" / "supervisor" / "moving" / "golden"
JOBS = b"""{
  "version": 1,
  "jobs": [
    {
      "id": "0f8fad5b-d9cb-469f-a165-70867728950e",
      "cron_expr": "0 */30 * * * *",
      "prompt": "Audit \\u003clogs\\u003e",
      "type": "light",
      "timeout_mins": 30,
      "retries": 3,
      "retry_delay": 1500000001,
      "output_format": "text",
      "enabled": true,
      "silent": false,
      "notify_on": null,
      "created_by": "ada",
      "created_at": "2026-03-22T09:00:00.123456789+05:45",
      "last_run": "2026-03-23T09:00:00.000000001Z",
      "next_run": "0001-01-01T00:00:00Z",
      "run_count": 512
    },
    {
      "id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
      "cron_expr": "@every 1h30m",
      "prompt": "x",
      "type": "medium",
      "timeout_mins": 0,
      "retries": 0,
      "retry_delay": 0,
      "output_format": "json",
      "enabled": false,
      "silent": true,
      "notify_on": [
        "failed"
      ],
      "created_by": "",
      "created_at": "0001-01-01T00:00:00Z",
      "last_run": "0001-01-01T00:00:00Z",
      "next_run": "0001-01-01T00:00:00Z",
      "run_count": 0
    }
  ]
}"""
RUNS = b"""{
  "version": 1,
  "runs": [
    {
      "id": "22222222-7425-40de-944b-e07fc1f90ae7",
      "job_id": "0f8fad5b-d9cb-469f-a165-70867728950e",
      "started_at": "2026-03-22T10:00:00.5-03:30",
      "finished_at": "2026-03-22T10:00:01.500000007-03:30",
      "duration": 1000000007,
      "status": "failed",
      "error": "boom",
      "retry_count": 3
    },
    {
      "id": "11111111-7425-40de-944b-e07fc1f90ae7",
      "job_id": "a-job-that-is-gone",
      "started_at": "0001-01-01T00:00:00Z",
      "finished_at": "0001-01-01T00:00:00Z",
      "duration": 0,
      "status": "completed",
      "retry_count": 0
    }
  ]
}"""


def hotplex(folder: Path, jobs: bytes = JOBS) -> str:
    folder.mkdir()
    (folder / "jobs.json").write_bytes(jobs)
    (folder / "runs.json").write_bytes(RUNS)
    return str(folder)


def test_the_originals_files_come_in_and_go_out_byte_for_byte(cronward: Command, tmp_path: Path) -> None:
    source = hotplex(tmp_path / "hotplex")
    said = cronward.json("import", source)
    assert (said["stored"], len(said["jobs"]), said["runs_kept"], said["refused"]) == (True, 2, 2, [])
    job = cronward.json("show", "0f8f")
    assert job["imported_from"] == f"{source}/jobs.json"
    assert (job["run_count"], job["created_at"], job["last_error"]) == (512, "2026-03-22T03:15:00.123456Z", "boom")
    assert [run["duration"] for run in cronward.json("runs", "0f8f")] == [1000000007]
    assert cronward("export", "--original", str(tmp_path / "out")).code == 0
    assert ((tmp_path / "out" / "jobs.json").read_bytes(), (tmp_path / "out" / "runs.json").read_bytes()) == (
        JOBS,
        RUNS,
    )
    assert cronward("export", "--original", str(tmp_path / "out")).code == 5
    before = snapshot(cronward.home)
    assert cronward("import", source).code == 2
    assert cronward("import", source, "--dry-run").code == 2
    assert snapshot(cronward.home) == before


@pytest.mark.parametrize("name", ["worded", "zoned", "historic", "edged"])
def test_what_gos_own_json_wrote_comes_in_and_goes_out_byte_for_byte(
    cronward: Command, tmp_path: Path, name: str
) -> None:
    said = cronward("import", str(GOLDEN / name))
    assert said.code == 0, said
    assert cronward("export", "--original", str(tmp_path / "out")).code == 0
    for file in ("jobs.json", "runs.json"):
        assert (tmp_path / "out" / file).read_bytes() == (GOLDEN / name / file).read_bytes(), file


def test_if_one_is_refused_none_is_stored_and_the_rest_can_be_asked_for(cronward: Command, tmp_path: Path) -> None:
    source = hotplex(tmp_path / "hotplex", JOBS.replace(b'"@every 1h30m"', b'"@every soon"'))
    said = cronward("import", source)
    assert said.code == 2
    assert "job 7c9e6679-7425-40de-944b-e07fc1f90ae7: REFUSED" in said.out
    assert "Nothing was stored" in said.out
    assert cronward.json("list") == []
    assert not list((cronward.home / "runs").iterdir())
    said = cronward("import", source, "--skip-refused")
    assert (said.code, len(cronward.json("list"))) == (0, 1)


def test_a_crontab_arrives_paused_and_is_told_of(cronward: Command, tmp_path: Path) -> None:
    text = b"CRON_TZ=Asia/Tokyo\n0 5 * * 1 curl -s https://x | tail\n@daily cat%in\n"
    said = cronward("import", "--crontab", "-", stdin=text)
    assert said.code == 0
    for words in ("runs in a cell", "crontab was left alone", "calls curl", "twice"):
        assert words in said.out
    curl, cat = cronward.json("list")
    assert [(job["name"], job["enabled"], job["timezone"]) for job in (curl, cat)] == [
        ("curl", False, "Asia/Tokyo"),
        ("cat", False, "Asia/Tokyo"),
    ]
    assert cat["prompt"] == "in\n"
    assert cat["imported_from"] == "a crontab on standard input, line 3"
    assert "imported  from a crontab on standard input, line 2" in cronward("show", "curl").out
    said = cronward("import", "--crontab", "-", stdin=text)
    assert (said.code, said.out.count("It is here already")) == (2, 2)
    said = cronward("import", "--crontab", "-", stdin=text + b"@reboot x\n0 1 * * * y\n")
    assert (said.code, len(cronward.json("list"))) == (2, 2)
    assert "@reboot is no time" in said.out
    said = cronward("import", "--crontab", "-", "--skip-refused", stdin=b"@reboot x\n0 1 * * * true\n")
    assert (said.code, len(cronward.json("list"))) == (0, 3)
    assert "#0 5 * * 1 curl -s https://x | tail" in cronward("export", "--crontab").out


def test_a_jobs_file_is_applied_once_and_then_nothing_changes(cronward: Command, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    file = folder / "jobs.toml"
    (folder / "p.md").write_text("one\ntwo\n")
    head = '[[job]]\nname = "a"\nevery = "1h"\nprompt_file = "p.md"\nwork_dir = "."\ncommand = "cat"\n'
    file.write_text(head + '[[job]]\nname = "b"\ncron_expr = "@daily"\nprompt = "x"\n')
    said = cronward("apply", str(file), "--dry-run")
    assert (said.code, cronward.json("list")) == (0, [])
    assert "2 added" in said.out
    assert cronward("apply", str(file)).code == 0
    before = snapshot(cronward.home)
    said = cronward("apply", str(file), "--prune")
    assert (said.code, said.out) == (0, "Applied: 2 unchanged.\n")
    assert snapshot(cronward.home) == before
    assert cronward.json("show", "a")["work_dir"] == str(folder)
    assert f"managed by  {file} (cronward apply): edit it there\n" in cronward("show", "a").out
    (folder / "p.md").write_text("one\nthree\n")
    file.write_text(head)
    said = cronward("apply", str(file))
    assert "~ a\n    prompt:\n      @@ -1,2 +1,2 @@\n       one\n      -two\n      +three\n" in said.out
    assert "b is not in the file any more" in said.out
    assert cronward.json("apply", str(file), "--prune")["removed"][0]["name"] == "b"
    assert [job["name"] for job in cronward.json("list")] == ["a"]


def test_what_another_file_made_or_none_is_changed_only_when_told(cronward: Command, tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text('[[job]]\nname = "a"\nevery = "1h"\nprompt = "x"\n')
    (tmp_path / "two.toml").write_text('[[job]]\nname = "a"\nevery = "2h"\nprompt = "x"\n')
    cronward("add", "--every", "3h", "--prompt", "x", "--name", "a")
    assert "no file made it" in cronward("apply", str(tmp_path / "one.toml")).out
    assert cronward("apply", str(tmp_path / "one.toml"), "--take-over").code == 0
    said = cronward("apply", str(tmp_path / "two.toml"))
    assert (said.code, "one.toml made it" in said.out) == (2, True)
    assert cronward.json("show", "a")["cron_expr"] == "@every 1h"
    (tmp_path / "two.toml").write_text("")
    assert cronward("apply", str(tmp_path / "two.toml"), "--prune").code == 0
    assert len(cronward.json("list")) == 1


def test_what_is_exported_is_applied_in_another_home(cronward: Command, tmp_path: Path) -> None:
    cronward(
        "add",
        "--cron",
        "0 7 * * *",
        "--tz",
        "Asia/Tokyo",
        "--prompt",
        'a "b"\n\\c\n',
        "--name",
        "n",
        "--memory",
        "2GiB",
    )
    cronward("add", "--at", "2036-01-01T00:00:00Z", "--prompt", "x", "--command", "cat", "--overlap", "queue")
    text = cronward("export").out
    (tmp_path / "jobs.toml").write_text(text)
    other = Command(tmp_path / "other", cronward.capsys, cronward.monkeypatch)
    assert other("apply", str(tmp_path / "jobs.toml")).code == 0
    assert other("export").out == text


def test_bad_files_are_refused_in_a_sentence_and_change_nothing(cronward: Command, tmp_path: Path) -> None:
    cronward("add", "--every", "1h", "--prompt", "x")
    before = snapshot(cronward.home)
    (tmp_path / "binary").write_bytes(os.urandom(4096) + b"\0\xff")
    (tmp_path / "deep").write_text("[" * 300_000)
    (tmp_path / "deep.toml").write_text("a = " + "[" * 300_000)
    (tmp_path / "empty").write_bytes(b"")
    os.mkfifo(tmp_path / "fifo")
    with open(tmp_path / "huge", "wb") as huge:
        huge.truncate(1 << 30)
    for name in ("binary", "deep", "deep.toml", "huge", "fifo", "missing", "."):
        path = str(tmp_path / name)
        for call in (("import", path), ("import", "--crontab", path), ("apply", path)):
            said = cronward(*call)
            assert said.code in (2, 3), (call, said)
            assert "Traceback" not in said.out + said.err, call
            assert 0 < len(said.err + said.out) < 2000, call
    assert cronward("import", str(tmp_path / "empty")).code == 2
    assert snapshot(cronward.home) == before


def test_a_running_supervisor_does_the_same(tmp_path: Path) -> None:
    house = House(tmp_path / "home")
    house.start()
    try:
        said = house.json("import", hotplex(tmp_path / "hotplex"))
        assert (said["stored"], said["runs_kept"]) == (True, 2)
        assert house.cronward("export", "--original", str(tmp_path / "out")).returncode == 0
        assert (tmp_path / "out" / "jobs.json").read_bytes() == JOBS
        assert house.json("status")["next_due"] is not None
        file = tmp_path / "jobs.toml"
        file.write_text('[[job]]\nname = "now"\ncron_expr = "0 0 1 1 *"\ncommand = "sleep 60"\nprompt = "x"\n')
        assert house.cronward("apply", str(file)).returncode == 0
        assert "1 unchanged" in house.cronward("apply", str(file)).stdout
        file.write_text("")
        assert "1 removed" in house.cronward("apply", str(file), "--prune").stdout
        many = [{"label": str(at), "draft": {"prompt": "x" * 40_000, "cron_expr": "@daily"}} for at in range(50)]
        assert len(house.client.change_jobs({"jobs": many}).added) == 50  # more than one request may have
        bad = [{"label": "good", "draft": many[0]["draft"]}, {"label": "bad", "draft": {"prompt": ""}}]
        refused = house.client.change_jobs(Batch(jobs=bad))
        assert ([each.label for each in refused.refused], refused.stored) == (["bad"], False)
        assert house.json("status")["jobs"] == 52
    finally:
        house.stop()


KILLED = """
import sys
from supervisor.config import Config
from supervisor.control.desk import reach
from supervisor.stores.home import Home
with reach(Home.of(sys.argv[1]), Config()) as desk:
    old = [job.id for job in desk.list_jobs()]
    jobs = [{"draft": {"prompt": "x", "cron_expr": "@daily", "name": f"{sys.argv[2]}-{at}"}} for at in range(25)]
    print("begin", flush=True)
    desk.change_jobs({"jobs": jobs, "remove": old})
    print("end", flush=True)
"""


def replaced(home: Home, turn: int, seconds: float | None) -> float:
    """All jobs by 25 others, by a process that is killed so long after it began to; how long that took."""
    argv = [sys.executable, "-c", KILLED, str(home.root), f"turn{turn}"]
    with subprocess.Popen(argv, cwd=CHECKOUT, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"begin\n"
        begun = time.monotonic()
        if seconds is None:
            child.stdout.readline()
        else:
            time.sleep(seconds)
            child.kill()
        took = time.monotonic() - begun
        child.wait()
    return took


def test_killed_at_any_moment_all_of_it_is_there_or_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    turns = 40 if os.environ.get("CRONWARD_TESTS") == "full" else 8
    took = replaced(home, 0, None)
    kept = {f"turn0-{at}" for at in range(25)}
    for turn in range(1, turns):
        replaced(home, turn, took * 1.2 * turn / turns)
        with HomeLock(home):  # as the next one to come
            names = {job.name for job in CronStore(home).list()}
        assert names in (kept, {f"turn{turn}-{at}" for at in range(25)}), turn
        kept = names
        assert not home.pending.exists()


def test_what_is_stored_is_its_owners_alone(cronward: Command, tmp_path: Path) -> None:
    cronward("import", hotplex(tmp_path / "hotplex"))
    for path in cronward.home.rglob("*"):
        assert path.lstat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    (archive,) = (cronward.home / "imported").iterdir()
    assert json.loads(archive.read_bytes())["files"] == {"jobs": JOBS.decode(), "runs": RUNS.decode()}
    archive.write_text("damaged")
    said = cronward("export", "--original", str(tmp_path / "out"))
    assert (said.code, "written anew" in said.err) == (0, True)
