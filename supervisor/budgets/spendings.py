"""What was spent, by the day and the agent: a fold over the ends of runs, which outlives their records.

Each job's history carries its own in its summary, so it changes in the same durable line as the run that spent it: no
crash can leave the one without the other, and neither compaction nor retention loses it. What all jobs spent is added
up once, at the start, and kept from then on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Self

from pydantic import Field

from supervisor.budgets import charge
from supervisor.budgets.budget import Amount
from supervisor.budgets.money import micros, usd
from supervisor.models import CronRun
from supervisor.status import Status

MOST_DAYS = 62
"""Days with runs that are remembered singly: those of the running month, whatever the clock did, and before it."""
MOST_MONTHS = 60
_MONTH = len("2026-11")

Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Spent:
    """What some runs have used: by the word of their agents, and what counts against budgets."""

    runs: Count = 0
    assumed: Count = 0
    """Those of which more counts than they said, because nobody knows."""
    input_tokens: Count = 0
    output_tokens: Count = 0
    cached_tokens: Count = 0
    tokens: Count = 0
    """What counts."""
    cost_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """What counts."""

    @classmethod
    def by(cls, run: CronRun) -> Self:
        """What this run has used, which is over."""
        said = run.spending
        return cls(
            runs=int(run.status is not Status.SKIPPED),  # it may be one at the gate of its second attempt
            assumed=int(charge.is_assumed(run)),
            input_tokens=(said.input_tokens or 0) if said else 0,
            output_tokens=(said.output_tokens or 0) if said else 0,
            cached_tokens=(said.cached_tokens or 0) if said else 0,
            tokens=run.charged_tokens,
            cost_usd=usd(micros(run.charged_usd)),
        )

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.runs + other.runs,
            self.assumed + other.assumed,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.tokens + other.tokens,
            usd(micros(self.cost_usd) + micros(other.cost_usd)),
        )

    @property
    def amount(self) -> Amount:
        """What counts against budgets."""
        return Amount(self.runs, self.tokens, micros(self.cost_usd))


Spendings = dict[str, dict[str, Spent]]
"""By day ("2026-11-24"), and by month ("2026-11") what lies further back; then by agent. Never changed in place."""


def added(spendings: Spendings, run: CronRun) -> Spendings:
    """With what a run has used that is over now."""
    spent = Spent.by(run)
    if run.counts_on is None or spent == Spent():  # of a version that did not count; or a gate had nothing to do
        return spendings
    return _bounded(_plus(spendings, run.counts_on.isoformat(), {run.agent: spent}))


def in_day(spendings: Spendings, day: date) -> Amount:
    """What counts of this day."""
    return _amount(spendings.get(day.isoformat(), {}).values())


def in_month(spendings: Spendings, day: date) -> Amount:
    """What counts of the month of this day."""
    month = day.isoformat()[:_MONTH]
    return _amount(spent for key, agents in spendings.items() if key[:_MONTH] == month for spent in agents.values())


def since(spendings: Spendings, first: date) -> Iterator[tuple[str, str, Spent]]:
    """Day or month, agent and what was used, from this day on; of a month that is kept as one, if it began then."""
    for key, agents in sorted(spendings.items()):
        if (key if len(key) > _MONTH else f"{key}-01") >= first.isoformat():
            yield from ((key, agent, spent) for agent, spent in sorted(agents.items()))


class Totals:
    """What all jobs together have spent."""

    def __init__(self) -> None:
        self._amounts: defaultdict[str, Amount] = defaultdict(Amount)

    def add(self, spendings: Spendings) -> None:
        """Those of one job."""
        for key, agents in spendings.items():
            self._add(key, _amount(agents.values()))

    def note(self, run: CronRun) -> None:
        """A run that is over now."""
        if run.counts_on is not None:
            self._add(run.counts_on.isoformat(), Spent.by(run).amount)

    def in_day(self, day: date) -> Amount:
        """What counts of this day."""
        return self._amounts.get(day.isoformat(), Amount())

    def in_month(self, day: date) -> Amount:
        """What counts of the month of this day."""
        return self._amounts.get(day.isoformat()[:_MONTH], Amount())

    def _add(self, key: str, amount: Amount) -> None:
        for place in {key, key[:_MONTH]}:
            self._amounts[place] += amount


def _amount(spent: Iterable[Spent]) -> Amount:
    return sum((each.amount for each in spent), Amount())


def _plus(spendings: Spendings, key: str, more: dict[str, Spent]) -> Spendings:
    agents = dict(spendings.get(key, {}))
    for agent, spent in more.items():
        agents[agent] = agents.get(agent, Spent()) + spent
    return {**spendings, key: agents}


def _bounded(spendings: Spendings) -> Spendings:
    """The oldest day beyond those that are kept singly goes into its month, the oldest month goes."""
    days = [key for key in spendings if len(key) > _MONTH]
    if len(days) > MOST_DAYS:
        oldest = min(days)
        rest = {key: agents for key, agents in spendings.items() if key != oldest}
        spendings = _plus(rest, oldest[:_MONTH], spendings[oldest])
    months = [key for key in spendings if len(key) == _MONTH]
    if len(months) > MOST_MONTHS:
        spendings = {key: agents for key, agents in spendings.items() if key != min(months)}
    return spendings
