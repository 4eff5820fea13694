"""Why a job did, does or does not run: sentences out of what is known, the most pressing first. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from supervisor.budgets.budget import Meter, Over, Standing, Unit, shown
from supervisor.errors import InvalidError
from supervisor.models import NEVER, CronJob, CronRun
from supervisor.status import Status
from supervisor.stores.summary import Summary
from supervisor.timing.occurrences import next_occurrence

NEXT = 3


@dataclass(frozen=True, slots=True)
class Queued:
    """Where an occurrence of the job stands in the queue."""

    run_id: str
    place: int
    """From 1."""
    why: str


@dataclass(frozen=True, slots=True)
class Known:
    """All that the answer rests on."""

    job: CronJob
    summary: Summary
    runs: tuple[CronRun, ...]
    """The latest, newest first."""
    now: datetime
    keeping_time: bool
    stopping: bool = False
    live: tuple[CronRun, ...] = ()
    queue: tuple[Queued, ...] = ()
    running: int = 0
    max_concurrent: int = 0
    budgets: tuple[Standing, ...] = ()
    """How those stand that its runs count for."""
    over: Over | None = None
    """Why no run of it fits into one of them; None: one does."""
    meter: Meter = field(default_factory=Meter)
    """What its agent tells of what it uses."""


def next_times(known: Known, count: int = NEXT) -> list[datetime]:
    """When the job is due next, in UTC; nothing for one that is paused or over. Raises InvalidError."""
    found: list[datetime] = []
    after = known.now
    while known.job.enabled and len(found) < count:
        due = next_occurrence(known.job, after, known.summary.run_count + len(known.queue))
        if due is None:
            break
        found.append(due)
        after = due
    return found


def reasons_of(known: Known) -> list[str]:
    """Why it runs or does not run now, and why it will or will not, in whole sentences."""
    return [*_of_host(known), *_of_runs(known), *_of_budgets(known), *_of_job(known), *_of_past(known)]


def _of_host(known: Known) -> Iterator[str]:
    if not known.keeping_time:
        yield "Nothing keeps time in this home, so no job starts. Start a supervisor with: cronward supervise --ensure"
    elif known.stopping:
        yield "The supervisor is stopping and starts nothing more."


def _of_runs(known: Known) -> Iterator[str]:
    for run in known.live:
        if run.status is Status.STOPPING:
            why = run.stop_reason.value if run.stop_reason else "it was told to"
            yield f"Run {run.id[:8]} is ending ({why})."
        elif run.retry_at is not None and run.retry_at == run.rest_until:
            back = _stamp(known, run.retry_at)
            yield f"Run {run.id[:8]} waits for the quota of {run.agent}, which is back at {back}: {run.error}"
        elif run.retry_at is not None:
            yield f"Run {run.id[:8]} waits to be tried again at {_stamp(known, run.retry_at)}: {run.error}"
        else:
            yield f"Run {run.id[:8]} is going on since {_stamp(known, run.started_at)}, attempt {run.attempt}."
    for queued in known.queue:
        slots = f" {known.running} of at most {known.max_concurrent} runs go on." if known.max_concurrent else ""
        yield f"Run {queued.run_id[:8]} is number {queued.place} in the queue: {queued.why}.{slots}"


def _of_budgets(known: Known) -> Iterator[str]:
    if known.over is not None:
        held = f"A run of it would wait: {known.over.why}."
        yield held if known.over.held else f"A run of it would be skipped (budget_exceeded). {known.over.why}"
    for standing in known.budgets:
        whose = "it has" if standing.whose == "job" else "all jobs together have"
        for unit, cap in standing.units():
            yield f"Of {_amount(unit, cap)} a {standing.period} {whose} {_left(known, standing, unit, cap)}."


def _left(known: Known, standing: Standing, unit: Unit, cap: int) -> str:
    if unit != "runs" and not (known.meter.tokens if unit == "tokens" else known.meter.cost):
        what = "how many tokens it uses" if unit == "tokens" else "what it costs"
        left = shown(unit, standing.left(unit, cap))
        return f"{left} left; that does not bound this one, since its agent ({known.job.agent}) does not tell {what}"
    kept = standing.kept.of(unit)
    more = f", {shown(unit, kept)} of them kept for runs that go on" if kept else ""
    used = standing.spent.of(unit) + kept
    left, renewed = shown(unit, standing.left(unit, cap)), _stamp(known, standing.renews)
    return f"used {shown(unit, used)}{more}; {left} are left until {renewed}"


def _amount(unit: Unit, cap: int) -> str:
    return shown(unit, cap) + {"runs": " runs", "tokens": " tokens", "cost": ""}[unit]


def _of_job(known: Known) -> Iterator[str]:
    job, ran = known.job, known.summary.run_count
    if not job.enabled:
        why = f": {job.pause_reason.rstrip('.')}" if job.pause_reason else ""
        yield f"The job is paused{why}. Let it be due again with: cronward resume {job.label}"
        return
    if job.max_runs is not None and ran + len(known.queue) >= job.max_runs:
        yield f"It has run {ran} times, and {job.max_runs} are all that it may (max_runs)."
    elif job.at is not None and job.at <= known.now:
        yield f"It was due once, at {_stamp(known, job.at)}, and that is past."
    elif job.until is not None and job.until < known.now:
        yield f"Its life ended at {_stamp(known, job.until)} (until)."
    elif job.start is not None and job.start > known.now:
        yield f"Its life begins at {_stamp(known, job.start)} (start)."
    yield from _of_time(known)


def _of_time(known: Known) -> Iterator[str]:
    try:
        due = next_times(known, 1)
    except InvalidError as error:
        yield f"Its definition cannot be used: {error}"
        return
    if due:
        jitter = f", and up to {known.job.jitter_secs} s later (jitter)" if known.job.jitter_secs else ""
        yield f"It is due next at {_stamp(known, due[0])}{jitter}."
    else:
        yield "It is not due any more."


def _of_past(known: Known) -> Iterator[str]:
    if known.summary.failures_in_a_row > 1:
        yield f"Its last {known.summary.failures_in_a_row} runs failed."
    if not known.runs:
        after = "It has not been due since it was added or its time was edited" if known.job.enabled else "It never ran"
        yield f"{after}; there is no run of it."
        return
    newest = known.runs[0]
    if newest.status.final:
        yield f"The latest occurrence, due at {_stamp(known, newest.scheduled_at)}, {_end(known, newest)}"


def _end(known: Known, run: CronRun) -> str:
    if run.status is Status.COMPLETED:
        return f"completed at {_stamp(known, run.finished_at)}."
    reason = f" ({run.reason.value})" if run.reason else ""
    told = f": {run.error}" if run.error else "."
    acts = run.reason is not None and run.reason.owner_acts and run.status is not Status.SKIPPED
    repair = " The owner has to act before it can work." if acts else ""
    word = {Status.SKIPPED: "was skipped", Status.CANCELED: "was canceled", Status.UNKNOWN: "ended unknown"}
    return f"{word.get(run.status, run.status.value)}{reason}{told}{repair}"


def _stamp(known: Known, at: datetime) -> str:
    """In the zone that `now` was given in."""
    return "never" if at == NEVER else at.astimezone(known.now.tzinfo).isoformat(" ", "seconds")
