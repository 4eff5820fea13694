"""Processes that are not the agent's, and init, which is of its own uid."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import subprocess
import time
from pathlib import Path

from tests.hostile.attacks.kit import Held, Lack, T, attack, call, checked, libc, read, secret_in, token

PTRACE_ATTACH, PTRACE_DETACH = 16, 17
IOPRIO_WHO_PROCESS, IOPRIO_IDLE = 1, 3 << 13
SCHED_IDLE = 5


def victim(name: str) -> int:
    return int(T["victims"][name])


@attack
def see_processes() -> None:
    for entry in os.listdir("/proc"):
        if entry.isdigit() and entry != str(os.getpid()):
            try:
                if T["mark"].encode() in read(f"/proc/{entry}/cmdline"):
                    return
            except OSError:
                continue
    raise Held("there are none but its own")


@attack
def see_other_users_processes() -> None:
    if len([entry for entry in os.listdir("/proc") if entry.isdigit()]) < 12:
        raise Held("there are none but its own")


@attack
def read_environment_of_a_process() -> None:
    secret_in(read(f"/proc/{T['bystander']}/environ"))


@attack
def read_memory_of_a_process() -> None:
    with open(f"/proc/{T['bystander']}/mem", "rb", buffering=0) as memory:
        memory.seek(T["address"])
        secret_in(memory.read(64))


@attack
def process_vm_read() -> None:
    found = ctypes.create_string_buffer(64)
    here = struct.pack("PN", ctypes.addressof(found), 64)
    there = struct.pack("PN", T["address"], 64)
    checked(libc.process_vm_readv(T["bystander"], here, 1, there, 1, 0))
    secret_in(found.raw)


@attack
def trace_a_process() -> None:
    pid = victim("trace_a_process")
    checked(libc.ptrace(PTRACE_ATTACH, pid, 0, 0))
    os.waitpid(pid, 0x40000000)
    libc.ptrace(PTRACE_DETACH, pid, 0, 0)


@attack
def trace_own_child() -> None:
    child = os.fork()
    if child == 0:
        time.sleep(3)
        os._exit(0)
    try:
        checked(libc.ptrace(PTRACE_ATTACH, child, 0, 0))
        os.waitpid(child, 0x40000000)
    finally:
        os.kill(child, signal.SIGKILL)


@attack
def take_a_descriptor() -> None:
    pidfd = os.pidfd_open(T["bystander"])
    taken = call("pidfd_getfd", pidfd, T["open_file"], 0)
    secret_in(os.pread(taken, 100, 0))


@attack
def reopen_a_descriptor() -> None:
    secret_in(read(f"/proc/{T['bystander']}/fd/{T['open_file']}"))


@attack
def kill_a_process() -> None:
    os.kill(victim("kill_a_process"), signal.SIGKILL)


@attack
def stop_a_process() -> None:
    os.kill(victim("stop_a_process"), signal.SIGSTOP)


@attack
def kill_by_pidfd() -> None:
    signal.pidfd_send_signal(os.pidfd_open(victim("kill_by_pidfd")), signal.SIGKILL)


@attack
def queue_a_signal() -> None:
    checked(libc.sigqueue(victim("queue_a_signal"), int(signal.SIGTERM), ctypes.c_void_p(0)))


@attack
def limit_a_process() -> None:
    resource.prlimit(victim("limit_a_process"), resource.RLIMIT_NOFILE, (7, 7))


@attack
def pin_a_process() -> None:
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise Lack("there is one CPU")
    os.sched_setaffinity(victim("pin_a_process"), {cpus[0]})


@attack
def slow_a_process() -> None:
    os.setpriority(os.PRIO_PROCESS, victim("slow_a_process"), 19)


@attack
def idle_a_process() -> None:
    os.sched_setscheduler(victim("idle_a_process"), SCHED_IDLE, os.sched_param(0))


@attack
def starve_a_process_of_disk() -> None:
    call("ioprio_set", IOPRIO_WHO_PROCESS, victim("starve_a_process_of_disk"), IOPRIO_IDLE)


@attack
def slow_a_group() -> None:
    os.setpriority(os.PRIO_PGRP, victim("slow_a_group"), 19)


@attack
def compare_with_a_process() -> None:
    if call("kcmp", os.getpid(), T["bystander"], 1, 0, 0) < 0:
        raise Held("it cannot be compared")


@attack
def measure_a_process() -> None:
    event = struct.pack("IIQQQQQ", 1, 112, 1, 0, 0, 0, 1 << 5 | 1 << 6).ljust(112, b"\0")
    os.close(call("perf_event_open", event, T["bystander"], -1, -1, 0))


@attack
def measure_itself() -> None:
    event = struct.pack("IIQQQQQ", 1, 112, 1, 0, 0, 0, 1 << 5 | 1 << 6).ljust(112, b"\0")
    os.close(call("perf_event_open", event, 0, -1, -1, 0))


@attack
def move_memory_of_a_process() -> None:
    nodes = (ctypes.c_int * 1)()
    pages = (ctypes.c_void_p * 1)(T["address"] & ~4095)
    call("move_pages", T["bystander"], 1, pages, 0, nodes, 0)


@attack
def advise_memory_of_a_process() -> None:
    vector = struct.pack("PN", T["address"] & ~4095, 4096)
    call("process_madvise", os.pidfd_open(T["bystander"]), vector, 1, 20, 0)  # MADV_COLD


# Init: in the cell PID 1, outside a process that stands for it.


@attack
def read_environment_of_init() -> None:
    if not read(f"/proc/{T['init']}/environ"):
        raise Held("it is empty")


@attack
def read_memory_of_init() -> None:
    with open(f"/proc/{T['init']}/maps") as maps:
        start = int(next(line for line in maps if " r" in line).split("-")[0], 16)
    with open(f"/proc/{T['init']}/mem", "rb", buffering=0) as memory:
        memory.seek(start)
        memory.read(16)


@attack
def find_a_secret_in_the_environment_of_init() -> None:
    """The granted one too: init has had it in its hands."""
    if T["granted"].encode() not in read(f"/proc/{T['init']}/environ"):
        raise Held("it is not there")


@attack
def find_a_secret_in_the_memory_of_init() -> None:
    with open(f"/proc/{T['init']}/maps") as maps:
        ranges = [line.split()[0].split("-") for line in maps if " rw" in line]
    with open(f"/proc/{T['init']}/mem", "rb", buffering=0) as memory:
        for start, end in ranges:
            memory.seek(int(start, 16))
            if T["granted"].encode() in memory.read(min(int(end, 16) - int(start, 16), 64 << 20)):
                return
    raise Held("it is not there")


@attack
def find_a_secret_in_any_environment() -> None:
    """Of all processes that can be seen; what is granted to others, or belongs to the owner."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if T["secret"].encode() in read(f"/proc/{entry}/environ"):
                    return
            except OSError:
                continue
    raise Held("it is in none")


