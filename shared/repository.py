"""Whether a directory is a git repository or a linked worktree of one, by its files alone.

git is never asked outside a cell: a repository's configuration names programs that git starts, and an agent may have
written it.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from shared import gitlink


class Repository(NamedTuple):
    """Real paths. Of a plain repository `git_dir` and `common_dir` are one; a linked worktree has its own `git_dir`
    below its main repository's."""

    work_dir: str
    git_dir: str
    common_dir: str


class NoRepositoryError(Exception):
    """The text is a clause that says what the directory is not."""


def find(work_dir: str, uid: int) -> Repository:
    """The repository whose top level this is, by its real path. Raises NoRepositoryError. `uid`: whose a repository
    has to be that lies elsewhere."""
    mark = f"{work_dir}/.git"
    try:
        mode = os.lstat(mark).st_mode
    except OSError:
        raise NoRepositoryError("is not the top level of a git repository: it has no .git") from None
    if stat.S_ISDIR(mode):
        repository = Repository(work_dir, mark, mark)
    elif stat.S_ISREG(mode):
        linked = gitlink.linked(work_dir, uid)
        if linked is None:
            raise NoRepositoryError("has a .git file whose repository does not know it, or is somebody else's")
        repository = Repository(work_dir, *linked)
    else:
        raise NoRepositoryError("has a .git that is neither a directory nor a file")
    for name in ("objects", "refs"):
        if not _is_directory(f"{repository.common_dir}/{name}"):
            raise NoRepositoryError(f"belongs to a git repository without a directory {name}")
    return repository


def _is_directory(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)
