"""Ask the kernel for this and that, and print its answers as JSON: name to errno, 0 where it was granted.

Run alone, inside a cell and outside of one: `python -I -c TEXT NUMBER…`, the numbers of more system calls to try. Where
it is root it takes on the uid in ASK_AS first. Each question is asked in a process of its own, whose exit code is the
answer; a signal is its number, negated.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import mmap
import os
import pty
import socket
import struct
import sys
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
X86 = os.uname().machine == "x86_64"
PTRACE_TRACEME = 0
PR_SET_DUMPABLE = 4
SIGCHLD, CLONE_FILES, CLONE_NEWUSER = 17, 0x400, 0x10000000
ADDR_NO_RANDOMIZE, QUERY = 0x0040000, 0xFFFFFFFF
TIOCSCTTY, TIOCSTI, TIOCLINUX, TIOCSETD, TIOCGWINSZ = 0x540E, 0x5412, 0x541C, 0x5423, 0x5413
NETLINK_KOBJECT_UEVENT = 15
NUMBERS = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "memfd_create": (319, 279),
    "io_uring_setup": (425, 425),
    "ioctl": (16, 29),
    "add_key": (248, 217),
    "keyctl": (250, 219),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "bpf": (321, 280),
    "pidfd_getfd": (438, 438),
    "fanotify_init": (300, 262),
    "kcmp": (312, 272),
    "openat2": (437, 437),
    "get_mempolicy": (239, 236),
    "name_to_handle_at": (303, 264),
    "setns": (308, 268),
    "mount": (165, 40),
}


def granted(result: int) -> int:
    return ctypes.get_errno() if result < 0 else 0


def call(name: str, *arguments: object) -> int:
    """The system call's result; its errno is left for `granted`. Plain integers are passed as longs."""
    number = NUMBERS[name][0 if X86 else 1]
    longs = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return int(libc.syscall(ctypes.c_long(number), *longs))


def ptrace() -> int:
    return granted(libc.ptrace(PTRACE_TRACEME, 0, 0, 0))


def process_vm_readv() -> int:
    found, wanted = ctypes.create_string_buffer(4), ctypes.create_string_buffer(b"mine")
    vectors = [struct.pack("PN", ctypes.addressof(each), 4) for each in (found, wanted)]
    return granted(libc.process_vm_readv(os.getpid(), vectors[0], 1, vectors[1], 1, 0))


def pidfd_getfd() -> int:
    return granted(call("pidfd_getfd", os.pidfd_open(os.getpid()), 0, 0))


def kcmp() -> int:
    return granted(call("kcmp", os.getpid(), os.getpid(), 1, 0, 0))


def perf_event_open() -> int:
    # A software clock of ourselves, in user space alone.
    event = struct.pack("IIQQQQQ", 1, 112, 1, 0, 0, 0, 1 << 5 | 1 << 6).ljust(112, b"\0")
    return granted(call("perf_event_open", event, 0, -1, -1, 0))


