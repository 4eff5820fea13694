"""What of the user's own files a cell shows: the paths that the job names, and the repositories among them.

A path is taken as it is written: a link anywhere in it is refused, for whoever can write beside it could lead it
elsewhere. Between this look and bubblewrap's the same could happen again; therefore init compares what it then sees
with the marks taken here, before it starts anything.

A `.git` in a writable place is shown read-only. As a mount point it can be neither renamed nor removed, and so that no
directory above it can be moved away with it, these are mount points too. Nothing is made in the user's tree to mount
on: where there is no `.git`, the agent can make one, and the record says so afterwards.
"""

from __future__ import annotations

import os
import stat

from runner.host import Access, Grants, Mark
from runner.refusal import RefusalError
from runner.walk import FOLDER, Walk
from shared import gitlink
from shared.messages import Bind, ExecuteRequest
from shared.places import holds
from shared.realpath import realpath
from shared.reasons import Reason

# More directories than this are not searched for repositories, and more repositories not protected.
SEARCH_MOST, SEARCH_SECONDS = 200_000, 1.0
PINNED_MOST = 64
GIT = ".git"


def look(request: ExecuteRequest, work_dir: Access) -> Grants:
    """As the user that runs the agent. Raises RefusalError where something that the job names cannot be shown."""
    cell, shown = request.cell, dict[str, bool]()
    for path in cell.read_paths:
        check_readable(path)
        shown[path] = False
    for path in cell.write_paths:
        check_writable(path, own=cell.run_as is None)
        shown[path] = True
    linked = None
    # Of a private clone's original nothing is shown.
    if cell.work_dir is not None and cell.work_mode != "branch":
        shown[cell.work_dir] = work_dir is Access.WRITE and cell.work_mode == "inplace"
        linked = gitlink.linked(realpath(cell.work_dir), os.geteuid())
        if linked is not None:
            shown.setdefault(linked.common_dir, cell.git_write)
    repositories, whole = list[str](), True
    if not cell.git_write:
        repositories, whole = _repositories([path for path, writable in shown.items() if writable])
        for path in repositories:
            _pin(path, shown)
        if linked is not None and linked.common_dir not in repositories:
            repositories.append(linked.common_dir)
    binds = (
        Bind(source=realpath(path), target=path, writable=writable)
        for path, writable in shown.items()
        if path != cell.work_dir
    )
    marks = (_mark(path, writable=writable) for path, writable in shown.items())
    return Grants(tuple(binds), tuple(marks), tuple(repositories), whole)


def check_readable(path: str) -> int:
    """Its owner. Raises RefusalError where the path is not what it was when the job was added, or cannot be read."""
    found = _plain(path)
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise _refusal(f"The path {path} is neither a file nor a directory.")
    if not os.access(path, os.R_OK | (os.X_OK if stat.S_ISDIR(found.st_mode) else 0), effective_ids=True):
        raise _refusal(f"The path {path} cannot be read by the user that runs the agent. Grant it, or leave it out.")
    return found.st_uid


def check_writable(path: str, *, own: bool) -> None:
    """As above. `own`: it has to belong to the user; an id that only runs have owns little before a run made it."""
    owner = check_readable(path)
    if not os.access(path, os.W_OK, effective_ids=True):
        raise _refusal(f"The path {path} cannot be written by the user that runs the agent. Grant it, or leave it out.")
    if own and owner != os.geteuid():
        raise _refusal(f"The path {path} belongs to somebody else. Give a path of your own to write to.")


def _plain(path: str) -> os.stat_result:
    """What is there, with no link on the way. Raises RefusalError."""
    here = os.open("/", FOLDER)
    try:
        for part in path.strip("/").split("/"):
            inner = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            os.dup2(inner, here, inheritable=False)
            os.close(inner)
            if stat.S_ISLNK(os.fstat(here).st_mode):
                raise _refusal(f"A link stands in the path {path} now. Name where it leads, or remove it.")
        return os.fstat(here)
    except OSError as error:
        raise _refusal(f"The path {path} is not there, or cannot be reached ({error.strerror}).") from error
    finally:
        os.close(here)


def _repositories(roots: list[str]) -> tuple[list[str], bool]:
    """Every `.git` in these places. Raises RefusalError on one that cannot be protected."""
    found: dict[str, None] = {}
    walk = Walk(SEARCH_MOST, SEARCH_SECONDS)
    for root in roots:
        if not os.path.isdir(root):
            continue
        for folder, entries in walk.folders(root, lambda _folder, name: name == GIT):
            if len(found) > PINNED_MOST:  # paths can be long: what is not protected is not remembered either
                return list(found)[:PINNED_MOST], False
            if gitlink.is_bare({entry.name for entry in entries}):
                found.setdefault(os.path.normpath(os.path.join(root, folder)))
            for entry in entries:
                if entry.name == GIT:
                    found.setdefault(os.path.join(root, folder, GIT))
                    if entry.is_symlink():
                        raise _refusal(_LINK.format(os.path.join(root, folder, GIT)))
    return list(found)[:PINNED_MOST], not walk.cut and len(found) <= PINNED_MOST


_LINK = (
    "{} is a link, which cannot be kept from being exchanged. Make it a file with the line `gitdir: PATH`, show the "
    "directory read-only (--work-mode read), or let the agent write to repositories (--git-write)."
)


def _pin(path: str, shown: dict[str, bool]) -> None:
    """The repository read-only, and what lies between it and the place that it is in as it is, but immovable."""
    outer = max((place for place in shown if place != path and holds(place, path)), key=len, default=path)
    if not shown.get(outer, True):  # all of it is read-only
        return
    shown[path] = False
    between = os.path.dirname(path)
    while between != outer and holds(outer, between):
        shown.setdefault(between, True)
        between = os.path.dirname(between)


def _mark(path: str, *, writable: bool) -> Mark:
    try:
        found = os.stat(path)
    except OSError as error:
        raise _refusal(f"The path {path} is not there any more ({error.strerror}).") from error
    return Mark(path, found.st_dev, found.st_ino, writable)


def _refusal(sentence: str) -> RefusalError:
    return RefusalError(Reason.BAD_DEFINITION, sentence)
