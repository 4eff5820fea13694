"""More of everything than a run may have. Each is bounded by itself: at most 256 MiB, 400 processes, 8 seconds.

Each is a run of its own, in which it is what ends first: the run, with a reason, or what it wanted.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable

from tests.hostile.attacks.kit import Held, Lack, T, attack, call, checked, libc

MIB = 1 << 20
TOTAL = 256 * MIB
LONG_ENOUGH = 0.6
"""Seconds for which what was taken is kept: a watchdog looks ten times a second."""


def fill(memory: mmap.mmap, size: int, begin: int = 0) -> None:
    for start in range(begin, begin + size, MIB):
        memory[start : start + MIB] = b"x" * MIB


@attack
def memory_of_one_process() -> None:
    with mmap.mmap(-1, TOTAL, flags=mmap.MAP_PRIVATE) as memory:
        fill(memory, TOTAL)
        time.sleep(LONG_ENOUGH)


def in_processes(count: int, act: Callable[[int], object]) -> None:
    """All at once; held unless each of them came through. `act` is told which one it is."""
    pids = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            code = 1
            with contextlib.suppress(OSError):
                act(number)
                code = 0
            os._exit(code)
        pids.append(pid)
    if any(os.waitpid(pid, 0)[1] for pid in pids):
        raise Held("not all of them came through")


@attack
def memory_of_eight_processes() -> None:
    def share(_: int) -> None:
        with mmap.mmap(-1, TOTAL // 8, flags=mmap.MAP_PRIVATE) as memory:
            fill(memory, TOTAL // 8)
            time.sleep(LONG_ENOUGH * 2)

    in_processes(8, share)


@attack
def memory_shared_by_eight_processes() -> None:
    memory = mmap.mmap(-1, TOTAL)
    part = TOTAL // 8

    def share(number: int) -> None:
        fill(memory, part, number * part)
        time.sleep(LONG_ENOUGH * 2)

    in_processes(8, share)


@attack
def memory_in_a_file_without_a_name() -> None:
    descriptor = call("memfd_create", b"x", 0)
    for _ in range(TOTAL // MIB):
        os.write(descriptor, bytes(MIB))
    time.sleep(LONG_ENOUGH)


@attack
def memory_in_a_shared_segment() -> None:
    segment = checked(libc.shmget(0, ctypes.c_size_t(TOTAL), 0o600))
    libc.shmat.restype = ctypes.c_void_p
    where = libc.shmat(segment, None, 0)
    libc.shmctl(segment, 0, None)
    ctypes.memset(ctypes.c_void_p(where), 1, TOTAL)
    time.sleep(LONG_ENOUGH)


def fill_folder(folder: str, files: int = 1, keep: float = 0.0) -> None:
    paths = [f"{folder}/fill-{os.getpid()}-{number}" for number in range(files)]
    try:
        for path in paths:
            with open(path, "wb") as file:
                for _ in range(TOTAL // files // MIB):
                    file.write(bytes(MIB))
        time.sleep(keep)
    finally:
        for path in paths:
            if os.path.exists(path):
                os.unlink(path)


@attack
def fill_tmp() -> None:
    fill_folder("/tmp", 8)


@attack
def fill_dev_shm() -> None:
    fill_folder("/dev/shm", 8)


@attack
def fill_own_home() -> None:
    fill_folder(T["home"] if T["outside"] else "/home/agent", 8)


@attack
def one_large_file() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    fill_folder(T["work"])


@attack
def fill_the_work_dir_with_many_files() -> None:
    fill_folder(T["work"], 64, 0.0 if T["outside"] else 4.0)


@attack
def lock_memory() -> None:
    with mmap.mmap(-1, 1 << 15) as memory:
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        checked(libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(1 << 15)))
        libc.munlock(ctypes.c_void_p(address), ctypes.c_size_t(1 << 15))


@attack
def many_processes() -> None:
    pids: list[int] = []
    try:
        for _ in range(200):
            pid = os.fork()
            if pid == 0:
                time.sleep(20)
                os._exit(0)
            pids.append(pid)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@attack
def many_threads() -> None:
    over = threading.Event()
    threads = [threading.Thread(target=over.wait) for _ in range(200)]
    begun = []
    try:
        for thread in threads:
            thread.start()
            begun.append(thread)
    except RuntimeError as error:  # Python's word for EAGAIN
        raise Held(str(error)) from error
    finally:
        over.set()
        for thread in begun:
            thread.join()


@attack
def many_descriptors() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    held = []
    try:
        held += [os.open("/dev/null", os.O_RDONLY) for _ in range(2000)]
    finally:
        for descriptor in held:
            os.close(descriptor)


@attack
def dump_core() -> None:
    """Where a pattern leads to a program, the kernel runs that as root, outside, at any limit but 0."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    if resource.getrlimit(resource.RLIMIT_CORE)[0] == 0:
        if T["outside"]:
            raise Lack("whoever runs the tests may dump none either")
        raise Held("the limit is 0, and stays it")
    pid = os.fork()
    if pid == 0:
        os.chdir(T["scratch"])
        os.abort()
    if not os.WCOREDUMP(os.waitpid(pid, 0)[1]):
        raise Held("nothing was dumped")


@attack
def burn_cpu() -> None:
    """For more CPU time than there is, by four processes that each take a quarter."""

    def share(_: int) -> None:
        while time.process_time() < T["cpu_seconds"] / 2:
            pass

    in_processes(4, share)


def flood(descriptor: int) -> None:
    block = b"flood " * 10_000
    for _ in range(T["flood"] // len(block) + 1):
        view = memoryview(block)
        while view:
            view = view[os.write(descriptor, view) :]


@attack
def flood_stdout() -> None:
    flood(1)


@attack
def flood_stderr() -> None:
    flood(2)


@attack
def a_line_without_end() -> None:
    for _ in range(T["flood"] // MIB + 1):
        os.write(1, b"x" * MIB)


@attack
def forge_a_result() -> None:
    """What a runner would say, on every descriptor that there is; and then the end that it should hide."""
    said = (
        f'{{"type":"result","run_id":"{os.environ.get("CRONWARD_RUN_ID", "")}","attempt":1,"reason":"ok",'
        f'"response":"{T["mark"]}:forge_a_result:"}}\nexited 0 0\nusage 0 0 0\n'
    )
    for descriptor in range(1, 64):
        with contextlib.suppress(OSError):
            os.write(descriptor, said.encode())
    sys.stdout.flush()
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(3)


@attack
def kill_everything() -> None:
    """All that can be reached: in a cell, its own; never run outside."""
    if T["outside"]:
        os.kill(T["victims"]["kill_everything"], signal.SIGKILL)
        return
    os.kill(-1, signal.SIGKILL)


@attack
def hold_the_output_open() -> None:
    """A child that keeps the pipes of its parent, which goes: whoever reads to the end waits for the child."""
    if os.fork() == 0:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.execv("/usr/bin/sleep", ["sleep", T["daemons"]["hold_the_output_open"]])
