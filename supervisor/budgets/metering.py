"""Which of what it uses an agent tells: what it does not tell cannot be counted, and so not be capped."""

from __future__ import annotations

from collections.abc import Iterator

from supervisor.agents.adapters import adapter
from supervisor.budgets.budget import Meter
from supervisor.errors import InvalidError
from supervisor.models import CronJob

_REPAIR = {
    "cost": "cap its runs or its tokens instead, where it tells those (--daily-runs, --max-tokens)",
    "tokens": "cap its runs instead (--daily-runs)",
    "turns": "give it a timeout instead (--timeout)",
}
_WORDS = {"cost": "what it costs", "tokens": "how many tokens it uses", "turns": "how many turns it takes"}


def meter_of(job: CronJob, agents_dir: str = "") -> Meter:
    """What the agent of this job tells, as its adapter says; nothing, where that is gone."""
    try:
        known = adapter(job.agent, agents_dir)
    except InvalidError:  # said when it is to be started
        return Meter()
    told = known.reading
    return Meter(
        tokens=bool(told.input_tokens or told.output_tokens),
        cost=known.prices and bool(told.cost_usd),
        turns=bool(told.turns) or known.takes("max_turns"),
    )


def check_caps(job: CronJob, meter: Meter) -> None:
    """Raise InvalidError where the job caps what its agent does not tell."""
    for field, what in _capped(job):
        if not getattr(meter, what):
            raise InvalidError(
                f"The agent {job.agent} does not tell {_WORDS[what]}, so {field} cannot hold; {_REPAIR[what]}."
            )


def _capped(job: CronJob) -> Iterator[tuple[str, str]]:
    """Each field that caps something, and what."""
    caps: tuple[tuple[str, str, float | None], ...] = (
        ("max_turns", "turns", job.max_turns),
        ("max_tokens", "tokens", job.max_tokens),
        ("max_cost", "cost", job.max_cost),
    )
    for field, what, cap in caps:
        if cap is not None:
            yield field, what
    for period, budget in (("per_day", job.per_day), ("per_month", job.per_month)):
        for name, what, amount in (("tokens", "tokens", budget.tokens), ("cost_usd", "cost", budget.cost_usd)):
            if amount:
                yield f"{period}.{name}", what
