"""What the processes of a cell use, out of /proc: parsers on the kernel's text, counting on processes of our own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.init import is_alive
from runner.meter import PAGE, TICKS, TreeMeter, parse_proportional, parse_stat, threads_of
from tests.driver import eventually

FIELDS = "S 7 7 7 0 -1 4194304 900 90000 1 2 11 22 33 44 20 0 5 0 123456 1048576 300 18446744073709551615 1 1"
STATS = {
    # init, which is ours; the agent; its child, and one whose parent is gone.
    1: (0, 50, 500, 1, 9000),
    2: (1, 100, 0, 4, 100),
    3: (2, 200, 0, 1, 200),
    4: (1, 300, 0, 1, 300),
    9: (8, 999, 999, 99, 999),
}


def stat(pid: int, parent: int, own: int, reaped: int, threads: int, rss: int) -> str:
    return f"{pid} (a) b (c) S {parent} 0 0 0 -1 0 0 0 0 0 {own} 0 {reaped} 0 20 0 {threads} 0 {pid}00 {pid}000 {rss} 0"


@pytest.fixture(params=["with lists of children", "without"])
def proc(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A /proc of five processes, four of them the cell's."""
    for pid, (parent, own, reaped, threads, rss) in STATS.items():
        folder = tmp_path / str(pid)
        (folder / "task" / str(pid)).mkdir(parents=True)
        (folder / "stat").write_text(stat(pid, parent, own, reaped, threads, rss))
        (folder / "smaps_rollup").write_text(f"0-f ---p 0 00:00 0 [rollup]\nRss: 9 kB\nPss: {pid} kB\nPss_Anon: 7 kB\n")
        if request.param != "without":
            below = [str(child) for child, row in STATS.items() if row[0] == pid]
            (folder / "task" / str(pid) / "children").write_text(" ".join(below) + " ")
    if request.param != "without":  # the agent's child is its second thread's
        (tmp_path / "2" / "task" / "2" / "children").write_text("")
        (tmp_path / "2" / "task" / "22").mkdir()
        (tmp_path / "2" / "task" / "22" / "children").write_text("3 ")
    return tmp_path


def test_a_tree_is_added_up_without_our_init_and_without_strangers(proc: Path) -> None:
    found = TreeMeter(1, str(proc)).sample(1 << 60)
    assert found.memory == (100 + 200 + 300) * PAGE
    assert found.processes == 1 + 4 + 1 + 1
    assert found.cpu_seconds == (100 + 200 + 300 + 500) / TICKS


def test_memory_is_exact_only_where_that_may_matter(proc: Path) -> None:
    meter = TreeMeter(1, str(proc))
    assert meter.sample(600 * PAGE).memory == 600 * PAGE
    assert meter.sample(600 * PAGE - 1).memory == (2 + 3 + 4) << 10


def test_what_may_not_be_read_counts_whole(proc: Path) -> None:
    (proc / "4" / "smaps_rollup").unlink()
    (proc / "4" / "smaps_rollup").mkdir()  # which cannot be read, by root either
    assert TreeMeter(1, str(proc)).sample(0).memory == (2 + 3 << 10) + 300 * PAGE


