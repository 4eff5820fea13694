"""Memory is limited for a run as a whole, however it is spread over processes. Each bomb ends at 300 MiB by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.host import interpreter
from tests.driver import Driven, eventually, execute, limits, marker, request, survivors
from tests.lacks import need

pytestmark = need("cell")
PYTHON = interpreter().executable
MIB = 1 << 20
LIMIT = 128 * MIB
BOMBS = {
    "one process": "hold = bytearray(300 << 20)",
    "eight processes": "for _ in range(7): os.fork() or wait(bytearray(36 << 20))\nhold = bytearray(36 << 20)",
    "a shared mapping": "hold = mmap.mmap(-1, 300 << 20)\nfor at in range(0, 300 << 20, 4096): hold[at] = 1",
    "copies after a fork": (
        "hold = mmap.mmap(-1, 50 << 20, flags=mmap.MAP_PRIVATE)\n"
        "def touch(value):\n    for at in range(0, 50 << 20, 4096): hold[at] = value\n"
        "touch(1)\nfor _ in range(4): os.fork() or (touch(2), wait())"
    ),
    "orphans in sessions of their own": (
        "for _ in range(8):\n    if not os.fork():\n        os.setsid()\n        os.fork() and os._exit(0)\n"
        "        wait(bytearray(36 << 20))"
    ),
    "a thread's child": "threading.Thread(target=lambda: os.fork() or wait(bytearray(300 << 20))).start()",
    "the file system for shared memory, mapped": (
        "file = open('/dev/shm/bomb', 'w+b')\nfile.truncate(200 << 20)\nhold = mmap.mmap(file.fileno(), 200 << 20)\n"
        "for at in range(0, 200 << 20, 4096): hold[at] = 1"
    ),
    "another thread, the first one has ended": (
        "def bomb():\n    time.sleep(0.3)\n    wait(bytearray(300 << 20))\n"
        "if not os.fork():\n    threading.Thread(target=bomb).start()\n"
        "    ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[os.uname().machine], 0)"
    ),
    "page tables of pages that hold nothing": (
        "hold = mmap.mmap(-1, 160 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000, mmap.PROT_READ)\n"
        "for at in range(0, 150 << 30, 2 << 20): hold[at]"
    ),
    "hidden from /proc": "ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)\nhold = bytearray(300 << 20)",
}
COMMON = (
    "import ctypes, mmap, os, signal, sys, threading, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "def wait(hold=None):\n    time.sleep(20)\n    os._exit(0)\n"
)


def run(log_dir: Path, script: str, *args: str, **changes: Any) -> dict[str, Any]:
    allowed = limits(**{"memory_bytes": LIMIT, "tmp_bytes": 256 * MIB, "file_bytes": 1 << 30, **changes})
    return execute(request(log_dir, PYTHON, "-I", "-S", "-c", f"{COMMON}{script}", *args, limits=allowed))


@pytest.mark.parametrize("script", BOMBS.values(), ids=BOMBS.keys())
def test_a_bomb_ends_out_of_memory_with_its_size_and_leaves_nothing(log_dir: Path, script: str) -> None:
    mark = marker()
    result = run(log_dir, f"{script}\nwait()", mark)
    assert result["reason"] == "out_of_memory"
    assert "128 MiB is the limit" in result["error"]
    assert "MiB of memory" in result["error"]
    assert LIMIT < result["usage"]["peak_memory_bytes"] < 400 * MIB
    assert result["usage"]["wall_seconds"] < 10
    assert survivors(mark) == []


def test_what_was_started_behind_seven_hundred_others_counts(log_dir: Path) -> None:
    """The kernel lists the children of a process a page at a time, some 680."""
    script = "for _ in range(700):\n    os.fork() or os._exit(0)\nos.fork() or wait(bytearray(300 << 20))\nwait()"
    assert run(log_dir, script, processes=1000)["reason"] == "out_of_memory"


def test_what_many_processes_share_counts_once(log_dir: Path) -> None:
    """Eleven processes show 770 MiB of resident memory between them, and have 70."""
    script = (
        "hold = mmap.mmap(-1, 70 << 20, flags=mmap.MAP_PRIVATE)\nhold.write(bytes(70 << 20))\n"
        "ends = os.pipe()\n"  # they end with the first, so that all are there at once
        "for _ in range(10): os.fork() or (os.close(ends[1]), os.read(ends[0], 1), os._exit(0))\ntime.sleep(2)"
    )
    result = run(log_dir, script)
    assert (result["reason"], result["error"]) == ("ok", "")
    assert 70 * MIB < result["usage"]["peak_memory_bytes"] < LIMIT
    assert result["usage"]["processes_peak"] == 12


def test_a_child_between_vfork_and_exec_is_not_counted_twice(log_dir: Path) -> None:
    """A child that has its parent's memory, not a copy of it, for a second: longer than any look at it takes."""
    script = (
        "hold = bytearray(90 << 20)\nstack = ctypes.create_string_buffer(1 << 16)\nlibc = ctypes.CDLL(None)\n"
        "pointers = [ctypes.cast(libc.sleep, ctypes.c_void_p), ctypes.c_void_p(ctypes.addressof(stack) + 65520)]\n"
        "pid = libc.clone(*pointers, 0x4111, ctypes.c_void_p(1))\n"  # CLONE_VFORK | CLONE_VM | SIGCHLD
        "sys.exit(os.waitpid(pid, 0)[1])"
    )
    result = run(log_dir, script)
    assert (result["reason"], result["error"]) == ("ok", "")
    assert 90 * MIB < result["usage"]["peak_memory_bytes"] < LIMIT
    assert result["usage"]["processes_peak"] == 3


