"""What `jobtrial` has a job's own cell tell of itself, from inside. Run alone, as `-c TEXT PROGRAM [PATH...]`.

On standard input is a JSON object of what was promised. Every look is an attempt, and none leaves a trace: a file
without a name is made in a directory, a file is opened and not written.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import socket
import sys
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

_SCRIPTS = 5
_SECONDS = 5


def _on_path(name: str) -> str:
    """The executable that a name stands for; empty where there is none."""
    directories = [""] if "/" in name else os.environ.get("PATH", "").split(":")
    places = (os.path.join(directory, name) for directory in directories)
    return next((path for path in places if os.path.isfile(path) and os.access(path, os.X_OK)), "")


def _missing(name: str, depth: int = 0) -> str:
    """What of a program and its chain of interpreters cannot be started; empty where all can."""
    path = _on_path(name)
    if not path or depth > _SCRIPTS:
        return name
    try:
        with open(path, "rb") as file:
            head = file.read(256)
    except PermissionError:  # executable and not readable: a binary
        return ""
    if not head.startswith(b"#!"):
        return ""
    words = os.fsdecode(head[2:].split(b"\n")[0]).split()
    if not words:
        return name
    if os.path.basename(words[0]) == "env" and _on_path(words[0]):
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word] or words
    return _missing(words[0], depth + 1)


def _reads(path: str) -> bool:
    try:
        if os.path.isdir(path):
            os.listdir(path)
        else:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def _writes(path: str) -> bool:
    try:
        if os.path.isdir(path):
            os.close(os.open(path, os.O_TMPFILE | os.O_WRONLY, 0o600))
        else:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK))
    except OSError as error:
        # Not every file system makes files without a name.
        return error.errno in (errno.EOPNOTSUPP, errno.EISDIR) and os.access(path, os.W_OK)
    return True


def _pinned(path: str) -> bool:
    """A mount point can be neither renamed nor removed."""
    with open("/proc/self/mountinfo", "rb") as file:
        found = (line.split()[4].decode("unicode_escape").encode("latin-1") for line in file)
        return os.fsencode(path) in found


def _connects(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), _SECONDS).close()
    except OSError:
        return False
    return True


def _interfaces() -> list[str]:
    try:
        return [name for _, name in socket.if_nameindex() if name != "lo"]
    except OSError:
        return []


def _proxy(port: int) -> str:
    """The answer's status to a request for a host that no job names; empty where nobody answers."""
    proxy = urlsplit(os.environ.get("http_proxy", ""))
    with suppress(OSError), socket.create_connection((proxy.hostname or "", proxy.port or 0), _SECONDS) as ours:
        where = f"127.0.0.1:{port}"
        ours.sendall(f"GET http://{where}/ HTTP/1.1\r\nHost: {where}\r\n\r\n".encode())
        return ours.recv(200)[9:12].decode("ascii", "replace")
    return ""


def _withheld(name: str, value: str, variable: str) -> bool:
    path = os.path.join(os.environ.get("CRONWARD_SECRETS", ""), name)
    try:
        with open(path) as file:
            return file.read() != value or bool(variable and os.environ.get(variable) != value)
    except OSError:
        return True


def _told(promised: dict[str, Any], program: str, *paths: str) -> dict[str, object]:
    return {
        "program": _missing(program),
        "unseen": [path for path in paths if not os.path.exists(path)],
        "paths": {path: [_reads(path), _writes(path)] for path in promised["paths"]},
        "repositories": {path: [_pinned(path), _writes(path)] for path in promised["repositories"]},
        "reached": _connects(promised["port"]),
        "interfaces": _interfaces(),
        "proxy": _proxy(promised["port"]) if promised["proxied"] else "",
        "withheld": [name for name, *rest in promised["secrets"] if _withheld(name, *rest)],
        "rlimits": {name: resource.getrlimit(getattr(resource, name))[1] for name in promised["rlimits"]},
        "cwd": os.getcwd(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_told(json.load(sys.stdin), *sys.argv[1:])))