def test_what_cannot_be_read_in_time_counts_whole(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.meter.EXACT_SECONDS", -1.0)
    assert TreeMeter(1, str(proc)).sample(0).memory == 600 * PAGE


def test_time_of_a_process_that_nobody_waited_for_is_not_forgotten(proc: Path) -> None:
    meter = TreeMeter(1, str(proc))
    (proc / "1" / "stat").write_text(stat(1, 0, 50, 0, 1, 9000))
    assert meter.sample(1 << 60).cpu_seconds == 600 / TICKS
    for pid in (3, 4):
        (proc / str(pid) / "stat").unlink()
    assert meter.sample(1 << 60).cpu_seconds == 600 / TICKS
    assert meter.sample(1 << 60).cpu_seconds == 600 / TICKS


def test_init_is_known_by_its_parent(proc: Path) -> None:
    assert TreeMeter(9, str(proc)).parent() == 8
    assert TreeMeter(10, str(proc)).parent() == 0


def test_a_tree_that_is_gone_uses_nothing(proc: Path) -> None:
    assert TreeMeter(10, str(proc)).sample(0) == (0, 0, 0.0)


def test_threads_of_a_user_are_counted_however_many_groups_it_is_in(tmp_path: Path) -> None:
    for pid, (uid, threads) in {"7": (1000, 3), "8": (1001, 9), "9": (1000, 2)}.items():
        (tmp_path / pid).mkdir()
        text = f"Name:\tx\nUid:\t{uid}\t0\t0\t0\nGroups:\t{'100001 ' * 2000}\nThreads:\t{threads}\n"
        (tmp_path / pid / "status").write_text(text)
    (tmp_path / "10").mkdir()  # has just ended
    assert threads_of(1000, str(tmp_path)) == 5


@given(st.text().filter(lambda name: "\0" not in name))
def test_a_name_cannot_forge_what_follows_it(name: str) -> None:
    found = parse_stat(f"123 ({name}) {FIELDS}".encode("utf-8", "surrogateescape" if name.isascii() else "replace"))
    assert (found.parent, found.own, found.reaped, found.threads, found.start) == (7, 33, 77, 5, 123456)
    assert (found.size, found.rss) == (1048576, 300 * PAGE)


def test_the_proportional_size_is_the_whole_not_a_part_of_it() -> None:
    assert parse_proportional(b"x\nPss:    1234 kB\nPss_Anon:  1 kB\n") == 1234 << 10
    assert parse_proportional(b"") == 0


@pytest.fixture
def init() -> Iterator[int]:
    """A real process whose child has 30 MiB, which a child of its own shares."""
    script = """
import os, time
if os.fork() == 0:
    hold = bytearray(b"x") * (30 << 20)
    os.fork()
    os.write(1, b"up\\n")
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.read(6) == b"up\nup\n"
            yield process.pid
        finally:
            os.killpg(process.pid, 9)


LEADERLESS = """
import ctypes, sys, threading, time
def live():
    hold = bytearray(b"x") * (30 << 20)
    print("up", flush=True)
    time.sleep(60)
threading.Thread(target=live).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[sys.argv[1]], 0)
"""


def test_a_process_whose_first_thread_has_ended_is_measured_by_another() -> None:
    """Of such a one /proc/PID says what it says of a zombie: no memory at all."""
    top = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))"
    argv = [sys.executable, "-c", top, "-c", LEADERLESS, os.uname().machine]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True) as init:
        try:
            assert init.stdout is not None
            assert init.stdout.readline() == b"up\n"
            meter = TreeMeter(init.pid)
            eventually(lambda: meter.sample(0).processes == 3)
            (pid,) = meter.pids()
            eventually(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z")
            assert meter.sample(1 << 60).memory > 30 << 20
            assert 30 << 20 < meter.sample(0).memory < 60 << 20
            assert is_alive(Path(f"/proc/{pid}/stat").read_text())
        finally:
            os.killpg(init.pid, 9)


VAST = """
import mmap, time
space = mmap.mmap(-1, 64 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, mmap.PROT_READ)
for at in range(0, 16 << 30, 2 << 20):
    space[at]
print("up", flush=True)
time.sleep(60)
"""


def test_the_page_tables_of_a_vast_process_count() -> None:
    """8,192 pages of zeros, which are nobody's memory, by as many tables of 4 KiB."""
    top = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))"
    with subprocess.Popen(
        [sys.executable, "-c", top, "-c", VAST], stdout=subprocess.PIPE, start_new_session=True
    ) as init:
        try:
            assert init.stdout is not None
            assert init.stdout.readline() == b"up\n"
            meter = TreeMeter(init.pid)
            assert meter.sample(1 << 60).memory > 32 << 20
            assert meter.sample(0).memory > 32 << 20
        finally:
            os.killpg(init.pid, 9)


def test_real_processes_share_what_they_share(init: int) -> None:
    meter = TreeMeter(init)
    rough, exact = meter.sample(1 << 60), meter.sample(0)
    assert rough.memory > 60 << 20
    assert 30 << 20 < exact.memory < rough.memory - (25 << 20)
    assert rough.processes == 3
