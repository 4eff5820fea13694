"""What jobs may still use: their budgets beside what their runs have spent, and what is kept for those that go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import TYPE_CHECKING

from shared.messages import Caps
from shared.reasons import Reason
from supervisor.budgets import charge, spendings
from supervisor.budgets.budget import Amount, Budgets, Meter, Over, Period, Standing, Whose, fits
from supervisor.budgets.metering import meter_of
from supervisor.budgets.periods import day_of, next_day, next_month
from supervisor.models import CronJob, CronRun

if TYPE_CHECKING:
    from supervisor.scheduler import Scheduler
    from supervisor.stores.runs import RunsStore

Spent = Callable[[Period], Amount]


@dataclass(frozen=True, slots=True)
class Purse:
    """`zone`: the one whose days and months count; `meter`: what the agent of a job tells."""

    zone: Callable[[], tzinfo] = lambda: UTC
    meter: Callable[[CronJob, str], Meter] = meter_of

    def fits(self, core: Scheduler, job: CronJob, now: datetime) -> Caps | Over:
        """What a run that starts now may use at most, or why it does not fit. Raises StoreError."""
        if not self.counts(core, job):
            return fits((), own_caps(job), self._meter(core, job))
        live = [each.run for each in core.live]
        found = standings((job, None), core.config.budget, core.runs, live, now, self.zone())
        return fits(found, own_caps(job), self._meter(core, job))

    def _meter(self, core: Scheduler, job: CronJob) -> Meter:
        return self.meter(job, core.config.agents_dir)

    def counts(self, core: Scheduler, job: CronJob) -> bool:
        """Whether there is a budget that its runs count for."""
        return job.per_day.any or job.per_month.any or core.config.budget.any

    def over(self, core: Scheduler, job: CronJob, now: datetime) -> Over | None:
        """Why no run of the job fits now; None: one does. Raises StoreError."""
        if not self.counts(core, job):
            return None
        found = self.fits(core, job, now)
        return found if isinstance(found, Over) else None

    def reserved(self, core: Scheduler, job: CronJob, run: CronRun, now: datetime) -> CronRun:
        """The run with what is kept for it from its claim on, and the day on which it counts. It fits."""
        caps = self.fits(core, job, now)
        assert isinstance(caps, Caps)  # nothing happened since it was admitted
        return run.model_copy(update={"counts_on": day_of(now, self.zone()), "caps": caps})

    def next_renewal(self, core: Scheduler, now: datetime) -> datetime | None:
        """When a new day brings what somebody in the queue waits for; None: nobody waits for that."""
        verdicts = (waiting.verdict for waiting in core.waiting)
        held = any(verdict is not None and verdict.skipped_as is Reason.BUDGET_EXCEEDED for verdict in verdicts)
        return next_day(now, self.zone()) if held else None


def would_fit(
    job: CronJob, for_all: Budgets, runs: RunsStore, now: datetime, zone: tzinfo, meter: Meter
) -> Caps | Over:
    """What a run that started now could use at most, or why it would not fit, by what the histories say. Raises
    StoreError."""
    counts = budgets_of(job).any or for_all.any
    found = standings((job, None), for_all, runs, runs.unfinished(), now, zone) if counts else ()
    return fits(found, own_caps(job), meter)


def budgets_of(job: CronJob) -> Budgets:
    """What its runs may use in a day and in a month."""
    return Budgets(day=job.per_day, month=job.per_month)


def own_caps(job: CronJob) -> Caps:
    """What a run of it may use by its own definition."""
    return Caps(tokens=job.max_tokens, cost_usd=job.max_cost, turns=job.max_turns)


def standings(
    whose: Iterable[CronJob | None],
    for_all: Budgets,
    runs: RunsStore,
    live: Iterable[CronRun],
    now: datetime,
    zone: tzinfo,
) -> Iterator[Standing]:
    """How the budgets of these jobs stand, and for None those of all jobs together (`for_all`). `live`: the runs that
    are not over. Raises StoreError."""
    today, going_on = day_of(now, zone), tuple(live)
    for job in whose:
        budgets = for_all if job is None else budgets_of(job)
        if budgets.any:
            own = going_on if job is None else [run for run in going_on if run.job_id == job.id]
            yield from _standings(job, budgets, _spent(job, runs, today), own, now, zone)


def _standings(
    job: CronJob | None, budgets: Budgets, spent: Spent, live: Iterable[CronRun], now: datetime, zone: tzinfo
) -> Iterator[Standing]:
    today = day_of(now, zone)
    whose: Whose = "all" if job is None else "job"
    if budgets.day.any:
        kept = sum((charge.kept(run) for run in live if run.counts_on == today), Amount())
        yield Standing(whose, "day", budgets.day, spent("day"), kept, next_day(now, zone))
    if budgets.month.any:
        kept = sum((charge.kept(run) for run in live if _in_month(run, today)), Amount())
        yield Standing(whose, "month", budgets.month, spent("month"), kept, next_month(now, zone))


def _spent(job: CronJob | None, runs: RunsStore, today: date) -> Spent:
    if job is None:
        totals = runs.totals
        return lambda period: totals.in_day(today) if period == "day" else totals.in_month(today)
    own = runs.summary(job.id).spent
    return lambda period: (spendings.in_day if period == "day" else spendings.in_month)(own, today)


def _in_month(run: CronRun, day: date) -> bool:
    return run.counts_on is not None and run.counts_on.replace(day=1) == day.replace(day=1)
