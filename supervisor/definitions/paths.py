"""The paths of the host that a job names: its work directory, and what else its agent may read or write.

They are settled when the job is added: whole, with no link left in them, and far from what is cronward's own. Before
each attempt they are looked at again, for a link may have been put there since.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from shared.places import holds, overlap, systems, taken
from shared.realpath import realpath
from supervisor.errors import InvalidError
from supervisor.models import CronJob
from supervisor.stores.home import Home

PATHS_MOST = 32
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_PACKAGES = ("supervisor", "runner", "shared")


def settle_paths(job: CronJob, home: Path) -> CronJob:
    """With all links in its paths followed, so that no later change of a link leads an agent somewhere else.

    Raises InvalidError for what no agent may see, or write to."""
    found: dict[str, object] = {}
    if job.work_dir:
        found["work_dir"] = _work_dir(job.work_dir, home)
    if len(job.read_paths) + len(job.write_paths) > PATHS_MOST:
        raise InvalidError(
            f"A job may name at most {PATHS_MOST} paths besides its work directory; name one above them."
        )
    read = tuple(dict.fromkeys(_path(path, home, "read") for path in job.read_paths))
    write = tuple(dict.fromkeys(_path(path, home, "written") for path in job.write_paths))
    for path in write:
        _check_writable(path)
        if path in read:
            raise InvalidError(f"The path {path[:200]!r} is given both to be read and to be written; give it once.")
    if not job.git_write:
        _check_repositories(write if job.work_mode != "inplace" else (*write, str(found.get("work_dir", ""))))
    return job.model_copy(update={**found, "read_paths": read, "write_paths": write})


def check_paths(job: CronJob) -> None:
    """That they are still what they were when the job was added. Raises InvalidError."""
    # Not Path.is_dir: before Python 3.14 that raises where a folder above may not be entered.
    if job.work_dir and not _is_still(job.work_dir, os.path.isdir):
        raise InvalidError(
            f"The work directory {job.work_dir[:200]!r} is gone, or a link stands in its path now. "
            "Make it again, or name another: cronward edit JOB --work-dir DIR"
        )
    for path in (*job.read_paths, *job.write_paths):
        if not _is_still(path, os.path.exists):
            raise InvalidError(
                f"The path {path[:200]!r} is gone, or a link stands in it now. "
                "Make it again, or name the job's paths anew: cronward edit JOB --read-path, --write-path"
            )


def _is_still(path: str, there: Callable[[str], bool]) -> bool:
    try:
        return realpath(path) == path and there(path)
    except ValueError:  # NUL or half of a surrogate pair, in a file that somebody changed by hand
        return False


def _work_dir(given: str, home: Path) -> str:
    real = _resolved(given, "work directory")
    if not real.is_dir():
        raise InvalidError(
            f"The work directory {given[:200]!r} is not a directory. Name one, or the one that it lies in."
        )
    _check_ours(real, given, "work directory", home)
    _check_taken(real, given, "work directory")
    # Root's own rights say nothing about the uid that the agent will have.
    if os.geteuid() != 0 and not os.access(real, os.R_OK | os.X_OK):
        raise InvalidError(f"The work directory {given[:200]!r} cannot be read by you; choose another.")
    return str(real)


def _path(given: str, home: Path, how: str) -> str:
    found = _CONTROL.search(given)
    if found:
        raise InvalidError(f"A path to be {how} holds the character {found.group()!r}; it has to be printable.")
    what = f"path to be {how}"
    real = _resolved(given, what)
    kind = real.stat().st_mode
    if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
        raise InvalidError(f"The {what} {given[:200]!r} is neither a file nor a directory. Name one of the two.")
    _check_ours(real, given, what, home)
    _check_taken(real, given, what)
    if os.geteuid() != 0 and not os.access(real, os.R_OK | (os.X_OK if stat.S_ISDIR(kind) else 0)):
        raise InvalidError(f"The {what} {given[:200]!r} cannot be read by you; choose another.")
    return str(real)


def _resolved(given: str, what: str) -> Path:
    if not given.startswith("/"):
        raise InvalidError(f"The {what} {given[:200]!r} is relative; give its full path.")
    try:
        return Path(given).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise InvalidError(f"The {what} {given[:200]!r} cannot be used: {_why(error)}.") from None


def _check_ours(real: Path, given: str, what: str, home: Path) -> None:
    if real == Path("/") or any(overlap(str(real), str(own)) for own in _our_state(home)):
        raise InvalidError(f"The {what} {given[:200]!r} would show the agent cronward's own state; give another.")
    inside = () if holds("/usr", str(real)) else _our_programs()
    if any(holds(str(real), str(program)) for program in _our_programs()) or any(
        holds(str(program), str(real)) for program in inside
    ):
        raise InvalidError(
            f"The {what} {given[:200]!r} holds the programs of cronward itself, or lies in them, and no agent may "
            "change these; give another."
        )


def _check_taken(real: Path, given: str, what: str) -> None:
    if taken(str(real)):
        raise InvalidError(
            f"The {what} {given[:200]!r} would take the place of something that each cell has of its own, or lead out "
            "of it; name one below it, or leave it out."
        )


def _our_state(home: Path) -> tuple[Path, ...]:
    """The home, and the directories in which its socket may lie instead."""
    usual, here = Home.of(home), Home.resolve(str(home), os.environ)
    return tuple(path.resolve() for path in (home, usual.fallback_socket.parent, here.fallback_socket.parent))


def _our_programs() -> tuple[Path, ...]:
    root = Path(__file__).parents[2]
    places = (Path(sys.base_prefix), Path(sys.prefix), *(root / name for name in _PACKAGES))
    return tuple(path.resolve() for path in places)


def _check_writable(path: str) -> None:
    if systems(path):
        raise InvalidError(
            f"The path to be written {path[:200]!r} is the operating system's, or holds it. Name one of yours."
        )
    # Whom root's agents run as is known only when they do.
    if os.geteuid() == 0:
        return
    if os.stat(path).st_uid != os.geteuid() or not os.access(path, os.W_OK):  # noqa: PTH116
        raise InvalidError(
            f"The path to be written {path[:200]!r} has to belong to you, and to be writable. "
            "Name another, or make it so: chown, chmod u+w."
        )


def _check_repositories(paths: tuple[str, ...]) -> None:
    for path in paths:
        if ".git" in path.split("/"):
            raise InvalidError(
                f"The path {path[:200]!r} lies within a repository's own directory, which no agent may write to unless "
                "the job says so (git_write)."
            )


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "it is a loop of links"
