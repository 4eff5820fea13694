"""Where the repository of a linked worktree or of a submodule is, if its `.git` file tells the truth.

Such a file is one line, `gitdir: PATH`, and whoever may write in the directory can write it: an agent could name
anything of its owner's there and be shown it in its next run. So the place that it names must name this directory in
turn, must be built as git builds it, and must belong to the user. Nobody in a cell can write such a thing elsewhere.
"""

from __future__ import annotations

import os
import stat

from shared.realpath import realpath
from shared.record import NamedTuple

READ_MOST = 64 << 10
# In one step a character: with two stretches of blanks that can share them, 60 KB of blanks would take days.
_WORKTREE = r"(?m)^[ \t]*worktree[ \t]*=[ \t]*\"?([^\"\n]*)"


class Linked(NamedTuple):
    """Real paths: what `.git` names, and what has to be seen for git to work; the same for a submodule."""

    git_dir: str
    common_dir: str


def linked(work_dir: str, uid: int) -> Linked | None:
    """What the `.git` file of this directory leads to; None: there is none, or it is not to be believed.

    `work_dir` is a real path; `uid`: whose the repository has to be.
    """
    target = _value(os.path.join(work_dir, ".git"), "gitdir: ")
    if target is None:
        return None
    git_dir = realpath(os.path.join(work_dir, target))
    common = _value(os.path.join(git_dir, "commondir"))
    found = _worktree(git_dir, common, work_dir) if common is not None else _submodule(git_dir, work_dir)
    if found is None or not _is_repository(found.common_dir):
        return None
    return found if all(_owner(path) == uid for path in found) else None


def is_bare(names: set[str]) -> bool:
    """Whether a directory with these entries is one that git takes for a repository."""
    return {"HEAD", "objects", "refs"} <= names


def _worktree(git_dir: str, common: str, work_dir: str) -> Linked | None:
    common_dir = realpath(os.path.join(git_dir, common))
    # Not whatever `commondir` says: a made-up one inside the work directory would open any directory.
    if os.path.dirname(git_dir) != os.path.join(common_dir, "worktrees"):
        return None
    back = _value(os.path.join(git_dir, "gitdir"))
    if back is None or realpath(os.path.join(git_dir, back)) != os.path.join(work_dir, ".git"):
        return None
    return Linked(git_dir, common_dir)


def _submodule(git_dir: str, work_dir: str) -> Linked | None:
    import re  # late, for a runner reads this of every work directory, and hardly one is a submodule

    config = _text(os.path.join(git_dir, "config")) or ""
    backs = (realpath(os.path.join(git_dir, back.rstrip())) for back in re.findall(_WORKTREE, config))
    return Linked(git_dir, git_dir) if work_dir in backs else None


def _is_repository(path: str) -> bool:
    try:
        return is_bare(set(os.listdir(path)))
    except OSError:
        return False


def _owner(path: str) -> int:
    try:
        return os.stat(path).st_uid
    except OSError:
        return -1


def _value(path: str, key: str = "") -> str | None:
    """The one line of such a file, without `key`."""
    text = _text(path)
    if text is None or not text.startswith(key):
        return None
    return text.removeprefix(key).rstrip("\r\n") or None


def _text(path: str) -> str | None:
    """What a small regular file holds. A link, a pipe or a device in its place is not opened for long."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):  # ValueError: a NUL in it
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        data = os.read(descriptor, READ_MOST + 1)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    if len(data) > READ_MOST or b"\0" in data:
        return None
    return data.decode("utf-8", "surrogateescape")
