"""Which places of the host no cell shows, because they are the cell's own or lead out of it: pure."""

from __future__ import annotations

# Inside a cell: its own home, and where an agent starts that has no work directory.
HOME = "/home/agent"
SCRATCH = f"{HOME}/scratch"
# A path of the host shown on or above one of these would take the place of the cell's own.
OWN = ("/dev", "/dev/shm", "/etc/passwd", HOME, "/proc", "/run/cronward", "/sys", "/tmp", "/usr", "/var/tmp")
# Nothing below these either. The sockets in /run/user lead to whatever else the user runs.
CLOSED = ("/dev", "/proc", "/run/cronward", "/run/user", "/sys")
# What belongs to the host as a whole is never an agent's to write.
SYSTEM = ("/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/usr")


def holds(outer: str, inner: str) -> bool:
    """Whether `inner` is `outer` or lies below it. Both absolute and normal."""
    return f"{inner.rstrip('/')}/".startswith(f"{outer.rstrip('/')}/")


def overlap(one: str, other: str) -> bool:
    """Whether one of the two is the other, or lies below it."""
    return holds(one, other) or holds(other, one)


def taken(path: str) -> bool:
    """Whether a cell has something of its own there, or shows nothing there at all."""
    return any(holds(path, own) for own in (*OWN, *CLOSED)) or any(holds(closed, path) for closed in CLOSED)


def systems(path: str) -> bool:
    """Whether it is, holds or lies in a part of the operating system."""
    return any(overlap(path, place) for place in SYSTEM)
