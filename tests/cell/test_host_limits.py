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
