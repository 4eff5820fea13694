"""What a run writes to disk is limited, measured and named, however it writes it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runner.host import interpreter
from tests.driver import execute, limits, marker, request, survivors
from tests.lacks import need
from tests.trees import clear

pytestmark = need("cell")
PYTHON = interpreter().executable
MIB = 1 << 20
LIMIT = 20 * MIB
COMMON = (
    "import os, signal, sys, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "def write(name, size=1 << 20):\n    with open(name, 'wb') as file: file.write(os.urandom(size))\n"
)
# Each writes until it is ended, or for longer than any machine takes to see 20 MiB.
BOMBS = {
    "many files": "for n in range(300): write(f'{n}'); time.sleep(0.005)",
    "one file": "with open('f', 'wb') as f:\n    for n in range(300): f.write(os.urandom(1 << 20)); time.sleep(0.005)",
    "a file that was there before": (
        "with open('before', 'ab') as f:\n    for n in range(300): f.write(os.urandom(1 << 20)); time.sleep(0.005)"
    ),
    "far below": (
        "for n in range(1200): os.mkdir('d'); os.chdir('d')\nfor n in range(300): write(f'{n}'); time.sleep(0.005)"
    ),
    "files that have no name any more": (
        "held = []\nfor n in range(150):\n    held.append(open('f', 'wb')); held[-1].write(os.urandom(1 << 20))\n"
        "    held[-1].flush(); os.unlink('f'); time.sleep(0.005)"
    ),
    "in a directory that nobody may enter": (
        "os.mkdir('closed')\nwith open('closed/f', 'wb') as f:\n    os.chmod('closed', 0)\n"
        "    for n in range(300): f.write(os.urandom(1 << 20)); time.sleep(0.005)"
    ),
    "empty files": "for n in range(100000): os.close(os.open(f'{n}', os.O_CREAT))",
}


@pytest.fixture(autouse=True)
def removed(tmp_path: Path) -> Iterator[None]:
    yield
    clear(tmp_path)


def run(log_dir: Path, work_dir: Path, script: str, *args: str, **changes: Any) -> dict[str, Any]:
    allowed = limits(**{"disk_bytes": LIMIT, "file_bytes": 1 << 30, "open_files": 1024, **changes})
    argv = (PYTHON, "-I", "-S", "-c", f"{COMMON}{script}", *args)
    return execute(request(log_dir, *argv, work_dir=str(work_dir), limits=allowed))


@pytest.mark.parametrize("script", BOMBS.values(), ids=BOMBS.keys())
def test_whoever_fills_the_disk_is_ended_at_once_with_its_measure(log_dir: Path, work_dir: Path, script: str) -> None:
    (work_dir / "before").write_bytes(bytes(1000))
    os.chown(work_dir / "before", work_dir.stat().st_uid, work_dir.stat().st_gid)
    mark = marker()
    result = run(log_dir, work_dir, f"{script}\ntime.sleep(20)", mark)
    assert result["reason"] == "disk_limit", result
    assert "MiB more to disk than there was before; 20 MiB is the limit" in result["error"]
    assert LIMIT < result["usage"]["peak_disk_bytes"] < 320 * MIB
    assert result["usage"]["wall_seconds"] < 15
    assert survivors(mark) == []


def test_what_was_there_before_does_not_count_and_what_is_replaced_counts_once(log_dir: Path, work_dir: Path) -> None:
    for number in range(5):
        (work_dir / f"{number}").write_bytes(os.urandom(10 * MIB))
        os.chown(work_dir / f"{number}", work_dir.stat().st_uid, work_dir.stat().st_gid)
    time.sleep(0.05)  # by the kernel's own coarse clock these are from before
    script = (
        "for n in range(8):\n    write('0', 10 << 20); os.rename('0', '1'); time.sleep(0.15)\nwrite('new', 5 << 20)"
    )
    result = run(log_dir, work_dir, script)
    assert (result["reason"], result["error"]) == ("ok", "")
    assert result["usage"]["peak_disk_bytes"] < LIMIT


def test_a_sparse_file_takes_what_it_takes(log_dir: Path, work_dir: Path) -> None:
    script = (
        "with open('sparse', 'wb') as f: f.truncate(900 << 20)\n"
        "write('small')\nos.link('small', 'again')\ntime.sleep(1)"
    )
    result = run(log_dir, work_dir, script)
    assert result["reason"] == "ok"
    assert MIB <= result["usage"]["peak_disk_bytes"] < 2 * MIB


def test_what_is_written_in_the_last_moment_counts_too(log_dir: Path, work_dir: Path) -> None:
    result = run(log_dir, work_dir, "write('f', 30 << 20); os._exit(0)")
    assert result["reason"] == "disk_limit"
    assert LIMIT < result["usage"]["peak_disk_bytes"] < 31 * MIB


def test_where_the_disk_is_nearly_full_a_run_that_writes_there_is_ended(log_dir: Path, work_dir: Path) -> None:
    result = run(log_dir, work_dir, "time.sleep(20)", disk_floor_bytes=1 << 50, disk_bytes=None)
    assert (result["reason"], result["signal"]) == ("disk_limit", 9)
    assert "of disk are left, and 1.049e+06 GiB must stay" in result["error"]


def test_one_that_writes_nowhere_minds_no_disk(log_dir: Path) -> None:
    result = execute(request(log_dir, "sleep", "0.3", limits=limits(disk_bytes=1, disk_floor_bytes=1 << 50)))
    assert result["reason"] == "ok"
    assert "disk limit" not in {layer["name"] for layer in result["layers"]}


def test_the_record_says_what_limits_the_disk(log_dir: Path, work_dir: Path) -> None:
    held = {layer["name"]: layer["detail"] for layer in run(log_dir, work_dir, "pass")["layers"]}
    assert held["disk limit"] == "20 MiB more than there was, watchdog"
    assert held["output limit"] == "8 MiB, cut by the runner"


@pytest.mark.parametrize("place", ["/tmp", "/dev/shm", "/home/agent"])
def test_files_beyond_number_in_a_private_place_end_the_run(log_dir: Path, place: str) -> None:
    """They take the kernel's memory, and hold no page that their file system would count."""
    script = f"os.chdir({place!r})\nfor n in range(1000000): os.close(os.open(str(n), os.O_CREAT))"
    result = execute(request(log_dir, PYTHON, "-I", "-S", "-c", f"{COMMON}{script}"))
    assert result["reason"] == "disk_limit"
    assert f"more than 10000 files in its private {place}" in result["error"]
