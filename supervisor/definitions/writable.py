"""What of the host a job's agent may write, as far as that can be told before its cell is made."""

from __future__ import annotations

import os

from supervisor.models import CronJob


def writable_paths(job: CronJob) -> tuple[str, ...]:
    """Real paths. A directory counts that its run may only turn out to be able to write."""
    own = (job.work_dir,) if job.work_mode == "inplace" and job.work_dir and _may_write(job.work_dir) else ()
    return (*own, *job.write_paths)


def _may_write(path: str) -> bool:
    if os.geteuid() != 0:
        return os.access(path, os.W_OK)
    try:
        found = os.stat(path)
    except OSError:
        return False
    # Root's own rights say nothing about the uid that the run will have. An ACL shows in the bits of the group.
    return found.st_uid != 0 or bool(found.st_mode & 0o022)
