"""Carries out a batch: every part of it is checked first, then all is stored as one change, then it takes effect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from supervisor.definitions import edits
from supervisor.definitions.batch import Batch, Change, Entry, Outcome, Past, Refusal
from supervisor.definitions.declared import declared
from supervisor.definitions.definition import LAST_YEAR, Setting, define
from supervisor.errors import CronwardError, InvalidError, RefusedError
from supervisor.models import NEVER, CronJob
from supervisor.sentences import shown
from supervisor.stores.summary import Summary
from supervisor.timing.clock import Moment

if TYPE_CHECKING:
    from supervisor.scheduler import Scheduler


@dataclass(slots=True)
class _Judged:
    """What the checked parts come to."""

    added: list[CronJob] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    unchanged: list[CronJob] = field(default_factory=list)
    removed: list[CronJob] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    files: dict[Path, bytes] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    kept: int = 0
    dropped: int = 0

    def outcome(self, *, stored: bool) -> Outcome:
        return Outcome(
            stored=stored,
            added=tuple(self.added),
            changed=tuple(self.changed),
            unchanged=tuple(self.unchanged),
            removed=tuple(self.removed),
            runs_kept=self.kept,
            runs_dropped=self.dropped,
            refused=tuple(self.refused),
        )


def carry_out(core: Scheduler, batch: Batch, setting: Setting, now: Moment) -> Outcome:
    """Do all that is asked, or none of it and say what was refused. Raises StoreError."""
    judged = _judge(core, batch, setting, now.wall)
    wanted = judged.added or judged.changed or judged.removed or judged.files
    if judged.refused or batch.dry_run or not wanted:
        return judged.outcome(stored=False)
    if batch.original:
        judged.files[core.jobs.home.imported / f"{setting.new_id()}.json"] = _archive(batch.original, now.wall)
    removed = [job.id for job in judged.removed]
    core.jobs.change([*judged.added, *(each.after for each in judged.changed)], removed, judged.files)
    edits.follow(core, judged.added, [(each.before, each.after) for each in judged.changed], judged.removed, now)
    return judged.outcome(stored=True)


def _judge(core: Scheduler, batch: Batch, setting: Setting, now: datetime) -> _Judged:
    judged = _Judged()
    for entry in batch.jobs:
        try:
            _take(core, entry, setting, now, judged)
        except CronwardError as error:
            judged.refused.append(Refusal(label=entry.label, error=str(error)))
    for job_id in batch.remove:
        job = core.jobs.get(job_id)
        if job is not None:
            judged.removed.append(job)
    _judge_names(core, judged)
    here = set(core.runs.job_ids()) if batch.histories else set()
    for past in batch.histories:
        try:
            _take_past(core, past, judged, here)
        except CronwardError as error:
            judged.refused.append(Refusal(label=f"history of {past.job_id}", error=str(error)))
    return judged


def _take(core: Scheduler, entry: Entry, setting: Setting, now: datetime, judged: _Judged) -> None:
    setting = replace(setting, search_path=entry.search_path or setting.search_path)
    if entry.replaces:
        before = core.jobs.find(entry.replaces)
        ran = core.runs.summary(before.id).run_count
        after = declared(before, entry.draft, setting, now, ran, core.settled(before, now))
        if after == before:
            judged.unchanged.append(before)
        else:
            judged.labels[after.id] = entry.label
            judged.changed.append(Change(before=before, after=after))
        return
    job = define(entry.draft, setting, now)
    if core.jobs.has(job.id) or job.id in judged.labels:
        raise RefusedError(f"There is a job with the id {job.id} already. Leave it out, or remove that one first.")
    if entry.created_at is not None and NEVER.year < entry.created_at.year <= LAST_YEAR:
        job = job.model_copy(update={"created_at": entry.created_at})
    else:  # lists are in the order in which jobs were made
        job = job.model_copy(update={"created_at": now + timedelta(microseconds=len(judged.added))})
    judged.labels[job.id] = entry.label
    judged.added.append(job)


def _judge_names(core: Scheduler, judged: _Judged) -> None:
    """Each name is one job's, of those that there will be."""
    coming = [*judged.added, *(each.after for each in judged.changed)]
    leaving = {job.id for job in (*coming, *judged.removed)}
    taken = {job.name: job.id for job in core.jobs.known() if job.name and job.id not in leaving}
    for job in coming:
        if job.name and taken.setdefault(job.name, job.id) != job.id:
            error = f"There is a job called {shown(job.name)} already ({taken[job.name]}). Choose another name."
            judged.refused.append(Refusal(label=judged.labels[job.id], error=error))


def _take_past(core: Scheduler, past: Past, judged: _Judged, here: set[str]) -> None:
    for run in past.runs:
        if run.job_id != past.job_id or not run.status.final:
            raise InvalidError(f"The run {run.id} belongs to another job, or is not over.")
    if past.job_id in here:  # what was seen here is worth more than what is told of it
        judged.dropped += len(past.runs)
        return
    here.add(past.job_id)
    path, data, kept = core.runs.whole_file(past.job_id, past.runs, _summary(past))
    judged.files[path] = data
    judged.kept += kept
    judged.dropped += len(past.runs) - kept


def _summary(past: Past) -> Summary:
    """What the runs come to. Nothing of it settles an occurrence here: what is owed counts from now on."""
    summary = Summary()
    for run in sorted(past.runs, key=lambda run: run.finished_at):
        summary = summary.after(run, counted=False, ended=False)
    return summary.model_copy(
        update={
            "run_count": max(summary.run_count, past.run_count),
            "last_run": max(summary.last_run, past.last_run),
            "last_error": summary.last_error if past.runs else past.last_error,
            "last_scheduled": NEVER,
            "spent": {},
        }
    )


def _archive(original: Mapping[str, str], now: datetime) -> bytes:
    record = {"version": 1, "imported_at": now.isoformat(), "files": dict(original)}
    return json.dumps(record).encode("ascii") + b"\n"