def test_a_run_within_its_limit_has_its_peaks_recorded(log_dir: Path) -> None:
    script = "for _ in range(3):\n    if not os.fork(): break\nhold = bytearray(20 << 20)\ntime.sleep(2)"
    result = run(log_dir, script)
    assert result["reason"] == "ok"
    usage = result["usage"]
    assert 80 * MIB < usage["peak_memory_bytes"] < 115 * MIB
    assert 20 * MIB < usage["peak_rss_bytes"] < 40 * MIB
    assert usage["processes_peak"] == 5  # init, the agent and its three


def test_the_record_says_who_limited_memory(log_dir: Path) -> None:
    held = {layer["name"]: layer["detail"] for layer in run(log_dir, "pass")["layers"]}
    assert held["memory limit"] == "128 MiB, watchdog, every 100 ms"


def test_memory_is_limited_also_while_a_run_is_asked_to_end(log_dir: Path) -> None:
    mark = marker()
    script = f"{COMMON}print('up', flush=True)\ntime.sleep(2)\nhold = bytearray(300 << 20)\nwait()"
    allowed = limits(memory_bytes=LIMIT, grace_seconds=15)
    with Driven(request(log_dir, PYTHON, "-I", "-S", "-c", script, mark, limits=allowed)) as driven:
        driven.wait_for("started")
        eventually(lambda: (log_dir / "stdout").read_text() == "up\n", within=10)
        driven.stop()
        result = driven.result()
        assert survivors(mark) == []
    assert (result["reason"], result["signal"]) == ("canceled_by_user", 9)
    assert result["usage"]["wall_seconds"] < 8


def test_cpu_time_is_limited_over_all_processes_together(log_dir: Path) -> None:
    """Four processes, none of which comes near the limit by itself."""
    script = "for _ in range(3): os.fork()\nwhile True: pass"
    result = run(log_dir, f"import signal; signal.signal(signal.SIGTERM, signal.SIG_DFL)\n{script}", cpu_seconds=2)
    assert result["reason"] == "cpu_limit"
    assert "2 s of CPU time" in result["error"]
    assert 2 <= result["usage"]["cpu_seconds"] < 4


def test_cpu_time_of_children_that_nobody_waits_for_counts(log_dir: Path) -> None:
    """Where a parent ignores SIGCHLD the kernel forgets what its children used."""
    script = (
        "signal.signal(signal.SIGTERM, signal.SIG_DFL)\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "while True:\n    pid = os.fork()\n    until = time.process_time() + 0.4\n"
        "    while not pid and time.process_time() < until: pass\n    pid or os._exit(0)\n"
        "    try: os.waitpid(pid, 0)\n    except ChildProcessError: pass"
    )
    result = run(log_dir, script, cpu_seconds=2, wall_seconds=25)
    assert result["reason"] == "cpu_limit"
