"""What Linux offers and Python's `os` does not: a few calls through ctypes, each with its errors raised as OSError."""

from __future__ import annotations

import ctypes
import os

_libc = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
SIGKILL = 9

CLONE_NEWNS = 0x00020000
MS_NOSUID, MS_NODEV, MS_NOEXEC = 2, 4, 8
MS_REC, MS_SLAVE = 0x4000, 1 << 19

# The same numbers on every architecture: calls newer than Linux 5.0 share one table.
SYS_OPEN_TREE, SYS_MOVE_MOUNT = 428, 429
# kcmp is older, and has a number on each.
SYS_KCMP = {"x86_64": 312, "aarch64": 272}
KCMP_VM, KCMP_FILES = 1, 2
AT_FDCWD = -100
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 4


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _prctl(option: int, value: int) -> None:
    _checked(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl({option})")


def die_with_parent() -> None:
    """SIGKILL us when the parent dies. Every change of ids clears this again, so it is called after each."""
    _prctl(PR_SET_PDEATHSIG, SIGKILL)


def hide_memory() -> None:
    """No core dump, no ptrace and no /proc/self/environ for other processes of the same uid."""
    _prctl(PR_SET_DUMPABLE, 0)


def adopt_orphans() -> None:
    """Descendants that lose their parent become our children, so that none can slip away unreaped."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def gain_nothing() -> None:
    """No program that we start can have more rights than we have."""
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def landlock_version() -> int:
    """Of Landlock's interface in this kernel; 0 where it is not there, or switched off."""
    asked = _libc.syscall(ctypes.c_long(444), None, ctypes.c_size_t(0), ctypes.c_uint(1))
    return max(0, int(asked))


def leave_mount_namespace() -> None:
    """A mount namespace of our own: the host's later changes arrive here, none of ours arrives there."""
    _checked(_libc.unshare(CLONE_NEWNS), "unshare(CLONE_NEWNS)")
    # Slave, not private: an unmount on the host must not be held up by a copy in a long run.
    mount("none", "/", "", MS_REC | MS_SLAVE, "")


def mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), os.fsencode(kind), ctypes.c_ulong(flags), os.fsencode(options)
    )
    _checked(result, f"mount on {target}")


def clone_tree(path: str) -> int:
    """A descriptor of a detached copy of the mounts at and below `path`; the files are the same."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE
    call = _libc.syscall(
        ctypes.c_long(SYS_OPEN_TREE), ctypes.c_int(AT_FDCWD), ctypes.c_char_p(os.fsencode(path)), ctypes.c_uint(flags)
    )
    return _checked(call, f"open_tree({path})")


def attach_tree(tree: int, path: str) -> None:
    """Mount such a copy on `path`."""
    call = _libc.syscall(
        ctypes.c_long(SYS_MOVE_MOUNT),
        ctypes.c_int(tree),
        ctypes.c_char_p(b""),
        ctypes.c_int(AT_FDCWD),
        ctypes.c_char_p(os.fsencode(path)),
        ctypes.c_uint(MOVE_MOUNT_F_EMPTY_PATH),
    )
    _checked(call, f"move_mount({path})")


def share_memory(one: int, other: int) -> bool:
    """Whether two processes have the same memory, not a copy of it. False where that cannot be asked."""
    return _compared(one, other, KCMP_VM) == 0


def have_own_files(one: int, other: int) -> bool:
    """Whether two threads have each a table of descriptors of its own. False where that cannot be asked."""
    return _compared(one, other, KCMP_FILES) > 0


def _compared(one: int, other: int, what: int) -> int:
    """0: it is the same; above: it is not; below: that cannot be asked."""
    number = SYS_KCMP.get(os.uname().machine)
    if number is None:
        return -1
    return int(_libc.syscall(*(ctypes.c_long(argument) for argument in (number, one, other, what, 0, 0))))
