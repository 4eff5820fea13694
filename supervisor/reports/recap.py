"""What became of all jobs since some instant, what needs their owner, what is due next: records to a summary. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.findings import Branch
from shared.reasons import Reason
from supervisor.budgets.charge import is_assumed
from supervisor.budgets.money import micros, usd
from supervisor.models import NEVER, CronJob, CronRun
from supervisor.notifications.deliveries import Letter
from supervisor.reports.needs import Need, of_job, of_leavings, of_untold
from supervisor.spawning.firstrecords import missed_by
from supervisor.status import Status
from supervisor.stores.history import began, ended
from supervisor.stores.recent import Recent
from supervisor.timing.occurrences import next_occurrence

DUE_MOST = 5


@dataclass(frozen=True, slots=True)
class Known:
    """What a recap is made of. `live`: the runs that go on by the supervisor's word; None: nothing keeps time."""

    jobs: Sequence[CronJob]
    recent: Sequence[Recent]
    since: datetime
    now: datetime
    live: Sequence[CronRun] | None = None
    trouble: str = ""
    """Why nobody answers, though somebody should: a sentence."""
    asleep: str = ""
    """What to say where nobody does: that no job starts, and since when. A sentence."""
    untold: Sequence[Letter] = ()
    """Ends that somebody was to hear of and, since then, will not."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Runs that ended in one way, for one reason."""

    status: Status
    reason: Reason | None
    count: int
    """Of occurrences: one record may stand for many that were missed."""
    jobs: tuple[tuple[str, int], ...]
    """By name, with how many each, the most first."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What counts for the runs that ended. `assumed`: those of them that did not say all of it."""

    usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    assumed: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """What a run changed: a branch that it offers, or files, as its agent says."""

    job_id: str
    job: str
    run_id: str
    branch: Branch | None
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Due:
    """When a job is due."""

    job_id: str
    job: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Recap:
    """All of it. What is left out where there is much is left out by whoever shows it."""

    since: datetime
    now: datetime
    keeping_time: bool
    jobs: int
    ends: tuple[Ends, ...]
    """Completed first, then failed, unknown, canceled, skipped; in each the most first."""
    going_on: tuple[CronRun, ...]
    cost: Cost
    changes: tuple[Change, ...]
    needs: tuple[Need, ...]
    """The most pressing first."""
    due: tuple[Due, ...]
    """What is due next. Where nothing keeps time it will not start."""
    overdue: tuple[Due, ...]
    """What was due and has no record, since nothing keeps time: the first such occurrence of each job."""
    incomplete: tuple[str, ...]
    """Jobs of which more ended than is kept."""
    damaged: int
    """Lines that cannot be read."""

    def count(self, *statuses: Status) -> int:
        """How many occurrences ended so."""
        return sum(each.count for each in self.ends if each.status in statuses)


_ORDER = (Status.COMPLETED, Status.FAILED, Status.UNKNOWN, Status.CANCELED, Status.SKIPPED)


def recap(known: Known) -> Recap:
    """The summary of what is known."""
    names = _names(known)
    over = sorted((run for run in _runs(known) if run.status.final), key=ended)
    return Recap(
        since=known.since,
        now=known.now,
        keeping_time=known.live is not None,
        jobs=len(known.jobs),
        ends=tuple(_ends(over, names)),
        going_on=tuple(sorted(_live(known), key=began)),
        cost=_cost(over),
        changes=tuple(_changes(over, names)),
        needs=tuple(_needs(known, over)),
        due=tuple(_next(known)[:DUE_MOST]),
        overdue=tuple(_overdue(known)) if known.live is None else (),
        incomplete=tuple(names[each.job_id] for each in known.recent if not each.whole),
        damaged=sum(each.damaged for each in known.recent),
    )


def _runs(known: Known) -> Iterator[CronRun]:
    return (run for each in known.recent for run in each.runs if not run.status.final or ended(run) >= known.since)


def _live(known: Known) -> Iterable[CronRun]:
    if known.live is not None:
        return known.live
    return (run for run in _runs(known) if not run.status.final)


def _names(known: Known) -> Mapping[str, str]:
    """What people call these jobs; of removed ones, what they were called when they last ran."""
    names = {each.job_id: run.job_name for each in known.recent for run in (each.runs or (each.before,))[:1] if run}
    found = {each.job_id: names.get(each.job_id) or each.job_id for each in known.recent}
    return found | {job.id: job.label for job in known.jobs}


def _ends(over: Iterable[CronRun], names: Mapping[str, str]) -> list[Ends]:
    counted: dict[tuple[Status, Reason | None], Counter[str]] = {}
    for run in over:
        jobs = counted.setdefault((run.status, run.reason), Counter())
        jobs[names.get(run.job_id, run.job_id)] += missed_by(run) or 1
    found = [
        Ends(status, reason, jobs.total(), tuple(jobs.most_common())) for (status, reason), jobs in counted.items()
    ]
    return sorted(found, key=lambda each: (_ORDER.index(each.status), -each.count))


def _cost(over: Sequence[CronRun]) -> Cost:
    said = [run.spending for run in over if run.spending is not None]
    return Cost(
        usd=usd(sum(micros(run.charged_usd) for run in over)),
        input_tokens=sum(each.input_tokens or 0 for each in said),
        output_tokens=sum(each.output_tokens or 0 for each in said),
        assumed=sum(is_assumed(run) for run in over),
    )


def _changes(over: Iterable[CronRun], names: Mapping[str, str]) -> Iterator[Change]:
    for run in over:
        branch = run.branch if run.branch is not None and run.branch.name else None
        files = run.deeds.files if run.deeds is not None else ()
        if branch or files:
            yield Change(run.job_id, names.get(run.job_id, run.job_id), run.id, branch, files)


def _needs(known: Known, over: Sequence[CronRun]) -> list[Need]:
    recent = {each.job_id: each for each in known.recent}
    found = [*_asleep(known), *of_untold(known.untold)]
    found += [need for job in known.jobs for need in of_job(job, recent.get(job.id, Recent(job.id)), known.since)]
    # Of several runs of a job that left such things the last one is named.
    left = {need.job_id: need for run in over for need in of_leavings(run)}
    return sorted([*found, *left.values()], key=lambda need: not need.pressing)


def _asleep(known: Known) -> Iterator[Need]:
    """What is to be done where nothing keeps time."""
    if known.trouble:
        yield Need("", "", "", known.trouble, "cronward status")
    elif known.live is None and any(job.enabled for job in known.jobs):
        yield Need("", "", "", known.asleep, "cronward supervise --ensure")


def _next(known: Known) -> list[Due]:
    found = []
    for job in known.jobs:
        at = next_occurrence(job, known.now, job.run_count) if job.enabled else None
        if at is not None:
            found.append(Due(job.id, job.label, at))
    return sorted(found, key=lambda due: due.at)


def _overdue(known: Known) -> list[Due]:
    recent = {each.job_id: each for each in known.recent}
    found = []
    for job in known.jobs:
        after = max(job.changed_at, recent.get(job.id, Recent(job.id)).settled)
        at = next_occurrence(job, after, job.run_count) if job.enabled and after != NEVER else None
        if at is not None and at <= known.now:
            found.append(Due(job.id, job.label, at))
    return sorted(found, key=lambda due: due.at)
