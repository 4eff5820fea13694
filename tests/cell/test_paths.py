"""Paths and repositories of a job, by a real supervisor: added, run, told, and kept apart."""

from __future__ import annotations

import os
from pathlib import Path

from tests.house import eventually, house
from tests.lacks import need

pytestmark = need("cell")
YEARLY = ("--cron", "0 0 1 1 *", "--prompt", "x")


def test_a_job_reads_and_writes_what_it_names_and_its_owner_is_told_what_is_left(
    tmp_path: Path, open_dir: Path
) -> None:
    for name in ("read", "write", "link"):
        (open_dir / name).mkdir()
        (open_dir / name).chmod(0o777)
        os.chown(open_dir / name, os.geteuid(), os.getegid())
    (open_dir / "read" / "data").write_text("data\n")
    (open_dir / "to-write").symlink_to("write")
    script = f"cat {open_dir}/read/data; cd {open_dir}/write; : > \"$(printf 'evil\\n\\033[31m.pth')\"; echo x > .envrc"
    with house(tmp_path) as home:
        home.start()
        see = ("--read-path", str(open_dir / "read"), "--write-path", str(open_dir / "to-write"))
        job = home.json("add", *YEARLY, "--name", "sees", "--command", f"sh -c '{quoted(script)}'", *see)
        assert (job["read_paths"], job["write_paths"]) == ([str(open_dir / "read")], [str(open_dir / "write")])
        home.client.run_job(job["id"])
        run = home.ended(job["id"])[0]
        assert (run["status"], run["response"]) == ("completed", "data\n"), run
        assert [one["why"] for one in run["planted"]["found"]] == ["tool", "tool"]
        told = home.cronward("logs", run["id"]).stdout
        assert f"{open_dir}/write/.envrc tools obey it" in told
        assert "evil\\n\\x1b[31m.pth" in told
        assert "left 2 files" in home.cronward("show", "sees").stderr
        assert str(open_dir / "read") in home.cronward("show", "sees").stdout
        edited = home.json("edit", "sees", "--read-path", "none", "--work-dir", str(open_dir), "--work-mode", "read")
        assert (edited["read_paths"], edited["work_mode"]) == ([], "read")
        (open_dir / "write").rename(open_dir / "moved")
        (open_dir / "write").symlink_to("moved")
        home.client.run_job(job["id"])
        failed = home.ended(job["id"], 2)[1]
        assert (failed["reason"], "a link stands" in failed["error"]) == ("bad_definition", True), failed


def quoted(script: str) -> str:
    return script.replace("'", "'\\''")


def test_two_jobs_on_one_place_run_one_after_the_other_and_why_says_so(tmp_path: Path, open_dir: Path) -> None:
    open_dir.chmod(0o777)
    os.chown(open_dir, os.geteuid(), os.getegid())
    with house(tmp_path) as home:
        home.start()
        wait = f"sh -c 'while [ ! -e {open_dir}/go ]; do sleep 0.02; done'"
        first = home.run_now(name="first", command=wait, work_dir=str(open_dir))
        eventually(lambda: home.runs(first["id"])[0].get("status") == "running")
        reader = home.run_now(name="reader", command="true", work_dir=str(open_dir), work_mode="read")
        assert home.ended(reader["id"])[0]["status"] == "completed"
        second = home.run_now(name="second", command="true", write_paths=[str(open_dir)])
        words = f"run {home.runs(first['id'])[0]['id'][:8]} of job first may write in the same place"
        eventually(lambda: words in home.cronward("why", "second").stdout)
        assert home.runs(second["id"])[0]["status"] == "queued"
        (open_dir / "go").touch()
        assert home.ended(second["id"])[0]["status"] == "completed"
        ends = [home.runs(job["id"])[0] for job in (first, second)]
        assert ends[0]["finished_at"] <= ends[1]["started_at"]
