"""The main job, end to end: real supervisors, real runners, real cells; what people do is done through the CLI."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from tests.driver import marker, survivors
from tests.house import House, eventually, house
from tests.lacks import need

pytestmark = need("cell")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made


def soon(seconds: float = 1.5) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_a_job_added_while_the_supervisor_runs_fires_on_time(home: House) -> None:
    home.start()
    job = home.add(at=soon(), prompt="say it back")
    (run,) = home.ended(job["id"])
    assert (run["status"], run["reason"], run["response"]) == ("completed", "ok", "say it back")
    late = datetime.fromisoformat(run["started_at"]) - datetime.fromisoformat(job["at"])
    assert timedelta(0) <= late < timedelta(seconds=5)
    assert run["usage"]["wall_seconds"] > 0
    assert {"namespaces" in layer["name"] or "bubblewrap" in layer["name"] for layer in run["layers"]} >= {True}


def test_a_job_added_before_the_supervisor_starts_fires_as_well(home: House) -> None:
    job = home.json("add", "--every", "1s", "--command", "cat", "--prompt", "hello")
    home.start()
    eventually(lambda: [run for run in home.runs(job["id"]) if run["status"] == "completed"])


def test_a_job_removed_while_the_supervisor_runs_does_not_fire(home: House) -> None:
    home.start()
    gone, kept = home.add(at=soon(5)), home.add(at=soon(5))
    home.client.remove_job(gone["id"])
    home.ended(kept["id"])
    assert home.runs(gone["id"]) == []


def test_pausing_twice_and_resuming_twice_change_nothing_more(home: House) -> None:
    home.start()
    job = home.json("add", "--every", "2s", "--command", "true", "--prompt", "x")
    home.ended(job["id"])
    path = home.root / "jobs" / f"{job['id']}.json"
    assert home.cronward("pause", job["id"]).returncode == 0
    paused = path.read_bytes()
    assert home.cronward("pause", job["id"]).returncode == 0
    assert path.read_bytes() == paused
    before = len(home.runs(job["id"]))
    time.sleep(2.5)
    assert len(home.runs(job["id"])) == before
    assert home.cronward("resume", job["id"]).returncode == 0
    resumed = path.read_bytes()
    assert home.cronward("resume", job["id"]).returncode == 0
    assert path.read_bytes() == resumed
    runs = home.ended(job["id"], before + 2)
    instants = [run["scheduled_at"] for run in runs]
    assert len(instants) == len(set(instants))


def test_the_supervisor_and_its_files_are_the_owners_alone(home: House) -> None:
    home.start()
    job = home.run_now()
    home.ended(job["id"])
    for path in (home.root, *home.root.rglob("*")):
        if "pycache" not in path.parts:
            mode = stat.S_IMODE(path.lstat().st_mode)
            assert mode & 0o077 == 0, f"{path} has mode {mode:o}"


def test_a_second_supervisor_is_refused_with_pid_and_start_of_the_first(home: House) -> None:
    home.start()
    assert home.process is not None
    second = home.cronward("supervise")
    assert second.returncode == 5
    assert str(home.process.pid) in second.stderr
    assert str(datetime.now(UTC).year) in second.stderr


def test_sigterm_lets_a_run_end_and_ends_the_supervisor(home: House) -> None:
    home.start()
    job = home.run_now(command="sh -c 'sleep 1; echo done'")
    eventually(lambda: [run for run in home.runs(job["id"]) if run["status"] == "running"])
    assert home.stop() == 0
    (run,) = home.runs(job["id"])
    assert (run["status"], run["response"]) == ("completed", "done\n")


def test_a_second_sigterm_cancels_what_runs(home: House) -> None:
    mark = marker()
    home.start()
    job = home.run_now(command=f"sleep {mark}")
    eventually(lambda: survivors(mark))
    assert home.process is not None
    home.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert home.process.poll() is None
    assert home.stop() == 0
    (run,) = home.runs(job["id"])
    assert (run["status"], run["reason"]) == ("canceled", "supervisor_stopped")
    assert survivors(mark) == []


def test_a_run_can_be_canceled_although_its_agent_ignores_sigterm(home: House) -> None:
    mark = marker()
    home.start()
    ignores = f"sh -c 'trap \"\" TERM; sleep {mark} & while :; do sleep 1; done'"
    job = home.add(at=soon(3600), command=ignores)
    run = home.json("run", job["id"])
    eventually(lambda: survivors(mark))
    assert home.cronward("cancel", run["id"]).returncode == 0
    (ended,) = home.ended(job["id"])
    assert (ended["status"], ended["reason"]) == ("canceled", "canceled_by_user")
    assert survivors(mark) == []


def test_the_jobs_own_retries_and_delay_rule_and_retry_count_counts_retries(home: House) -> None:
    home.start()
    job = home.run_now(retries=2, retry_delay=100_000_000, command="false")
    (run,) = home.ended(job["id"])
    assert (run["status"], run["reason"], run["retry_count"], run["attempt"]) == ("failed", "agent_error", 2, 3)
    assert sorted(path.name for path in Path(run["log_dir"]).parent.iterdir()) == ["1", "2", "3"]


def test_a_timeout_ends_the_whole_tree_and_is_named(home: House) -> None:
    mark = marker()
    home.start()
    daemon = f'sh -c \'setsid sh -c "trap \\"\\" TERM; sleep {mark}" & sleep {mark}\''
    job = home.run_now(timeout_secs=1, command=daemon)
    (run,) = home.ended(job["id"])
    assert (run["status"], run["reason"]) == ("failed", "timeout_wall")
    assert survivors(mark) == []


def test_kill_minus_nine_of_the_supervisor_leaves_nothing_and_the_run_is_unknown_afterwards(home: House) -> None:
    mark = marker()
    home.start()
    job = home.run_now(command=f"sh -c 'setsid sleep {mark} & sleep {mark}'")
    eventually(lambda: len(survivors(mark)) >= 2)
    home.stop(signal.SIGKILL)
    eventually(lambda: not survivors(mark), within=4.0)
    home.start()
    (run,) = home.ended(job["id"])
    assert (run["status"], run["reason"]) == ("unknown", "supervisor_died")
    time.sleep(0.5)
    assert len(home.runs(job["id"])) == 1


def test_what_nobody_saw_end_is_tried_again_where_its_owner_waived_that(home: House) -> None:
    """The first attempt sleeps, and is killed with its supervisor; the next one is there after it is gone."""
    mark = marker()
    home.start()
    job = home.run_now(command=f"sleep {mark}", rerun_unknown=True, retries=1)
    eventually(lambda: survivors(mark))
    first = survivors(mark)
    home.stop(signal.SIGKILL)
    home.start()
    eventually(lambda: set(survivors(mark)) - set(first))
    assert not set(survivors(mark)) & set(first)
    (run,) = home.runs(job["id"])
    assert (run["status"], run["attempt"], run["retry_count"]) == ("running", 2, 1)
    home.stop(signal.SIGKILL)
    home.start()
    (run,) = home.ended(job["id"])
    assert (run["status"], run["reason"]) == ("unknown", "supervisor_died")
    assert "1 of 1 retries" in run["error"]


def test_kill_minus_nine_of_a_runner_leaves_nothing_and_names_the_cause(home: House) -> None:
    mark = marker()
    home.start()
    job = home.add(at=soon(3600), retries=0, command=f"sh -c 'setsid sleep {mark} & sleep {mark}'")
    run = home.client.run_job(job["id"])
    eventually(lambda: len(survivors(mark)) >= 2)
    (runner,) = [process for process in psutil.process_iter() if {"cronward-run", run.id} <= set(_cmdline(process))]
    runner.kill()
    (ended,) = home.ended(job["id"])
    assert (ended["status"], ended["reason"]) == ("failed", "runner_broke")
    assert survivors(mark) == []


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_what_ps_shows_of_a_run_is_ids_and_a_slug_never_the_prompt(home: House) -> None:
    mark = marker()
    home.start()
    job = home.add(
        at=soon(3600), name="night audit", command=f"sh -c 'cat >/dev/null; sleep {mark}'", prompt="TOP-SECRET"
    )
    run = home.client.run_job(job["id"])
    eventually(lambda: survivors(mark))
    lines = [" ".join(_cmdline(process)) for process in psutil.process_iter()]
    assert any(run.id in line and "night-audit" in line for line in lines)
    assert not any("TOP-SECRET" in line for line in lines)


def test_at_most_four_runs_go_on_at_once_and_the_queue_can_be_seen(home: House) -> None:
    mark = marker()
    home.start()
    jobs = [home.run_now(command=f"sleep {mark}") for _ in range(5)]
    eventually(lambda: home.json("status")["running"] == 4)
    status = home.json("status")
    assert status["queue"][0]["job_id"] in {job["id"] for job in jobs}
    assert "4 of 4" in status["queue"][0]["why"]
    eventually(lambda: len(survivors(mark)) == 4)


def test_an_overlapping_occurrence_is_skipped_and_says_so(home: House) -> None:
    home.start()
    job = home.add(cron_expr="@every 1s", command="sleep 2.5")
    runs = home.ended(job["id"], 3)
    skipped = [run for run in runs if run["status"] == "skipped"]
    assert skipped
    assert all(run["reason"] == "overlap" and run["error"] for run in skipped)


def test_each_run_has_a_home_of_its_own(home: House) -> None:
    home.start()
    job = home.add(cron_expr="@every 1s", overlap="queue", command="sh -c 'ls -A ~; touch ~/left'")

    def completed() -> list[str]:
        return [run["response"] for run in home.runs(job["id"]) if run["status"] == "completed"]

    eventually(lambda: len(completed()) >= 2, within=20)
    assert set(completed()) == {"scratch\n"}


def test_an_answer_that_is_not_the_json_it_should_be_fails_the_run(home: House) -> None:
    home.start()
    schema = json.dumps({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}})
    base = {"retries": 0, "output_format": "structured", "output_schema": schema}
    good = home.run_now(**base, prompt='{"n": 3}')
    bad = home.run_now(**base, prompt='{"n": "three"}')
    assert home.ended(good["id"])[0]["status"] == "completed"
    (run,) = home.ended(bad["id"])
    assert (run["status"], run["reason"]) == ("failed", "invalid_output")
    assert "$.n" in run["error"]


def test_edits_by_many_clis_at_once_are_all_there(home: House) -> None:
    import concurrent.futures

    home.start()
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        done = list(
            pool.map(
                lambda n: home.cronward(
                    "add", "--name", f"j{n}", "--cron", "@daily", "--prompt", "x", "--command", "cat"
                ),
                range(12),
            )
        )
    assert [each.returncode for each in done] == [0] * 12
    assert {job["name"] for job in home.json("list")} == {f"j{n}" for n in range(12)}


def test_the_work_directory_is_writable_where_it_is_ours_and_the_answer_is_there(home: House, tmp_path: Path) -> None:
    home.start()
    work = tmp_path / "project"
    work.mkdir()
    if os.geteuid() == 0:
        work.chmod(0o777)  # a throw-away uid has to be let in
    job = home.run_now(work_dir=str(work), command="sh -c 'cat > made; pwd'", prompt="content")
    (run,) = home.ended(job["id"])
    assert (run["status"], run["response"]) == ("completed", f"{work}\n")
    assert (work / "made").read_text() == "content"
