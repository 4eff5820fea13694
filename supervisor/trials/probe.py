"""What `probes` has a cell try, from inside: whatever is printed as true was refused. Run alone, as `-c TEXT FACTS`.

FACTS is a JSON object of what there is outside. Each act is tried in a process of its own.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

_FACTS: dict[str, Any] = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
_libc = ctypes.CDLL(None, use_errno=True)
_PR_CAPBSET_READ, _PR_GET_NO_NEW_PRIVS = 23, 39
_CLONE_NEWUSER = 0x10000000
_FORKS = 60


def _refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except OSError:
        return True
    return False


def _call(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _connect(family: int, address: Any) -> None:  # noqa: ANN401 - as connect takes it
    with socket.socket(family, socket.SOCK_STREAM) as ours:
        ours.settimeout(2)
        ours.connect(address)


def _mount() -> bool:
    return _refused(Path(_FACTS["canary"]).read_text) and _refused(lambda: Path("/etc/planted").write_text("x"))


def _user() -> bool:
    """The map of a namespace that is all the host's maps every id to itself."""
    return Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]


def _capabilities() -> bool:
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    bounded = all(_libc.prctl(_PR_CAPBSET_READ, number, 0, 0, 0) == 0 for number in range(last + 1))
    return bounded and _refused(lambda: os.setuid(0))


def _filtered() -> bool:
    tried = (
        lambda: _call(_libc.ptrace(0, 0, 0, 0)),
        lambda: _call(_libc.unshare(_CLONE_NEWUSER)),
        lambda: _call(_libc.socket(socket.AF_VSOCK, socket.SOCK_STREAM, 0)),
    )
    return all(_refused(act) for act in tried)


def _landlock() -> bool:
    """A whiteout is the one device that the kernel lets anybody make, and no mount refuses it."""
    with tempfile.TemporaryDirectory() as folder:
        return _refused(lambda: os.mknod(f"{folder}/device", stat.S_IFCHR, 0))


def _limits() -> bool:
    children: list[int] = []
    stopped = False
    with suppress(OSError):
        stopped = True
        for _ in range(_FORKS):
            if (pid := os.fork()) == 0:
                time.sleep(5)
                os._exit(0)
            children.append(pid)
        stopped = False
    for pid in children:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    return stopped and resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


def _ipc() -> bool:
    return int(_libc.shmget(_FACTS["segment"], 0, 0)) < 0


def _processes() -> bool:
    """The number may be another's in here."""
    try:
        os.kill(_FACTS["pid"], 0)
        start = Path(f"/proc/{_FACTS['pid']}/stat").read_text(errors="replace").rpartition(") ")[2].split()[19]
    except OSError:
        return True
    return bool(start != _FACTS["start"])


_TRIED: dict[str, Callable[[], bool]] = {
    "user namespace": _user,
    "pid namespace": _processes,
    "mount namespace": _mount,
    "network namespace": lambda: (
        _refused(lambda: _connect(socket.AF_INET, ("127.0.0.1", _FACTS["port"])))
        and _refused(lambda: _connect(socket.AF_UNIX, "\0" + _FACTS["abstract"]))
    ),
    "ipc namespace": _ipc,
    "uts namespace": lambda: os.uname().nodename == "cell",
    "no new privileges": lambda: _libc.prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1,
    "no capabilities": _capabilities,
    "rlimits": _limits,
    "landlock": _landlock,
    "seccomp filter": _filtered,
}


def _held(tried: Callable[[], bool]) -> bool:
    """What an act did is gone with its process; an act that breaks proves nothing."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if tried() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


if __name__ == "__main__":
    sys.stdout.write(json.dumps({name: _held(tried) for name, tried in _TRIED.items()}))
