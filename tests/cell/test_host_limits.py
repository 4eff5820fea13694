"""Limits as people meet them: set in the configuration or with the job, seen in the queue and in the record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import House, eventually, house
from tests.lacks import need

pytestmark = need("cell")
PYTHON = "/usr/bin/python3 -I -S -c"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    config = tmp_path / "config.toml"
    config.write_text('[limits.light]\nmemory = "64MiB"\n')
    with house(tmp_path, CRONWARD_CONFIG=str(config)) as made:
        yield made


def added(home: House, *args: str) -> str:
    return str(home.json("add", "--cron", "0 0 1 1 *", "--prompt", "x", *args)["id"])


def test_a_run_over_its_types_memory_fails_once_and_says_why(home: House) -> None:
    home.start()
    job = added(home, "--retries", "3", "--command", f"{PYTHON} 'import time; b = bytearray(200 << 20); time.sleep(9)'")
    home.json("run", job)
    (run,) = home.ended(job)
    assert (run["status"], run["reason"], run["attempt"]) == ("failed", "out_of_memory", 1)
    assert "64 MiB is the limit" in run["error"]
    assert run["usage"]["peak_memory_bytes"] > 64 << 20
    assert "in 2 processes and threads" in home.cronward("logs", run["id"]).stdout


def test_a_job_says_how_long_it_may_be_silent(home: House) -> None:
    home.start()
    job = added(home, "--retries", "0", "--idle-timeout", "1s", "--command", "sleep 20")
    home.json("run", job)
    (run,) = home.ended(job)
    assert (run["status"], run["reason"]) == ("failed", "timeout_idle")


def test_on_a_busy_host_a_run_waits_in_the_queue_and_says_so(home: House) -> None:
    home.environ["CRONWARD_MIN_AVAILABLE_MEMORY"] = "900TiB"
    home.start()
    job = added(home, "--command", "true")
    home.json("run", job)
    why = eventually(lambda: next((waiting["why"] for waiting in home.json("status")["queue"]), ""))
    assert why.startswith("the host is busy: ")
    assert why.endswith("of memory are available, 900TiB must be")
    assert [run["status"] for run in home.runs(job)] == ["queued"]


def test_a_cell_that_does_not_come_up_in_time_is_tried_again_and_named(home: House, tmp_path: Path) -> None:
    hanging = tmp_path / "bwrap"
    hanging.write_text('#!/bin/sh\n[ "$1" = --version ] && { echo bubblewrap 0.9.0; exit; }\nexec sleep 60\n')
    hanging.chmod(0o755)
    for outer in (tmp_path, tmp_path.parent):
        outer.chmod(0o755)
    home.environ["CRONWARD_BWRAP"] = str(hanging)
    home.start()
    job = added(home, "--retries", "1", "--retry-delay", "1s", "--setup-timeout", "1s", "--command", "true")
    home.json("run", job)
    (run,) = home.ended(job)
    assert (run["status"], run["reason"], run["attempt"]) == ("failed", "timeout_setup", 2)


def test_a_jobs_own_limits_are_what_it_runs_under_and_what_its_record_says(home: House) -> None:
    home.start()
    asked = ("--memory", "96MiB", "--processes", "40", "--open-files", "99", "--cpu-time", "1m", "--tmp", "8MiB")
    asked = (*asked, "--file-size", "1MiB", "--output", "10KiB", "--disk", "1GiB")
    job = added(home, *asked, "--retries", "0", "--command", "sh -c 'ulimit -n; ulimit -f; ulimit -t; df -B1 /tmp'")
    home.json("run", job)
    (run,) = home.ended(job)
    assert run["response"].split()[:3] == ["99", "2048", "60"]
    assert run["response"].split()[-5] == str(8 << 20)
    held = {layer["name"]: layer["detail"] for layer in run["layers"]}
    assert held["memory limit"].startswith("96 MiB, ")
    assert held["rlimits"] == "40 processes, 99 files open, 1 MiB a file, no core, 60 s of CPU"
    assert held["output limit"] == "10 KiB, cut by the runner"
    shown = home.cronward("show", job).stdout
    assert "own limits" in shown
    assert "memory 96MiB, processes 40, open_files 99, file_size 1MiB, tmp 8MiB, disk 1GiB, output 10KiB" in shown
    home.json("edit", job, "--memory", "auto", "--processes", "16", "--output", "1KiB", "--command", "yes")
    home.json("run", job)
    second = home.ended(job, 2)[-1]
    assert second["reason"] == "output_limit"
    assert {layer["name"]: layer["detail"] for layer in second["layers"]}["memory limit"].startswith("64 MiB, ")


def test_a_job_that_asks_for_too_much_is_refused_and_one_that_now_does_fails(home: House, tmp_path: Path) -> None:
    home.start()
    refused = home.cronward("add", "--every", "1h", "--prompt", "x", "--command", "true", "--memory", "17GiB")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "17GiB of memory, and 16GiB is the most" in refused.stderr
    job = added(home, "--memory", "2GiB", "--command", "true")
    (tmp_path / "config.toml").write_text('[maxima]\nmemory = "1GiB"\n')
    home.json("reload")
    home.json("run", job)
    (run,) = home.ended(job)
    assert (run["status"], run["reason"], run["attempt"]) == ("failed", "bad_definition", 0)
    assert "2GiB of memory, and 1GiB is the most that the configuration permits" in run["error"]


def test_a_type_has_a_cap_of_its_own_and_who_waits_for_it_says_so(home: House, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[limits.medium]\nat_once = 1\n")
    home.start()
    first, second = (home.run_now(type="medium", command="sleep 60", name=name) for name in ("first", "second"))
    light = home.run_now(command="true")
    assert home.ended(light["id"])[0]["status"] == "completed"  # it passes by who waits
    words = "1 of 1 medium runs are going on"
    assert [waiting["why"] for waiting in home.json("status")["queue"]] == [words]
    assert words in home.cronward("why", "second").stdout
    assert f"waits: {words}" in home.cronward("runs", "second").stdout
    home.cronward("cancel", home.runs(first["id"])[0]["id"])
    eventually(lambda: home.runs(second["id"])[0]["status"] == "running")
    home.cronward("cancel", home.runs(second["id"])[0]["id"])
    home.ended(second["id"])


def test_where_the_disk_is_nearly_full_nothing_starts_and_the_queue_says_why(home: House) -> None:
    home.environ["CRONWARD_DISK_FLOOR"] = "900TiB"
    home.start()
    job = added(home, "--command", "true")
    home.json("run", job)
    why = eventually(lambda: next((waiting["why"] for waiting in home.json("status")["queue"]), ""))
    assert why.startswith("the host is busy: ")
    assert why.endswith("lies, 900TiB must stay")
    assert str(home.root) in why
