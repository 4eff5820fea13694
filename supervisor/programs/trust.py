"""Who else may change a file: the question that sudo and ssh ask of what they are about to believe.

A program that others may change is theirs, and it would get the owner's prompts, secrets and work directory.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Iterable, Mapping

from supervisor.errors import InvalidError
from supervisor.programs.links import Step


def others_may_write(found: os.stat_result) -> bool:
    """Whether somebody else than root and whoever runs the supervisor may change what this is found to be."""
    if found.st_uid not in owners() or found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and not alone(found.st_uid, found.st_gid)


def owners() -> frozenset[int]:
    """Whose files are believed: root's, and those of whoever runs the supervisor."""
    return frozenset({0, os.geteuid()})


def homes(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The homes of whoever runs the supervisor, links followed: the one that is set, and the one of the user."""
    try:
        known = [pwd.getpwuid(os.geteuid()).pw_dir]
    except KeyError:
        known = []
    named = [home for home in (environ.get("HOME", ""), *known) if home.startswith("/")]
    return tuple(dict.fromkeys(os.path.realpath(home) for home in named))


def check(steps: Iterable[Step], trusted: frozenset[int]) -> None:
    """Raise InvalidError where somebody else may change one of these, with the repair."""
    for step in steps:
        mode = stat.S_IMODE(step.found.st_mode)
        quoted = shlex.quote(step.path) if step.path.isprintable() else "it"
        if step.found.st_uid not in trusted:
            raise InvalidError(
                f"{step.path!r}, on the way to the program, belongs to {_name(step.found.st_uid)}, who may change it: "
                "use a program that you or root installed."
            )
        if stat.S_ISLNK(step.found.st_mode):  # its mode says nothing
            continue
        # In a sticky directory, as /tmp is one, nobody can replace what is not his.
        sticky = stat.S_ISDIR(step.found.st_mode) and mode & stat.S_ISVTX
        if mode & stat.S_IWOTH and not sticky:
            raise InvalidError(f"{step.path!r} can be changed by every user of this host: chmod go-w {quoted}")
        if mode & stat.S_IWGRP and not sticky and not alone(step.found.st_uid, step.found.st_gid):
            raise InvalidError(f"{step.path!r} can be changed by its group: chmod g-w {quoted}")


def alone(uid: int, gid: int) -> bool:
    """Whether it is the group of that user alone, as most systems make one for each: then files are often g+w."""
    try:
        user, group = pwd.getpwuid(uid), grp.getgrgid(gid)
    except KeyError:
        return False
    return user.pw_gid == gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"
