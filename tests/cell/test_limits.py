"""Limits bite, and where the kernel says so they are named."""

from __future__ import annotations

from pathlib import Path

from runner.host import interpreter
from tests.driver import execute, limits, request
from tests.lacks import need

pytestmark = need("cell")
# The one that is shown in the cell.
PYTHON = interpreter().executable


def test_processes_are_limited_for_this_run_alone(log_dir: Path) -> None:
    script = "n=0; for i in $(seq 40); do sleep 20 & n=$((n+1)); echo $n; done"
    result = execute(request(log_dir, "sh", "-c", script, limits=limits(processes=20, wall_seconds=10)))
    assert result["reason"] == "process_limit"
    assert "limit of 20 processes and threads" in result["error"]
    last = int((log_dir / "stdout").read_text().split()[-1])
    # init, the shell and its sleeps together.
    assert 16 <= last <= 18
    assert result["left_behind"] == last


def test_threads_count_as_processes(log_dir: Path) -> None:
    script = (
        "import threading, time\n"
        "try:\n"
        "    for n in range(100): threading.Thread(target=time.sleep, args=(20,), daemon=True).start()\n"
        "except RuntimeError: print(n, flush=True)\n"
        "import os; os._exit(0)\n"
    )
    result = execute(request(log_dir, PYTHON, "-I", "-S", "-c", script, limits=limits(processes=20)))
    assert 16 <= int(result["response"]) <= 18


def test_an_agent_that_fails_far_from_its_limit_of_processes_failed_by_itself(log_dir: Path) -> None:
    script = "for i in 1 2 3; do sleep 1 & done; sleep 0.3; exit 3"  # six with init, the shell and its own sleep
    result = execute(request(log_dir, "sh", "-c", script, limits=limits(processes=20)))
    assert (result["reason"], result["usage"]["processes_peak"]) == ("agent_error", 6)


def test_cpu_time_is_limited_and_named(log_dir: Path) -> None:
    result = execute(request(log_dir, "sh", "-c", "while :; do :; done", limits=limits(cpu_seconds=1)))
    assert result["reason"] == "cpu_limit"
    # By the kernel's signal, or by ours where a look came first.
    assert result["signal"] in (24, 15)
    assert 0.6 < result["usage"]["cpu_seconds"] < 3  # by ticks, which a busy machine miscounts


def test_a_file_is_limited_and_named(log_dir: Path) -> None:
    result = execute(
        request(log_dir, "sh", "-c", "exec head -c 3000000 /dev/zero > /tmp/f", limits=limits(file_bytes=1 << 20))
    )
    assert (result["reason"], result["signal"]) == ("disk_limit", 25)


def test_open_files_are_limited(log_dir: Path) -> None:
    result = execute(request(log_dir, "sh", "-c", "ulimit -n; ulimit -Hn; ulimit -c", limits=limits(open_files=99)))
    assert result["response"].split() == ["99", "99", "0"]


def test_every_private_place_is_limited(log_dir: Path) -> None:
    script = "for d in /tmp /dev/shm ~; do head -c 9000000 /dev/zero 2>/dev/null > $d/f; stat -c %s $d/f; done"
    result = execute(request(log_dir, "sh", "-c", script, limits=limits(tmp_bytes=4 << 20)))
    assert result["response"].split() == [str(4 << 20)] * 3


def test_memory_has_a_backstop_for_one_process(log_dir: Path) -> None:
    script = "bytearray(5 << 30)"
    result = execute(request(log_dir, PYTHON, "-I", "-S", "-c", script))
    assert result["reason"] == "agent_error"
    assert "MemoryError" in result["error"]


def test_an_agent_cannot_raise_its_limits(log_dir: Path) -> None:
    script = "ulimit -Hn 5000 2>/dev/null && echo raised; ulimit -Hu 5000 2>/dev/null && echo raised; true"
    assert execute(request(log_dir, "sh", "-c", script))["response"] == ""
