"""Each layer of a cell, tried: real attempts, by real runners, of what an agent would do against it."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from shared.messages import AgentSpec, ExecuteRequest, ExecuteResult
from shared.reasons import Reason

SCRIPT = Path(__file__).with_name("probe.py")
MEBIBYTE = 1 << 20
_IPC_PRIVATE_ENOUGH, _IPC_CREAT, _IPC_RMID = 0x43770000, 0o1000, 0
# What an agent could do without it.
WITHOUT: Mapping[str, str] = {
    "user namespace": "use the kernel's calls for root inside its cell as on the host",
    "pid namespace": "see and signal all of your processes, cronward's too",
    "mount namespace": "read your files and keys, other runs, cronward's state",
    "network namespace": "reach every service on this host and in your network",
    "ipc namespace": "read the shared memory of your other programs",
    "uts namespace": "learn the name of this host",
    "no new privileges": "become root by a set-uid program",
    "no capabilities": "act as root on what it can see",
    "rlimits": "fork until nothing on this host can, and leave core dumps",
    "landlock": "use what a gap in the list of mounts showed it",
    "seccomp filter": "trace processes, make namespaces and reach the kernel's riskier corners",
    "memory limit": "take all of the memory",
    "kill": "leave processes behind that outlive its run",
    "proxy": "reach hosts that its job does not name",
}


@dataclass(frozen=True, slots=True)
class Probe:
    """What became of one layer. `held` None: the host has none of it, and the cell does without."""

    layer: str
    held: bool | None
    detail: str


def of_layers(execute: Callable[[ExecuteRequest], ExecuteResult], trial: ExecuteRequest) -> Iterator[Probe]:
    """Try all of them. `trial`: an attempt that is known to get a cell here. Raises what `execute` raises."""
    yield from _inside(execute, trial)
    yield _memory(execute, trial)
    yield _kill(execute, trial)
    yield _proxy(execute, trial)


def _attempt(trial: ExecuteRequest, name: str, *argv: str, **limits: Any) -> ExecuteRequest:  # noqa: ANN401 - a limit's
    log_dir = Path(trial.log_dir, name)
    log_dir.mkdir(mode=0o700)
    agent = AgentSpec(name="command", argv=argv, require_answer=False)
    changed = replace(trial.limits, **limits)
    return replace(trial, agent=agent, log_dir=str(log_dir), limits=changed, response_bytes=1 << 16)


def python(*arguments: str) -> tuple[str, ...]:
    """The interpreter that each cell shows, because its init runs by it."""
    return (os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable), "-I", "-S", *arguments)


def _inside(execute: Callable[[ExecuteRequest], ExecuteResult], trial: ExecuteRequest) -> Iterator[Probe]:
    with _outside() as facts:
        argv = python("-c", SCRIPT.read_text(), json.dumps(facts))
        result = execute(_attempt(trial, "layers", *argv, processes=32))
    told = {layer.name: layer for layer in result.layers}
    found: dict[str, bool] = json.loads(result.response) if result.reason is Reason.OK else {}
    for name in WITHOUT:
        if name in told and not told[name].held:
            yield Probe(name, None, told[name].detail)
        elif name in found or not found:
            broke = result.error or "the probe gave no answer"
            words = "tried, and refused" if found.get(name) else "it came through" if found else broke
            yield Probe(name, found.get(name, False), words)
        if not found:
            return


@contextmanager
def _outside() -> Iterator[dict[str, Any]]:
    """What there is to reach, and nothing of anybody's."""
    libc = ctypes.CDLL(None)
    key = _IPC_PRIVATE_ENOUGH | os.getpid() & 0xFFFF
    abstract = f"cronward-doctor-{os.getpid()}"
    with (
        tempfile.TemporaryDirectory(prefix="cronward-canary-") as folder,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as nameless,
    ):
        canary = Path(folder, "canary")
        canary.write_text("not for agents")
        # For everybody: that nobody may is what the cell's mounts are to see to.
        Path(folder).chmod(0o755)
        canary.chmod(0o644)
        nameless.bind("\0" + abstract)
        nameless.listen()
        segment = libc.shmget(key, 64, _IPC_CREAT | 0o644)
        port = server.getsockname()[1]
        try:
            yield {
                "pid": os.getpid(),
                "start": Path("/proc/self/stat").read_text().rpartition(") ")[2].split()[19],
                "canary": str(canary),
                "port": port,
                "abstract": abstract,
                "segment": key,
            }
        finally:
            libc.shmctl(segment, _IPC_RMID, None)


def _memory(execute: Callable[[ExecuteRequest], ExecuteResult], trial: ExecuteRequest) -> Probe:
    argv = python("-c", "held = bytearray(256 << 20); import time; time.sleep(10)")
    result = execute(_attempt(trial, "memory", *argv, memory_bytes=64 * MEBIBYTE))
    who = next((layer.detail for layer in result.layers if layer.name == "memory limit"), "")
    if result.reason is Reason.OUT_OF_MEMORY:
        return Probe("memory limit", True, f"256 MiB of {who}: ended")
    return Probe("memory limit", False, f"256 MiB of {who} ended with {result.reason.value}. {result.error}".strip())


def _kill(execute: Callable[[ExecuteRequest], ExecuteResult], trial: ExecuteRequest) -> Probe:
    mark = f"86399.{os.getpid()}"
    script = f"trap '' TERM; setsid setsid sleep {mark} & sleep {mark}"
    result = execute(_attempt(trial, "kill", "/bin/sh", "-c", script, wall_seconds=1.0, grace_seconds=0.2))
    left = [process.pid for process in psutil.process_iter() if _bears(process, mark)]
    if result.reason is Reason.TIMEOUT_WALL and not left:
        return Probe("kill", True, "processes that detach and ignore SIGTERM: all ended with the run")
    words = f"{len(left)} processes outlived their run" if left else f"{result.reason.value}: {result.error}"
    return Probe("kill", False, words)


def _bears(process: psutil.Process, mark: str) -> bool:
    try:
        return mark in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _proxy(execute: Callable[[ExecuteRequest], ExecuteResult], trial: ExecuteRequest) -> Probe:
    """Of a host that is named, ask for one that is not."""
    ask = (
        "import socket; s = socket.create_connection(('127.0.0.1', 3128), 5); "
        "s.sendall(b'GET http://127.0.0.2:9/ HTTP/1.1\\r\\nHost: 127.0.0.2:9\\r\\n\\r\\n'); "
        "print(s.recv(200)[9:12].decode())"
    )
    wanted = _attempt(trial, "proxy", *python("-c", ask))
    result = execute(replace(wanted, cell=replace(wanted.cell, network="allow", allow_hosts=("127.0.0.1:9",))))
    denied = result.traffic.denied if result.traffic else 0
    if (result.response.strip(), denied) == ("403", 1):
        return Probe("proxy", True, "a host that is not named: denied, and logged")
    return Probe("proxy", False, f"{result.reason.value}: {result.error or result.response.strip()}")