@attack
def reopen_descriptors_of_init() -> None:
    if not os.listdir(f"/proc/{T['init']}/fd"):
        raise Held("there are none")


@attack
def trace_init() -> None:
    checked(libc.ptrace(PTRACE_ATTACH, T["init"], 0, 0))
    os.waitpid(T["init"], 0x40000000)
    libc.ptrace(PTRACE_DETACH, T["init"], 0, 0)


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]


@attack
def stop_init() -> None:
    os.kill(T["init"], signal.SIGSTOP)
    time.sleep(0.1)
    stopped = state_of(T["init"]) == "T"
    if stopped:
        os.kill(T["init"], signal.SIGCONT)
    else:
        raise Held("it did not stop")


@attack
def limit_init() -> None:
    """Without descriptors PID 1 cannot reap or report."""
    soft, hard = resource.prlimit(T["init"], resource.RLIMIT_NOFILE)
    resource.prlimit(T["init"], resource.RLIMIT_NOFILE, (soft - 1, hard))


@attack
def end_init_by_a_limit() -> None:
    """Ended by the kernel for its use of CPU, it would look as if we had failed, and be tried again."""
    resource.prlimit(T["init"], resource.RLIMIT_CPU, (3600, 3600))


@attack
def slow_init() -> None:
    before = os.getpriority(os.PRIO_PROCESS, T["init"])
    os.setpriority(os.PRIO_PROCESS, T["init"], before + 1)


@attack
def slow_init_with_all_of_its_user() -> None:
    """PRIO_USER takes whoever has the uid, in the namespace. Outside that would be all that the user runs."""
    if T["outside"]:
        os.setpriority(os.PRIO_PROCESS, T["init"], 7)
    else:
        os.setpriority(os.PRIO_USER, 0, 7)


