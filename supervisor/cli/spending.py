"""What a run's agent says that it used, as the run's page shows it."""

from __future__ import annotations

from collections.abc import Iterator

from shared.findings import Spending
from supervisor.budgets import charge
from supervisor.budgets.money import money
from supervisor.models import CronRun


def facts(run: CronRun) -> Iterator[tuple[str, str]]:
    """Tokens, money, model and version."""
    said = words(run.spending) if run.spending is not None else ""
    counted = _counted(run)
    if said or counted:
        yield "spent", "\n".join(filter(None, (said, counted)))
    told = [text for text in (run.model, run.agent_version and f"{run.agent} {run.agent_version}") if text]
    if told:
        yield "model", ", ".join(told)
    if run.conversation:
        yield "conversation", run.conversation


def words(spending: Spending) -> str:
    """What was told of it."""
    parts = []
    if spending.input_tokens is not None:
        cached = f" ({spending.cached_tokens:,} of them cached)" if spending.cached_tokens else ""
        parts.append(f"{spending.input_tokens:,} tokens in{cached}")
    if spending.output_tokens is not None:
        parts.append(f"{spending.output_tokens:,} out")
    if spending.turns is not None:
        parts.append(f"{spending.turns:,} turn{'s' * (spending.turns != 1)}")
    return ", ".join(parts + ([money(spending.cost_usd)] if spending.cost_usd is not None else []))


def _counted(run: CronRun) -> str:
    """What counts beyond that."""
    if not charge.is_assumed(run):
        return ""
    parts = [f"{run.charged_tokens:,} tokens"] if run.charged_tokens else []
    parts += [money(run.charged_usd)] if run.charged_usd else []
    why = "since it is not over" if not run.status.final else "since it did not say all of it"
    return f"{' and '.join(parts)} count against budgets, {why}"
