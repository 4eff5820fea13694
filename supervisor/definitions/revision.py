"""From a job and what a person wants changed to the job as it will be: checked whole, before anything is stored."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import ValidationError

from supervisor.agents.adapter import Adapter
from supervisor.agents.adapters import adapter
from supervisor.budgets.budget import Budget
from supervisor.definitions.definition import JobDraft, Setting, check_granted, checked, refuse_ours, settle_time
from supervisor.definitions.grants import after_edit
from supervisor.definitions.limits import OwnLimits
from supervisor.definitions.network import with_other_reach
from supervisor.errors import InvalidError
from supervisor.models import NEVER, CronJob, OutputFormat
from supervisor.sentences import sentence
from supervisor.timing.occurrences import schedule_of
from supervisor.timing.schedule import parse

TIMING = ("cron_expr", "at", "timezone", "dst", "start", "until", "max_runs")
"""What says when a job is due. Where it changes, nothing from before the edit is owed."""
KEEP = "keep_secrets"
GRANTS = ("secrets", "git_credentials", "login")
_ELSEWHERE = {
    "id": "stays the same as long as the job is there",
    "created_by": "stays the same as long as the job is there",
    "enabled": "is changed by `cronward pause` and `cronward resume`",
    "pause_reason": "is given to `cronward pause`",
}


def revise(
    job: CronJob, changes: JobDraft, setting: Setting, now: datetime, ran: int = 0, settled: datetime = NEVER
) -> CronJob:
    """The job with these changes. Raises InvalidError; then nothing has happened.

    `ran`: how many runs it has had. `settled`: none of its occurrences up to there is owed any more. `keep_secrets`
    among the changes confirms the job's grants, which a change of what it does takes away.
    """
    changes, keep = _confirmed(changes)
    refuse_ours(changes)
    for key in changes:
        if key in _ELSEWHERE:
            raise InvalidError(f"The field {key!r} {_ELSEWHERE[key]}; leave it out of an edit.")
    try:
        revised = CronJob.model_validate({**dict(job), **_completed(changes, job), **_merged(job, changes)})
    except ValidationError as error:
        raise InvalidError(sentence(error, "job", CronJob)) from None
    revised = retimed(job, revised, setting, now, ran, settled)
    before = _agent(job, setting)
    revised = with_other_reach(revised, before, adapter(revised.agent, setting.agents_dir), changes)
    if not revised.search_path:
        revised = revised.model_copy(update={"search_path": setting.search_path})
    revised = after_edit(job, checked(revised, setting), keep=keep, said=changes)
    if any(getattr(revised, key) != getattr(job, key) for key in GRANTS):
        check_granted(revised, setting)
    return revised


def retimed(before: CronJob, after: CronJob, setting: Setting, now: datetime, ran: int, settled: datetime) -> CronJob:
    """The changed job with its timing checked and settled, where that is another one than before."""
    if all(getattr(after, key) == getattr(before, key) for key in TIMING):
        return after
    after = after.model_copy(update={"changed_at": now} | _anchor(before, after, now))
    after = settle_time(after, setting.host_zone, now, ran)
    if after.at is not None and after.at <= settled:
        raise InvalidError(
            f"The instant {after.at.isoformat()} is taken: the clock was ahead once, and what was due up to "
            f"{settled.isoformat()} is settled. Give a later one, or add another job."
        )
    return after


def _confirmed(changes: JobDraft) -> tuple[JobDraft, bool]:
    """The changes of the job itself, and whether they confirm its grants."""
    keep = changes.get(KEEP, False)
    if not isinstance(keep, bool):
        raise InvalidError(f"The field {KEEP!r} is true or false.")
    return {key: value for key, value in changes.items() if key != KEEP}, keep


def _completed(changes: JobDraft, job: CronJob) -> JobDraft:
    """With what a change takes along: one kind of timing, of agent or of answer ends another."""
    found = dict(changes)
    expr = changes.get("cron_expr")
    if expr and isinstance(expr, str):
        found.setdefault("at", None)
        schedule = parse(expr)
        if schedule.timezone is not None or schedule.every is not None:  # the zone of the schedule before is moot
            found.setdefault("timezone", None)
    elif changes.get("at") is not None:
        found.setdefault("cron_expr", "")
    if changes.get("command"):
        found.setdefault("agent", "command")
    elif changes.get("agent") not in (None, "command"):
        found.setdefault("command", "")
    if found.get("agent", job.agent) != job.agent:
        found.setdefault("model", "")
    if changes.get("allow_hosts"):
        found.setdefault("network", "allow")
    elif changes.get("network") not in (None, "allow"):
        found.setdefault("allow_hosts", ())
    if changes.get("output_schema"):
        found.setdefault("output_format", OutputFormat.STRUCTURED)
    elif changes.get("output_format") not in (None, OutputFormat.STRUCTURED):
        found.setdefault("output_schema", "")
    if changes.get("timeout_mins") is not None:
        found.setdefault("timeout_secs", None)
    return found


def _agent(job: CronJob, setting: Setting) -> Adapter | None:
    """What the job's agent is so far, if anybody still knows."""
    try:
        return adapter(job.agent, setting.agents_dir)
    except InvalidError:
        return None


def _merged(job: CronJob, changes: JobDraft) -> JobDraft:
    """Its own limits and its budgets are changed one by one: the others stay."""
    parts: dict[str, OwnLimits | Budget] = {"limits": job.limits, "per_day": job.per_day, "per_month": job.per_month}
    return {name: part.merged(changes[name]) for name, part in parts.items() if name in changes}


def _anchor(before: CronJob, after: CronJob, now: datetime) -> dict[str, datetime]:
    """An interval that is another one begins its grid anew; else nobody knows when the next occurrence would be."""
    every = _every(after)
    return {} if every is None or every == _every(before) else {"anchor": now}


def _every(job: CronJob) -> timedelta | None:
    schedule = schedule_of(job)
    return None if schedule is None else schedule.every
