"""A job that a jobs file describes whole: what the file does not say has its default, whatever was edited meanwhile."""

from __future__ import annotations

from datetime import datetime

from supervisor.definitions.definition import JobDraft, Setting, check_granted, checked, drafted
from supervisor.definitions.revision import retimed
from supervisor.models import NEVER, CronJob

PROGRAMS = ("agent", "command", "gate", "check")
"""Where one of these changes, programs are looked for anew, on the path of whoever applies the file."""
_KEPT = ("created_by", "created_at", "changed_at", "anchor", "enabled", "pause_reason")


def declared(
    before: CronJob, draft: JobDraft, setting: Setting, now: datetime, ran: int = 0, settled: datetime = NEVER
) -> CronJob:
    """The job as the draft has it: the one that there is, where the draft says nothing new. Raises InvalidError.

    What it is granted stands in the draft beside what it does, so nothing of that has to be confirmed again. `ran`,
    `settled`: as `revise` has them.
    """
    job = drafted({**draft, "id": before.id}, setting, now)
    kept = {key: getattr(before, key) for key in _KEPT if key not in draft}
    if "timezone" not in draft and job.cron_expr == before.cron_expr:
        kept["timezone"] = before.timezone  # the host's, when it was added: a host that moves does not move the job
    if "search_path" not in draft and all(getattr(job, key) == getattr(before, key) for key in PROGRAMS):
        kept |= {"search_path": before.search_path}
    job = job.model_copy(update=kept | {"created_at": before.created_at, "changed_at": before.changed_at})
    if job.at is not None and job.at == before.at:
        job = job.model_copy(update={"at": before.at})
    job = _switched(before, retimed(before, job, setting, now, ran, settled), now)
    job = checked(job, setting)
    if "search_path" in kept:
        job = job.model_copy(update={"program": before.program})  # looked up before each attempt anyway
    check_granted(job, setting)
    return job


def _switched(before: CronJob, job: CronJob, now: datetime) -> CronJob:
    """Paused or resumed, as the draft says: what fell due while it was paused is not owed."""
    if job.enabled and not before.enabled:
        return job.model_copy(update={"changed_at": now, "pause_reason": ""})
    return job