@attack
def starve_init_of_disk() -> None:
    call("ioprio_set", IOPRIO_WHO_PROCESS, T["init"], IOPRIO_IDLE)


@attack
def idle_init() -> None:
    os.sched_setscheduler(T["init"], SCHED_IDLE, os.sched_param(0))


@attack
def pin_init() -> None:
    cpus = os.sched_getaffinity(0)
    if len(cpus) < 2:
        raise Lack("there is one CPU")
    os.sched_setaffinity(T["init"], {min(cpus)})


@attack
def blame_init_for_memory() -> None:
    """oom_score_adj: which process the kernel kills when there is no memory left."""
    Path(f"/proc/{T['init']}/oom_score_adj").write_text("900")


# Privileges.


@attack
def become_root_by_a_program() -> None:
    """A set-uid program that is held by a full pipe while its ids are looked at."""
    found = [path for path in ("/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount") if os.path.exists(path)]
    found = [path for path in found if os.stat(path).st_mode & 0o4000]
    if not found:
        raise Lack("no set-uid program is installed")
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    child = subprocess.Popen([found[0], "--help"], stdin=subprocess.DEVNULL, stdout=writer, stderr=writer)
    try:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            status = Path(f"/proc/{child.pid}/status").read_text()
            ids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()
            if ids[2] != str(os.getuid()):
                return
            time.sleep(0.01)
    finally:
        child.kill()
        child.wait()
        os.close(reader)
    raise Held("it runs with our own uid")


@attack
def become_another_user() -> None:
    os.setresuid(4242, 4242, 4242)


@attack
def join_a_group() -> None:
    os.setgroups([0])


@attack
def keep_capabilities() -> None:
    status = read("/proc/self/status").decode()
    bits = {line.split()[0]: int(line.split()[1], 16) for line in status.splitlines() if line.startswith("Cap")}
    if not bits["CapBnd:"]:
        raise Held("even the bounding set is empty")


@attack
def raise_priority() -> None:
    os.setpriority(os.PRIO_PROCESS, 0, -5)


@attack
def become_real_time() -> None:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


@attack
def escape_the_oom_killer() -> None:
    """No score below the one we were given."""
    Path("/proc/self/oom_score_adj").write_text("-500")


def raised(limit: int, value: int) -> None:
    try:
        resource.setrlimit(limit, (value, value))
    except ValueError as error:  # what Python makes of EPERM
        raise Held(str(error)) from error


@attack
def raise_limit_of_processes() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    if hard != resource.RLIM_INFINITY and hard < 1500:
        raised(resource.RLIMIT_NPROC, 1500)


@attack
def raise_limit_of_file_size() -> None:
    raised(resource.RLIMIT_FSIZE, 1 << 40)


@attack
def raise_limit_of_core() -> None:
    raised(resource.RLIMIT_CORE, 1 << 30)


# What it was born with.


@attack
def find_secret_in_environment() -> None:
    secret_in(" ".join(os.environ.values()))


@attack
def find_descriptors() -> None:
    listing = os.open("/proc/self/fd", os.O_RDONLY)
    found = [number for number in map(int, os.listdir(listing)) if number > 2 and number != listing]
    # One is the pipe of our own verdict, and one the copy that lists.
    targets = [os.readlink(f"/proc/self/fd/{number}") for number in found if os.path.exists(f"/proc/self/fd/{number}")]
    more = [target for target in targets if not target.startswith("/proc/")]
    if len(more) < 2:
        raise Held("there are none")


@attack
def find_its_own_prompt_in_argv() -> None:
    """Of all processes that can be seen: what is in argv everybody on the host reads."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if T["mark"].encode() in read(f"/proc/{entry}/cmdline"):
                    return
            except OSError:
                continue
    raise Held("it is in none")


@attack
def open_controlling_terminal() -> None:
    descriptor = os.open("/dev/tty", os.O_RDWR)
    os.write(descriptor, token("open_controlling_terminal").encode())


@attack
def leave_a_daemon() -> None:
    """Orphaned, in a session of its own, deaf to everything that can be ignored."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            os.closerange(0, 64)
            os.execv("/usr/bin/sleep", ["sleep", T["daemons"]["leave_a_daemon"]])
        os._exit(0)
