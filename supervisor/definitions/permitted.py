"""What a job asks for beyond what its type gives: checked when it is added, and before each attempt, because the
configuration or the host may have changed."""

from __future__ import annotations

import grp
import os
import pwd

from shared.messages import RunAs
from supervisor.definitions.limits import Maxima, check_asked
from supervisor.errors import InvalidError
from supervisor.models import CronJob


def check_limits(job: CronJob, maxima: Maxima) -> None:
    """Raise InvalidError where the job asks for more than `maxima`."""
    asked = job.limits.given() | {"timeout_seconds": job.timeout_seconds}
    if job.idle_timeout_secs is not None:
        asked["idle_seconds"] = job.idle_timeout_secs
    check_asked(asked, maxima)


def check_run_as(job: CronJob) -> None:
    """Raise InvalidError where the job names a user that it cannot run as."""
    if job.run_as:
        named_ids(job.run_as)


def named_ids(run_as: str) -> RunAs:
    """The ids of `USER` or `USER:GROUP`, by name or number. Raises InvalidError where there is no such user, where it
    is root, or where we are not root and somebody else.

    No supplementary groups come with them: what a group may read is not given away by a user's name alone.
    """
    user, colon, group = run_as.partition(":")
    if not user or (colon and not group):
        raise InvalidError(
            f"The user {run_as[:130]!r} (run_as) is not written as USER or USER:GROUP. Write it like nobody:users."
        )
    known = _user(user)
    ids = RunAs(uid=known.pw_uid, gid=_group(group) if colon else known.pw_gid)
    if ids.uid == 0 or ids.gid == 0:
        raise InvalidError(f"No agent runs as root, and {run_as[:130]!r} (run_as) would; name an ordinary user.")
    if os.geteuid() not in (0, ids.uid) or (os.geteuid() != 0 and os.getegid() != ids.gid):
        raise InvalidError(
            f"Only root's supervisor can run a job as {run_as[:130]!r} (run_as); leave it out, and it runs as you."
        )
    return ids


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(name)) if _is_number(name) else pwd.getpwnam(name)
    except (KeyError, ValueError, OverflowError):
        raise InvalidError(
            f"There is no user {name[:64]!r} (run_as) on this host. `getent passwd` lists those there are."
        ) from None


def _group(name: str) -> int:
    try:
        return (grp.getgrgid(int(name)) if _is_number(name) else grp.getgrnam(name)).gr_gid
    except (KeyError, ValueError, OverflowError):
        raise InvalidError(
            f"There is no group {name[:64]!r} (run_as) on this host. `getent group` lists those there are."
        ) from None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