def clone_with_a_user_namespace() -> int:
    pid = call("clone", CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return granted(pid)


def setns() -> int:
    return granted(call("setns", os.open("/proc/self/ns/user", os.O_RDONLY), 0))


def keyctl() -> int:
    return granted(call("keyctl", 0, -3, 1))  # the id of the session's keyring


def add_key() -> int:
    return granted(call("add_key", b"user", b"cronward-test", b"x", 1, -2))  # to the process's own


def terminal(ask: Callable[[int], int]) -> int:
    """In a session of our own, on a terminal of our own."""
    _, ours = pty.openpty()
    os.setsid()
    fcntl.ioctl(ours, TIOCSCTTY, 0)
    return granted(ask(ours))


def type_into_the_terminal() -> int:
    return terminal(lambda tty: libc.ioctl(tty, ctypes.c_ulong(TIOCSTI), b"x"))


def type_with_high_bits() -> int:
    """The kernel looks at the lower half of the request alone."""
    return terminal(lambda tty: call("ioctl", tty, 1 << 32 | TIOCSTI, b"x"))


def paste_into_the_console() -> int:
    return terminal(lambda tty: libc.ioctl(tty, ctypes.c_ulong(TIOCLINUX), b"\x03"))


def set_line_discipline() -> int:
    return terminal(lambda tty: libc.ioctl(tty, ctypes.c_ulong(TIOCSETD), struct.pack("i", 0)))


def window_size() -> int:
    return terminal(lambda tty: libc.ioctl(tty, ctypes.c_ulong(TIOCGWINSZ), ctypes.create_string_buffer(8)))


def open_socket(family: int, kind: int, protocol: int = 0) -> int:
    return granted(libc.socket(family, kind, protocol))


def shared_memory(size: int) -> int:
    segment = libc.shmget(0, ctypes.c_size_t(size), 0o600)
    answer = granted(segment)
    if segment >= 0:
        libc.shmctl(segment, 0, None)
    return answer


def in_scratch(ask: Callable[[Path], int]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        return ask(Path(folder, "program"))


def set_uid_bit() -> int:
    def ask(path: Path) -> int:
        os.close(os.open(path, os.O_CREAT, 0o755))
        return granted(libc.chmod(bytes(path), 0o4755))

    return in_scratch(ask)


def create_with_set_uid_bit() -> int:
    return in_scratch(lambda path: granted(libc.open(bytes(path), os.O_CREAT | os.O_WRONLY, 0o4755)))


def set_gid_of_a_directory() -> int:
    def ask(path: Path) -> int:
        path.mkdir()
        return granted(libc.chmod(bytes(path), 0o2755))

    return in_scratch(ask)


def call_as_32_bit() -> int:
    """getpid by int 0x80, whose numbers are not ours: mov eax, 20; int 0x80; ret"""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    return 0 if ctypes.CFUNCTYPE(ctypes.c_int)(address)() == os.getpid() else 1


def thread() -> int:
    done: list[int] = []
    other = threading.Thread(target=lambda: done.append(1))
    other.start()
    other.join()
    return 0 if done else 1


def tcp_on_loopback() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 5):
        return 0


def unix_socket_with_a_name() -> int:
    def ask(path: Path) -> int:
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
            server.bind(str(path))
            server.listen()
            client.connect(str(path))
        return 0

    return in_scratch(ask)


def netlink_route() -> int:
    return 0 if socket.if_nameindex() else 1


FORBIDDEN: dict[str, Callable[[], int]] = {
    "ptrace": ptrace,
    "process_vm_readv": process_vm_readv,
    "pidfd_getfd": pidfd_getfd,
    "kcmp": kcmp,
    "perf_event_open": perf_event_open,
    "unshare user namespace": lambda: granted(libc.unshare(CLONE_NEWUSER)),
    "clone user namespace": clone_with_a_user_namespace,
    "clone3": lambda: granted(call("clone3", 0, 0)),
    "setns": setns,
    "mount": lambda: granted(call("mount", 1, 1, 1, 0, 1)),
    "io_uring_setup": lambda: granted(call("io_uring_setup", 8, ctypes.create_string_buffer(120))),
    "keyctl": keyctl,
    "add_key": add_key,
    "userfaultfd": lambda: granted(call("userfaultfd", 1)),  # of user space alone, which is anybody's
    "bpf": lambda: granted(call("bpf", 9999, 0, 0)),
    "fanotify_init": lambda: granted(call("fanotify_init", 0x200, 0)),
    "name_to_handle_at": lambda: granted(call("name_to_handle_at", -100, 0, 0, 0, 0)),
    "openat2": lambda: granted(call("openat2", -100, 0, 0, 0)),
    "get_mempolicy": lambda: granted(call("get_mempolicy", 0, 0, 0, 0, 0)),
    "personality": lambda: granted(libc.personality(ctypes.c_ulong(ADDR_NO_RANDOMIZE))),
    "TIOCSTI": type_into_the_terminal,
    "TIOCSTI with high bits": type_with_high_bits,
    "TIOCLINUX": paste_into_the_console,
    "TIOCSETD": set_line_discipline,
    "AF_VSOCK": lambda: open_socket(socket.AF_VSOCK, socket.SOCK_STREAM),
    "AF_PACKET": lambda: open_socket(socket.AF_PACKET, socket.SOCK_RAW),
    "raw socket": lambda: open_socket(socket.AF_INET, socket.SOCK_RAW),
    "netlink uevent": lambda: open_socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_KOBJECT_UEVENT),
    "memfd_create": lambda: granted(call("memfd_create", b"x", 0)),
    "large shared memory": lambda: shared_memory(1 << 20),
    "set-uid bit": set_uid_bit,
    "created with set-uid bit": create_with_set_uid_bit,
    **({"32-bit call": call_as_32_bit} if X86 else {}),
}

# What must go on working.
EVERYDAY: dict[str, Callable[[], int]] = {
    "thread": thread,
    "loopback": tcp_on_loopback,
    "datagram": lambda: open_socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 17),
    "unix socket": unix_socket_with_a_name,
    "netlink route": netlink_route,
    "small shared memory": lambda: shared_memory(56),
    "unshare files": lambda: granted(libc.unshare(CLONE_FILES)),
    "personality query": lambda: granted(libc.personality(ctypes.c_ulong(QUERY))),
    "window size": window_size,
    "set-gid directory": set_gid_of_a_directory,
}


def with_zeros(number: int) -> int:
    """Nothing but zeros, with which none of these calls does harm."""
    return granted(libc.syscall(ctypes.c_long(number), *[ctypes.c_long(0)] * 6))


def answer(ask: Callable[[], int]) -> int:
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            ctypes.set_errno(0)
            code = ask()
        except OSError as error:
            code = error.errno or 255
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def main(numbers: list[int]) -> None:
    if uid := int(os.environ.get("ASK_AS", "0")):
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    if os.geteuid() == 0:
        sys.exit("Name an ordinary uid in ASK_AS: some of this must not be asked as root.")
    answers = {
        "forbidden": {name: answer(ask) for name, ask in FORBIDDEN.items()},
        "everyday": {name: answer(ask) for name, ask in EVERYDAY.items()},
        "numbers": {number: answer(partial(with_zeros, number)) for number in numbers},
        "families": {family: answer(partial(open_socket, family, socket.SOCK_DGRAM)) for family in range(1, 46)},
    }
    sys.stdout.write(json.dumps(answers))


if __name__ == "__main__":
    main([int(number) for number in sys.argv[1:]])
