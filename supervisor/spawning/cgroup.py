"""cgroup v2, where it can be had without asking anybody: a leaf for each attempt, with the limits of the whole run.

The kernel lets processes be only in leaves of a tree that shares out controllers. So a supervisor that was given a
subtree (`systemd-run --user --scope -p Delegate=yes`, a unit with `Delegate=yes`) first moves itself one down:

    ME/supervisor          the supervisor, its runners, their bubblewraps
    ME/run-ID.ATTEMPT      the init of a cell and all that comes from it

Where other processes share ME, or it is not ours to write to, there is none, and runners watch over memory themselves.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from shared.messages import Limits

NEEDED = ("memory", "pids")
WANTED = ("cpu",)
OURS, LEAF = "supervisor", "run-"
PERIOD_US = 100_000


class CgroupError(Exception):
    """Why there is no cgroup of our own, or no leaf in it: a sentence."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """The leaf of one attempt."""

    path: Path

    def clear(self) -> bool:
        """Kill what is in it and remove it. False: something is still dying, ask again."""
        for folder in (self.path, *_below(self.path)):
            with contextlib.suppress(OSError):
                _write(folder / "cgroup.kill", "1")
        return _remove(self.path)


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A subtree of our own, which this process leads."""

    path: Path
    controllers: frozenset[str]

    def leaf(self, run_id: str, attempt: int, limits: Limits) -> Leaf:
        """A new leaf with these limits. Raises CgroupError; then there is none."""
        made = Leaf(self.path / f"{LEAF}{run_id}.{attempt}")
        try:
            made.path.mkdir()
            for name, value in settings(limits, self.controllers).items():
                _write(made.path / name, value)
            # Without swap there is no such file; where there is swap, it would put off the limit.
            if (made.path / "memory.swap.max").exists():
                _write(made.path / "memory.swap.max", "0")
        except OSError as error:
            made.clear()
            raise CgroupError(f"No cgroup can be made in {self.path}: {error.strerror}.") from None
        return made

    def sweep(self) -> list[Leaf]:
        """End and remove the leaves that a killed predecessor left. Returns those that do not go."""
        found = [Leaf(path) for path in self.path.glob(f"{LEAF}*") if path.is_dir()]
        return [leaf for leaf in found if not leaf.clear()]


def settings(limits: Limits, controllers: frozenset[str]) -> dict[str, str]:
    """What is written to the files of a leaf."""
    written = {
        "memory.max": str(limits.memory_bytes),
        # The run as a whole is out of memory, not whichever process the kernel would choose.
        "memory.oom.group": "1",
        "pids.max": str(limits.processes),
    }
    if limits.cpu_percent is not None and "cpu" in controllers:
        written["cpu.max"] = f"{limits.cpu_percent * PERIOD_US // 100} {PERIOD_US}"
    return written


def own_path(cgroup: str, mountinfo: str) -> Path:
    """Where our cgroup is, by /proc/self/cgroup and /proc/self/mountinfo. Raises CgroupError."""
    lines = [line.split(":", 2) for line in cgroup.splitlines() if line.count(":") >= 2]
    mine = next((path for number, _, path in lines if number == "0"), None)
    mounted = next(((root, at) for root, at, kind in _mounts(mountinfo) if kind == "cgroup2"), None)
    if mine is None or mounted is None:
        raise CgroupError("This host has no cgroup v2.")
    root, at = mounted
    if not f"{mine}/".startswith(f"{root.rstrip('/')}/"):
        raise CgroupError("Our cgroup lies outside of what is mounted.")
    return Path(at, mine.removeprefix(root.rstrip("/")).lstrip("/"))


def check(path: Path, pid: int) -> frozenset[str]:
    """The controllers that can be shared out below `path`. Raises CgroupError where it is not to be had."""
    try:
        controllers = frozenset((path / "cgroup.controllers").read_text().split())
        others = {int(word) for word in (path / "cgroup.procs").read_text().split()} - {pid}
    except (OSError, ValueError) as error:
        raise CgroupError(f"{path} cannot be read ({error}).") from None
    if missing := [name for name in NEEDED if name not in controllers]:
        raise CgroupError(f"{path} has no controller {' and '.join(missing)}.")
    if not all(os.access(path / name, os.W_OK) for name in ("", "cgroup.procs", "cgroup.subtree_control")):
        raise CgroupError(f"{path} is not ours to write to.")
    if not (path / "cgroup.type").exists():
        raise CgroupError("Our cgroup is the host's root.")
    if not (path / "cgroup.kill").exists():
        raise CgroupError("The kernel is older than Linux 5.14: it has no cgroup.kill.")
    if others:
        raise CgroupError(f"{path} holds other processes too ({len(others)}).")
    return controllers & {*NEEDED, *WANTED}


def claim(path: Path, pid: int) -> Cgroup:
    """Move this process one down and share out the controllers. Raises CgroupError; then nothing has changed."""
    controllers = check(path, pid)
    ours = path / OURS
    try:
        ours.mkdir(exist_ok=True)
        _write(ours / "cgroup.procs", str(pid))
        try:
            _write(path / "cgroup.subtree_control", " ".join(f"+{name}" for name in sorted(controllers)))
        except OSError:
            _write(path / "cgroup.procs", str(pid))
            raise
    except OSError as error:
        with contextlib.suppress(OSError):
            ours.rmdir()
        raise CgroupError(f"The controllers of {path} cannot be shared out: {error.strerror}.") from None
    return Cgroup(path, controllers)


def here() -> Path:
    """Our own cgroup. Raises CgroupError."""
    try:
        return own_path(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    except OSError as error:
        raise CgroupError(f"Our cgroup cannot be found: {error.strerror}.") from None


def at_hand(pid: int) -> bool:
    """Whether a supervisor that this process became would have one."""
    try:
        check(here(), pid)
    except CgroupError:
        return False
    return True


def led_by(pid: int) -> bool:
    """Whether this process, a supervisor, has claimed one."""
    try:
        text = Path(f"/proc/{pid}/cgroup").read_text()
        path = own_path(text, Path("/proc/self/mountinfo").read_text())
        return path.name == OURS and "memory" in (path / "cgroup.controllers").read_text().split()
    except (OSError, CgroupError):
        return False


def _mounts(mountinfo: str) -> list[tuple[str, str, str]]:
    """Root, mount point and kind of each mount."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) > 4 and kind:
            found.append((fields[3], fields[4], kind[0]))
    return found


def _below(path: Path) -> list[Path]:
    """The cgroups in it; deepest last."""
    return [Path(folder) for folder, _, _ in os.walk(path)][1:]


def _remove(path: Path) -> bool:
    """Bottom-up: the kernel removes a cgroup only when nothing is in it, and its files go with it."""
    for folder in (*reversed(_below(path)), path):
        try:
            folder.rmdir()
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def _write(path: Path, text: str) -> None:
    # Not Path.write_text: what is wrong would be told only at the close, and O_CREAT is refused there.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode("ascii"))
    finally:
        os.close(descriptor)
