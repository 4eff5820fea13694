"""How much of a cell a job needs: checked when it is added, and before each attempt, for the configuration may have
changed."""

from __future__ import annotations

from supervisor.errors import InvalidError
from supervisor.models import CronJob

HELD_BEST_EFFORT = ("none", "public")


def check_isolation(job: CronJob, permit_none: bool) -> None:
    """Raise InvalidError where the job asks for less isolation than it may have."""
    if job.isolation == "none" and not permit_none:
        raise InvalidError(
            "A run without isolation is not permitted here, for its agent would have your rights and no limits of "
            "sight. Use best-effort, or set permit_no_isolation = true in the configuration."
        )
    if job.isolation != "required" and job.work_mode == "branch":
        raise InvalidError("A branch is made and checked in cells of its own: use isolation required, or another mode.")
    if job.isolation == "best-effort" and job.network not in HELD_BEST_EFFORT:
        raise InvalidError(
            f"The network {job.network!r} needs the whole cell: without namespaces it could not be held. "
            "Use isolation required, or the network none or public."
        )
    if job.isolation == "none" and job.network != "host":
        raise InvalidError(
            f"Without isolation nothing holds the network {job.network!r}: the agent reaches whatever this host does. "
            "Say so: give the network host, or leave it out."
        )
