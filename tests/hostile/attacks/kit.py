"""What every hostile program shares: its targets, system calls by name, and how it is run and judged.

The files of this folder run where they are sent, inside a cell or outside of one, by an interpreter that has nothing of
ours: the standard library only. Each attack is a function that returns where it worked, raises OSError or Held where
something stopped it, and Lack where the machine itself has nothing to attack. Whatever else it raises is a defect of
the attack, never taken for "held".
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

ATTACKS: dict[str, Callable[[], object]] = {}
T: dict[str, Any] = {}
"""The targets: paths, pids, ports, the secret that must not be read, the mark that must not be seen outside."""

libc = ctypes.CDLL(None, use_errno=True)
X86 = os.uname().machine == "x86_64"
PATIENCE = 20.0
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x4000000, 0x10000000, 0x40000000
SIGCHLD = 17


class Held(Exception):  # noqa: N818  # what it says is no error
    """The attack came to nothing, in words."""


class Lack(Exception):  # noqa: N818
    """This machine has no such thing: nothing is proven either way."""


def attack(act: Callable[[], object]) -> Callable[[], object]:
    ATTACKS[act.__name__] = act
    return act


def checked(result: int) -> int:
    """A C function's result, where -1 means errno."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def call(name: str, *arguments: object) -> int:
    """A system call by name; plain integers are passed as longs."""
    longs = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return checked(int(libc.syscall(ctypes.c_long(T["numbers"][name]), *longs)))


def passes(*refusals: int, name: str, arguments: tuple[object, ...]) -> None:
    """For what must never be done for good: with arguments that the kernel refuses as well, but only after it has
    looked at privileges. `refusals`: the errnos that mean that it had got to looking at the arguments."""
    try:
        call(name, *arguments)
    except OSError as error:
        if error.errno not in refusals:
            raise


def token(name: str) -> str:
    """What the attack of that name leaves where it must not get to; the host looks for it."""
    return f"{T['mark']}:{name}:"


def secret_in(found: str | bytes) -> None:
    text = found if isinstance(found, bytes) else found.encode(errors="replace")
    if T["secret"].encode() not in text:
        raise Held(f"something else was there: {text[:60]!r}")


def read(path: str | Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(1 << 16)


def leave(path: str | Path, name: str) -> None:
    """Append the attack's token to a file, making the file if need be."""
    with open(path, "a") as file:
        file.write(token(name))


def in_child(act: Callable[[], object], patience: float = 3.0) -> int:
    """Its wait status: for what changes the process itself."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            act()
            code = 0
        except OSError as error:
            code = error.errno or 1
        finally:
            os._exit(code)
    until = time.monotonic() + patience
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def done_in_child(act: Callable[[], object]) -> None:
    status = in_child(act)
    if os.WIFSIGNALED(status):
        raise Held(f"killed by signal {os.WTERMSIG(status)}")
    if code := os.WEXITSTATUS(status):
        raise OSError(code, os.strerror(code))


def in_user_namespace(act: Callable[[], object], more: int = CLONE_NEWNS) -> None:
    """As root of a user namespace of our own, which is what gives an ordinary user root's calls."""

    def inside() -> None:
        uid, gid = os.getuid(), os.getgid()
        checked(libc.unshare(CLONE_NEWUSER | more))
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            Path(f"/proc/self/{name}").write_text(text)
        act()

    done_in_child(inside)


def judge(act: Callable[[], object]) -> tuple[str, str]:
    try:
        act()
    except Held as held:
        return "held", str(held)
    except Lack as lack:
        return "lack", str(lack)
    except OSError as error:
        return "held", str(error)
    except BaseException as error:  # noqa: BLE001  # a defect of the attack, and named as one
        return "broken", f"{type(error).__name__}: {error}"
    return "worked", ""


def run_one(name: str) -> dict[str, str]:
    """In a process of its own: many of them end badly."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        verdict, why = judge(ATTACKS[name])
        os.write(writer, json.dumps({"verdict": verdict, "why": why[:300]}).encode())
        os._exit(0)
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], PATIENCE)
    said = os.read(reader, 4096) if ready else b""
    os.close(reader)
    if not said:
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    if said:
        return json.loads(said)
    ended = f"ended with signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit code {status >> 8}"
    return {"verdict": "held" if ready else "broken", "why": ended if ready else "it took too long"}


def main(names: list[str], targets: dict[str, Any]) -> NoReturn:
    T.update(targets)
    if T["outside"]:
        # We lead a session without a terminal, so this one becomes ours, as anybody's who works at one.
        os.open(T["pty"], os.O_RDWR)
    for name in names:
        began = time.monotonic()
        found = run_one(name)
        line = json.dumps({"attack": name, **found, "seconds": round(time.monotonic() - began, 2)})
        # One write a line, on a descriptor that the attack's own process cannot have left half a line on.
        os.write(1, f"\n{T['mark']} {line}\n".encode())
    sys.stdout.flush()
    os._exit(0)
