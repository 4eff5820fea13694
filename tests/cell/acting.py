"""Try to reach out of a run: `python3 -I acting.py TEXT`, TEXT a JSON object that says what there is to reach.

Prints JSON: action to whether it came through. Run in a run without namespaces, and, as the control, in one that has no
isolation at all. Each action is a process of its own.
"""

from __future__ import annotations

import ctypes
import json
import os
import pty
import resource
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ASKED: dict[str, Any] = json.loads(sys.argv[1])
VICTIM, FOLDER = int(ASKED["pid"]), Path(ASKED["folder"])
SECRET = FOLDER / "secret"
libc = ctypes.CDLL(None, use_errno=True)
SHM_RDONLY, IN_CREATE = 0o10000, 0x100
CLONE_NEWUSER = 0x10000000


def called(result: int) -> bool:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return True


def by_link() -> str:
    Path("link").symlink_to(SECRET)
    return Path("link").read_text()


def create_and_remove() -> bool:
    (FOLDER / "new").write_text("x")
    (FOLDER / "new").unlink()
    return True


def rename() -> bool:
    SECRET.rename(FOLDER / "other")
    (FOLDER / "other").rename(SECRET)
    return True


def link_out() -> bool:
    os.link(SECRET, FOLDER / "hard")
    (FOLDER / "hard").unlink()
    return True


def connected(family: int, address: Any, kind: int = socket.SOCK_STREAM) -> bool:
    with socket.socket(family, kind) as ours:
        ours.settimeout(2)
        ours.connect(address)
        return True


def fast_open() -> bool:
    with socket.socket() as ours:
        ours.sendto(b"x", 0x20000000, ("127.0.0.1", ASKED["tcp"]))
        return True


def listen() -> bool:
    with socket.create_server(("127.0.0.1", 0)):
        return True


def write_to(path: str, text: str) -> bool:
    Path(path).write_text(text)
    return True


def set_uid() -> bool:
    Path("mine").touch()
    Path("mine").chmod(0o4755)
    return True


ACTIONS: dict[str, Callable[[], object]] = {
    "read a file of the owner's": SECRET.read_text,
    "read it by a link": by_link,
    "list a directory of the owner's": lambda: list(FOLDER.iterdir()),
    "write to it": lambda: write_to(str(SECRET), "secret"),
    "create and remove there": create_and_remove,
    "rename there": rename,
    "link there": link_out,
    "truncate by path": lambda: os.truncate(SECRET, 6) or True,
    "change its mode": lambda: SECRET.chmod(0o700) or True,
    "change its times": lambda: os.utime(SECRET) or True,
    "be told of changes": lambda: called(
        libc.inotify_add_watch(called(0) and libc.inotify_init(), bytes(FOLDER), IN_CREATE)
    ),
    "read the environment of another process": Path(f"/proc/{VICTIM}/environ").read_bytes,
    "read through the root of another process": Path(f"/proc/{VICTIM}/root{SECRET}").read_text,
    "signal another process": lambda: os.kill(VICTIM, 0) or True,
    "make it the first to be killed": lambda: write_to(f"/proc/{VICTIM}/oom_score_adj", "900"),
    "limit it": lambda: resource.prlimit(VICTIM, resource.RLIMIT_CORE, (0, 0)) and True,
    "move it to a CPU": lambda: os.sched_setaffinity(VICTIM, {0}) or True,
    "slow it down": lambda: os.setpriority(os.PRIO_PROCESS, VICTIM, 15) or True,
    "trace": lambda: called(libc.ptrace(0, 0, 0, 0)),
    "its shared memory": lambda: called(0 if libc.shmget(ASKED["shm"], 0, 0) >= 0 else -1),
    "a service on loopback": lambda: connected(socket.AF_INET, ("127.0.0.1", ASKED["tcp"])),
    "the same by a first message": fast_open,
    "make a socket": lambda: called(libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)),
    "a datagram": lambda: connected(socket.AF_INET, ("127.0.0.1", ASKED["tcp"]), socket.SOCK_DGRAM),
    "listen on the host": listen,
    "a socket with a path": lambda: connected(socket.AF_UNIX, ASKED["unix"]),
    "an abstract socket": lambda: connected(socket.AF_UNIX, "\0" + ASKED["abstract"]),
    "a terminal": lambda: pty.openpty()[0],
    "a set-uid program": set_uid,
    "a user namespace": lambda: called(libc.unshare(CLONE_NEWUSER)),
    "see another process": lambda: Path(f"/proc/{VICTIM}/cmdline").read_bytes(),
    "see whether a path exists": SECRET.stat,
}


def came_through(act: Callable[[], object]) -> bool:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if act() else 1
        except (OSError, ValueError):
            code = 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


if __name__ == "__main__":
    sys.stdout.write(json.dumps({name: came_through(act) for name, act in ACTIONS.items()}))
