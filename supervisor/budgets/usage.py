"""What was used, added up for people: by job, by agent or by day, and how far each budget is. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from supervisor.budgets.budget import Period, Standing, Unit
from supervisor.budgets.money import usd
from supervisor.budgets.spendings import Spendings, Spent, since

By = Literal["job", "agent", "day"]
Counted = Literal["runs", "tokens", "cost_usd"]


@dataclass(frozen=True, slots=True)
class OfBudget:
    """One cap, and what is left of it: money in USD."""

    job_id: str
    """Empty: of all jobs together."""
    period: Period
    unit: Counted
    cap: float
    spent: float
    kept: float
    """For runs that go on."""
    left: float
    renews: datetime


def added_up(found: Iterable[tuple[str, Spendings]], by: By, first: date) -> dict[str, Spent]:
    """What the jobs of these ids used from this day on, by the job's id, the agent's name or the day."""
    rows: dict[str, Spent] = {}
    for job_id, spendings in found:
        for day, agent, spent in since(spendings, first):
            key = {"job": job_id, "agent": agent, "day": day}[by]
            rows[key] = rows.get(key, Spent()) + spent
    return dict(sorted(rows.items()))


def total(rows: Iterable[Spent]) -> Spent:
    """All of them together."""
    return sum(rows, Spent())


def of_budget(job_id: str, standing: Standing) -> list[OfBudget]:
    """One for each cap of a budget."""

    def amount(unit: Unit, count: int) -> float:
        return usd(count) if unit == "cost" else count

    return [
        OfBudget(
            job_id,
            standing.period,
            "cost_usd" if unit == "cost" else unit,
            amount(unit, cap),
            amount(unit, standing.spent.of(unit)),
            amount(unit, standing.kept.of(unit)),
            amount(unit, standing.left(unit, cap)),
            standing.renews,
        )
        for unit, cap in standing.units()
    ]
