"""Whether one more run fits into what jobs may use in a day and in a month. Pure.

A run takes what it may use at most out of every budget before it starts, so that two at once cannot both take the last
of one, and gives back what it did not use when it ends. What an agent does not tell cannot be counted: money and tokens
are capped only for those that tell them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.messages import Caps
from supervisor.budgets.money import MOST_USD, micros, money, usd

MOST_TOKENS = 10**12
"""What no run uses; who says more is not believed."""
Unit = Literal["runs", "tokens", "cost"]
Period = Literal["day", "month"]
Whose = Literal["job", "all"]
Runs = Annotated[int, Field(ge=0, le=10**9, description="How many runs may be started. 0: any.")]
Tokens = Annotated[
    int,
    Field(ge=0, le=MOST_TOKENS, description="What agents may use that tell it, input and output. 0: any."),
]
Cost = Annotated[
    float,
    Field(ge=0, le=MOST_USD, allow_inf_nan=False, description="What agents may cost that tell it, in USD. 0: any."),
]


class Budget(BaseModel):
    """What may be used in a day, or in a month. 0: any."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    runs: Runs = 0
    tokens: Tokens = 0
    cost_usd: Cost = 0.0

    @property
    def any(self) -> bool:
        """Whether anything is capped."""
        return bool(self.runs or self.tokens or self.cost_usd)

    def merged(self, changes: object) -> object:
        """With these changes, as an edit gives them. Others refuse what is no mapping."""
        return {**dict(self), **changes} if isinstance(changes, dict) else changes


class Budgets(BaseModel):
    """What may be used in a day of the calendar, and in a month of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    day: Budget = Budget()
    month: Budget = Budget()

    @property
    def any(self) -> bool:
        """Whether anything is capped."""
        return self.day.any or self.month.any


@dataclass(frozen=True, slots=True)
class Meter:
    """What an agent tells of what it uses."""

    tokens: bool = False
    cost: bool = False
    turns: bool = False


@dataclass(frozen=True, slots=True)
class Amount:
    """What was used: money in millionths of a dollar."""

    runs: int = 0
    tokens: int = 0
    micros: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.runs + other.runs, self.tokens + other.tokens, self.micros + other.micros)

    def of(self, unit: Unit) -> int:
        """How much of this."""
        return {"runs": self.runs, "tokens": self.tokens, "cost": self.micros}[unit]


@dataclass(frozen=True, slots=True)
class Standing:
    """How one budget stands."""

    whose: Whose
    period: Period
    budget: Budget
    spent: Amount
    """By runs that are over."""
    kept: Amount
    """For runs that are not."""
    renews: datetime
    """When its day or month is over, in the host's zone."""

    def units(self) -> Iterator[tuple[Unit, int]]:
        """What it caps, and at how much."""
        caps: tuple[tuple[Unit, int], ...] = (
            ("runs", self.budget.runs),
            ("tokens", self.budget.tokens),
            ("cost", micros(self.budget.cost_usd)),
        )
        return ((unit, cap) for unit, cap in caps if cap)

    def left(self, unit: Unit, cap: int) -> int:
        """How much of this is neither spent nor kept."""
        return max(0, cap - self.spent.of(unit) - self.kept.of(unit))


@dataclass(frozen=True, slots=True)
class Over:
    """A run does not fit."""

    why: str
    """A sentence; where it is only `held`, a clause."""
    resumes: datetime
    held: bool
    """Whether what it needs is kept for runs that go on, and may come free when they end."""


def fits(standings: Iterable[Standing], own: Caps, meter: Meter) -> Caps | Over:
    """What a run may use at most: its own caps, as far as every budget has room for them; else why it does not fit.

    One without a cap of its own takes all that is left, since nobody knows how much it will be.
    """
    wishes: dict[Unit, int | None] = {"runs": 1, "tokens": own.tokens if meter.tokens else None, "cost": None}
    if meter.cost and own.cost_usd is not None:
        wishes["cost"] = micros(own.cost_usd)
    given, overs = dict(wishes), []
    for standing in standings:
        for unit, cap in standing.units():
            if (unit == "tokens" and not meter.tokens) or (unit == "cost" and not meter.cost):
                continue
            wish, left = wishes[unit], standing.left(unit, cap)
            needed = 1 if wish is None else min(wish, cap)
            if left < needed:
                overs.append(_over(standing, unit, cap, needed))
            known = given[unit]
            given[unit] = left if known is None else min(left, known)
    if overs:
        return max(overs, key=lambda over: (not over.held, over.resumes))
    cost = given["cost"]
    return Caps(tokens=given["tokens"], cost_usd=None if cost is None else usd(cost), turns=own.turns)


def _over(standing: Standing, unit: Unit, cap: int, needed: int) -> Over:
    spent, kept = standing.spent.of(unit), standing.kept.of(unit)
    held = unit != "runs" and spent + needed <= cap  # a run that goes on is one, whatever it gives back
    used = spent + kept if held or unit == "runs" else spent
    figures = f"{shown(unit, used)} of {shown(unit, cap)}{_NAMES[unit]}"
    when = "today" if standing.period == "day" else "this month"
    more = f", and a run may take {shown(unit, needed)}" if needed > 1 and used < cap else ""
    if held:
        whose = "the job" if standing.whose == "job" else "all jobs"
        why = f"{figures} that {whose} may use {when} are used, or kept for runs that go on{more}"
        return Over(why, standing.renews, held=True)
    who = "The job has" if standing.whose == "job" else "All jobs together have"
    resumes = standing.renews.isoformat(timespec="seconds")
    return Over(f"{who} used {figures} {when}{more}; it resumes at {resumes}.", standing.renews, held=False)


_NAMES: dict[Unit, str] = {"runs": " runs", "tokens": " tokens", "cost": ""}


def shown(unit: Unit, count: int) -> str:
    """A figure as people read it."""
    return money(usd(count)) if unit == "cost" else f"{count:,}"
