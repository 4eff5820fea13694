"""What there is to measure: of the stores, which need no supervisor, and of a live one. Pure.

Counters are folds over the transitions of runs, kept in each history's summary: they outlive the records that retention
drops, and start anew only where a history goes. Times are in seconds, instants in seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from shared.reasons import Reason
from supervisor.budgets.spendings import Spent
from supervisor.models import NEVER, CronJob
from supervisor.reports.exposition import Family, Kind, Sample
from supervisor.status import final_status
from supervisor.stores.measures import Sum
from supervisor.stores.summary import Summary


@dataclass(frozen=True, slots=True)
class Measured:
    """One job, which may have been removed, and what its history comes to."""

    id: str
    job: CronJob | None
    summary: Summary
    unfinished: int

    @property
    def labels(self) -> dict[str, str]:
        """What tells it from all others, and what people call it."""
        return {"job_id": self.id, "job": self.job.label if self.job is not None else ""}


Of = Callable[[Measured], Iterable[Sample]]


def families(
    jobs: Iterable[CronJob], measured: Iterable[Measured], live: Mapping[str, Any] | None, sign: datetime | None
) -> Iterator[Family]:
    """All of it. `live`: what a supervisor says of itself; None: none runs. `sign`: when time was last surely kept."""
    enabled = [job.enabled for job in jobs]
    yield _gauge("cronward_up", "Whether a supervisor keeps time.", [int(live is not None)])
    yield _gauge(
        "cronward_last_sign_timestamp_seconds", "When time was last surely kept.", [sign.timestamp()] if sign else []
    )
    states = tuple(Sample(enabled.count(on), {"enabled": str(on).lower()}) for on in (True, False))
    yield Family("cronward_jobs", "gauge", "Jobs.", states)
    if live is not None:
        yield from _of_supervisor(live, sign)
    found = list(measured)
    for name, (kind, meaning, of) in _OF_JOBS.items():
        yield Family(name, kind, meaning, tuple(chain.from_iterable(of(each) for each in found)))


def _of_supervisor(live: Mapping[str, Any], now: datetime | None) -> Iterator[Family]:
    waits = [(now - datetime.fromisoformat(each["scheduled_at"])).total_seconds() for each in live["queue"] if now]
    due = [datetime.fromisoformat(live["next_due"]).timestamp()] if live["next_due"] else []
    yield _gauge("cronward_running", "Runs that have a slot now.", [live["running"]])
    yield _gauge("cronward_running_max", "Slots.", [live["max_concurrent"]])
    yield _gauge("cronward_queued", "Occurrences that wait for a start.", [len(live["queue"])])
    yield _gauge("cronward_queued_oldest_seconds", "How long the oldest of them has been due.", [max([0.0, *waits])])
    yield _gauge("cronward_next_due_timestamp_seconds", "The next occurrence of any job.", due)
    yield _gauge("cronward_damaged_files", "Files of the stores that were found damaged.", [len(live["damaged"])])


def _gauge(name: str, meaning: str, values: list[float]) -> Family:
    return Family(name, "gauge", meaning, tuple(Sample(value) for value in values))


def _due(of: Measured) -> Iterator[Sample]:
    yield Sample(sum(of.summary.measures.ended.values()) + of.unfinished, of.labels)


def _started(of: Measured) -> Iterator[Sample]:
    yield Sample(of.summary.measures.started, of.labels)


def _ended(of: Measured) -> Iterator[Sample]:
    for reason, count in of.summary.measures.ended.items():
        status = final_status(Reason(reason)).value if reason in _REASONS else ""
        yield Sample(count, {**of.labels, "status": status, "reason": reason})


def _sums(pick: Callable[[Summary], Sum]) -> Of:
    def of(each: Measured) -> Iterator[Sample]:
        yield Sample(pick(each.summary).seconds, each.labels, "_sum")
        yield Sample(pick(each.summary).count, each.labels, "_count")

    return of


def _instant(pick: Callable[[Summary], datetime]) -> Of:
    def of(each: Measured) -> Iterator[Sample]:
        at = pick(each.summary)
        if at != NEVER:
            yield Sample(at.timestamp(), each.labels)

    return of


def _failures(of: Measured) -> Iterator[Sample]:
    yield Sample(of.summary.failures_in_a_row, of.labels)


def _cost(of: Measured) -> Iterator[Sample]:
    for agent, spent in _by_agent(of.summary).items():
        yield Sample(spent.cost_usd, {**of.labels, "agent": agent})


def _tokens(of: Measured) -> Iterator[Sample]:
    for agent, spent in _by_agent(of.summary).items():
        counts = {"input": spent.input_tokens, "output": spent.output_tokens, "cached": spent.cached_tokens}
        yield from (Sample(count, {**of.labels, "agent": agent, "kind": kind}) for kind, count in counts.items())


def _by_agent(summary: Summary) -> dict[str, Spent]:
    found: dict[str, Spent] = {}
    for agents in summary.spent.values():
        for agent, spent in agents.items():
            found[agent] = found.get(agent, Spent()) + spent
    return found


_REASONS = frozenset(Reason)
_OF_JOBS: Mapping[str, tuple[Kind, str, Of]] = {
    "cronward_runs_due_total": (
        "counter",
        "Occurrences that became due, those that were missed in a row as one.",
        _due,
    ),
    "cronward_runs_started_total": ("counter", "Runs that were started.", _started),
    "cronward_runs_ended_total": ("counter", "Runs and skips that are over, by what became of them.", _ended),
    "cronward_run_lateness_seconds": (
        "summary",
        "From the scheduled instant to the start, jitter included.",
        _sums(lambda summary: summary.measures.lateness),
    ),
    "cronward_run_duration_seconds": (
        "summary",
        "From start to end, retries included.",
        _sums(lambda summary: summary.measures.durations),
    ),
    "cronward_last_success_timestamp_seconds": (
        "gauge",
        "When a run of the job last completed.",
        _instant(lambda summary: summary.measures.last_success),
    ),
    "cronward_last_end_timestamp_seconds": (
        "gauge",
        "When a run of the job last ended, however it did.",
        _instant(lambda summary: summary.last_end),
    ),
    "cronward_failures_in_a_row": ("gauge", "Runs that failed since one completed.", _failures),
    "cronward_cost_usd_total": ("counter", "What counts against budgets, in USD.", _cost),
    "cronward_tokens_total": ("counter", "Tokens, as agents say.", _tokens),
}
