"""What a job may spend, as it is written on a command line and shown on its page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from supervisor.budgets.budget import Budget
from supervisor.budgets.money import money
from supervisor.errors import InvalidError
from supervisor.models import CronJob

if TYPE_CHECKING:
    from supervisor.cli.joboptions import JobOptions

_COUNT = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,6}))?([kKmM]?)")
_MONEY = re.compile(r"\$?([0-9]{1,9}(?:\.[0-9]{1,6})?)")
_TIMES = {"": 1, "k": 1000, "m": 1_000_000}


def caps(given: JobOptions) -> dict[str, Any]:
    """The fields that these options give; 0 takes one away."""
    found: dict[str, Any] = {}
    for key, count in (("max_turns", given.max_turns), ("max_tokens", given.max_tokens)):
        if count is not None:
            found[key] = _count(count) or None
    if given.max_cost is not None:
        found["max_cost"] = _money(given.max_cost) or None
    day = _budget(given.daily_runs, given.daily_tokens, given.daily_cost)
    month = _budget(given.monthly_runs, given.monthly_tokens, given.monthly_cost)
    return found | ({"per_day": day} if day else {}) | ({"per_month": month} if month else {})


def facts(job: CronJob) -> Iterator[tuple[str, str]]:
    """What it may spend, as `show` says it."""
    once = [f"{job.max_turns:,} turns"] if job.max_turns else []
    once += [f"{job.max_tokens:,} tokens"] if job.max_tokens else []
    once += [money(job.max_cost)] if job.max_cost else []
    if once:
        yield "run may use", ", ".join(once)
    for name, budget in (("day may use", job.per_day), ("month may use", job.per_month)):
        if budget.any:
            yield name, words(budget)


def words(budget: Budget) -> str:
    """What it caps."""
    parts = [f"{budget.runs:,} run{'s' * (budget.runs != 1)}"] if budget.runs else []
    parts += [f"{budget.tokens:,} tokens"] if budget.tokens else []
    return ", ".join(parts + ([money(budget.cost_usd)] if budget.cost_usd else []))


def _budget(runs: str | None, tokens: str | None, cost: str | None) -> dict[str, int | float]:
    found: dict[str, int | float] = {}
    for key, count in (("runs", runs), ("tokens", tokens)):
        if count is not None:
            found[key] = _count(count)
    return found if cost is None else {**found, "cost_usd": _money(cost)}


def _count(text: str) -> int:
    read = _COUNT.fullmatch(text)
    if read is None or (read[2] and not read[3]):
        raise InvalidError(f"The number {text[:40]!r} cannot be read: write it like 200, 200k or 1.5M.")
    times = _TIMES[read[3].lower()]
    return int(read[1]) * times + int((read[2] or "").ljust(6, "0")) * times // 1_000_000


def _money(text: str) -> float:
    read = _MONEY.fullmatch(text)
    if read is None:
        raise InvalidError(f"The amount {text[:40]!r} cannot be read: write it in USD, like 5 or 0.25.")
    return float(read[1])
