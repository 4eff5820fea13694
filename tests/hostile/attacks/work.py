"""Traps left in a work directory that the agent may write, for whoever uses it afterwards."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from tests.hostile.attacks.kit import Held, Lack, T, attack, leave, read, secret_in, token


def work(*parts: str) -> Path:
    return Path(T["work"], *parts)


@attack
def plant_a_git_hook() -> None:
    leave(work(".git/hooks/post-commit"), "plant_a_git_hook")
    work(".git/hooks/post-commit").chmod(0o755)


@attack
def plant_a_git_setting() -> None:
    """core.fsmonitor is run by the next `git status`."""
    leave(work(".git/config"), "plant_a_git_setting")


@attack
def swap_git() -> None:
    work(".git").rename(work(".git.old"))
    work(".git").mkdir()
    leave(work(".git/config"), "swap_git")


@attack
def plant_for_the_shell() -> None:
    leave(work(".envrc"), "plant_for_the_shell")


@attack
def plant_for_build_tools() -> None:
    leave(work("Makefile"), "plant_for_build_tools")


@attack
def plant_for_test_tools() -> None:
    leave(work("conftest.py"), "plant_for_test_tools")


@attack
def plant_for_editors() -> None:
    work(".vscode").mkdir(exist_ok=True)
    leave(work(".vscode/tasks.json"), "plant_for_editors")


@attack
def plant_for_agents() -> None:
    leave(work(".mcp.json"), "plant_for_agents")


@attack
def leave_a_link_out() -> None:
    """Whoever writes through it from outside writes elsewhere."""
    work("notes.txt").symlink_to(f"{T['home']}/.bashrc")


@attack
def leave_a_pipe() -> None:
    """Whoever reads it waits for ever."""
    os.mkfifo(work("README.pipe"))


@attack
def leave_odd_names() -> None:
    for name in (b"-rf", b"a\nb", b"\x1b]52;c;ZXZpbA==\x07", b"\xff\xfe", "\u202egnp.exe".encode(), b" ", b"a" * 255):
        os.close(os.open(bytes(work()) + b"/" + name, os.O_CREAT | os.O_WRONLY, 0o600))


@attack
def leave_a_deep_tree() -> None:
    here = os.open(work(), os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


@attack
def leave_many_files() -> None:
    work("many").mkdir()
    for number in range(300):
        os.close(os.open(work("many", str(number)), os.O_CREAT | os.O_WRONLY, 0o600))


@attack
def leave_a_huge_sparse_file() -> None:
    descriptor = os.open(work("sparse"), os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.ftruncate(descriptor, 1 << 40)
    finally:
        os.ftruncate(descriptor, 0)
        os.close(descriptor)


@attack
def leave_a_set_uid_program() -> None:
    path = work("helper")
    path.touch()
    path.chmod(0o4755)
    if not path.stat().st_mode & stat.S_ISUID:
        raise Held("the bit is not there")


@attack
def leave_a_set_gid_program() -> None:
    path = work("helper-g")
    path.touch()
    path.chmod(0o2755)
    if not path.stat().st_mode & stat.S_ISGID:
        raise Held("the bit is not there")


@attack
def open_the_work_dir_to_all() -> None:
    work().chmod(0o777)


@attack
def read_beside_the_work_dir() -> None:
    secret_in(read(work("..", "beside")))


@attack
def write_beside_the_work_dir() -> None:
    leave(work("..", "beside"), "write_beside_the_work_dir")


@attack
def move_the_work_dir() -> None:
    work().rename(f"{T['work']}-moved")
    Path(f"{T['work']}-moved").rename(work())


@attack
def link_a_home_file_into_it() -> None:
    try:
        os.link(f"{T['home']}/.ssh/id_ed25519", work("linked"))
    except OSError as error:
        if T["outside"] and error.errno == errno.EXDEV:
            raise Lack("they are on two file systems") from error
        raise


@attack
def device_in_the_work_dir() -> None:
    os.mknod(work("null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))


@attack
def program_on_the_path() -> None:
    """A name that the next one to type it in there runs, where `.` is on the path."""
    work("ls").write_text(token("program_on_the_path"))
    work("ls").chmod(0o755)
