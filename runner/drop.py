"""Root only: take on the ordinary ids under which everything of an attempt happens."""

from __future__ import annotations

import os

from runner import host
from runner.refusal import Reason, RefusalError
from shared.messages import ExecuteRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.messages import Cell


def needed_paths(request: ExecuteRequest) -> list[str]:
    """All that must stay in reach: the interpreter, ourselves, the libraries, and what the cell shows."""
    interpreter = host.interpreter()
    return [
        *interpreter.shown,
        interpreter.executable,
        *host.paths_of_libraries(),
        *request.import_paths,
        request.cell.bwrap,
        *(bind.source for bind in request.agent.binds),
        *(bind.source for task in (request.gate, request.check) if task is not None for bind in task.binds),
        *_of_the_users(request.cell),
    ]


def _of_the_users(cell: Cell) -> list[str]:
    """The paths that the job names, and the repository that the work directory's `.git` leads to."""
    paths = [*cell.read_paths, *cell.write_paths]
    if cell.work_dir is None:
        return paths
    from shared import gitlink
    from shared.realpath import realpath

    linked = gitlink.linked(realpath(cell.work_dir), cell.run_as.uid if cell.run_as else 0)
    return [*paths, cell.work_dir, *([linked.common_dir] if linked else [])]


def take_ordinary_ids(request: ExecuteRequest, more: Sequence[str] = ()) -> bool:
    """Whether ids were dropped. `more`: further paths that must stay in reach.

    Raises RefusalError: bubblewrap never runs as uid 0, for its root is the host's."""
    run_as = request.cell.run_as
    if os.geteuid() != 0:
        if run_as is not None and (run_as.uid, run_as.gid) != (os.geteuid(), os.getegid()):
            raise RefusalError(Reason.BAD_DEFINITION, f"Only root can run an agent as uid {run_as.uid}. Name no user.")
        return False
    if run_as is None or run_as.uid <= 0 or run_as.gid <= 0:
        raise RefusalError(Reason.BAD_DEFINITION, "No agent runs as root. Name an ordinary user and group to run it.")
    from runner import mounts

    try:
        mounts.stage([*needed_paths(request), *more], run_as.uid, run_as.gid)
        os.setgroups([])
        os.setresgid(run_as.gid, run_as.gid, run_as.gid)
        os.setresuid(run_as.uid, run_as.uid, run_as.uid)
    except OSError as error:
        raise RefusalError(
            Reason.SANDBOX_UNAVAILABLE,
            f"Root's privileges could not be left behind ({error.strerror or error}). "
            "Give the supervisor the right to mount and to change ids, or run it as an ordinary user.",
        ) from error
    if os.getresuid() != (run_as.uid,) * 3 or os.getresgid() != (run_as.gid,) * 3 or os.getgroups():
        raise RefusalError(Reason.SANDBOX_UNAVAILABLE, "The kernel did not take away root's ids. No agent was started.")
    return True
