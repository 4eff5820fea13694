"""The command that says what was spent, and what is left."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated

import typer

from supervisor.cli import render
from supervisor.cli.completion import among
from supervisor.cli.options import AsJson
from supervisor.cli.place import Place, place_of

if TYPE_CHECKING:
    from supervisor.budgets.spendings import Spent
    from supervisor.budgets.usage import By, OfBudget

_WAYS: tuple[By, ...] = ("job", "agent", "day")
_DAYS = re.compile(r"([0-9]{1,4})([dw])")


def register(app: typer.Typer) -> None:
    """Add this command to the program."""
    app.command()(usage)


def usage(
    ctx: typer.Context,
    by: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help="One row for each job (default), agent or day.",
            autocompletion=among("job", "agent", "day"),
        ),
    ] = "job",
    since: Annotated[
        str | None, typer.Option(metavar="DAY", help="From this day on: 2026-11-01, 7d or 2w. Default: this month.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what runs have used, and what budgets have left. By the word of their agents.

    \b
    Example: cronward usage --by agent
    Example: cronward usage --since 7d --json | jq .total.cost_usd
    """
    from supervisor.budgets.periods import day_of
    from supervisor.budgets.usage import added_up, total
    from supervisor.timing.hostzone import host_zone

    place, way = place_of(ctx), _way(by)
    today = day_of(place.now, host_zone())
    first = today.replace(day=1) if since is None else _day(since, today)
    rows = added_up(place.runs.spent(), way, first)
    budgets = _budgets(place)
    whole = total(rows.values())
    named = _names(place, {budget.job_id for budget in budgets} | (set(rows) if way == "job" else set()))
    if as_json:
        _show_json(way, first, rows, whole, named, budgets)
        return
    if rows:
        render.warn(
            f"Of runs that started on {first.isoformat()} or later and have ended; in tokens, cached ones of those in."
        )
        _show_rows(way, sorted(((named.get(key, key), spent) for key, spent in rows.items()), key=itemgetter(0)), whole)
    else:
        render.say(f"No run has ended that started on {first.isoformat()} or later.")
    if budgets:
        render.say("")
        _show_budgets([(named.get(each.job_id, each.job_id), each) for each in budgets], place.now)


def _way(text: str) -> By:
    from supervisor.errors import InvalidError

    found = next((way for way in _WAYS if way == text), None)
    if found is None:
        raise InvalidError(f"Usage is shown by {', '.join(_WAYS)}, not by {text[:40]!r}.")
    return found


def _day(text: str, today: date) -> date:
    from supervisor.errors import InvalidError

    days = _DAYS.fullmatch(text)
    try:
        if days is None:
            return date.fromisoformat(text)
        return today - timedelta(days=int(days[1]) * (7 if days[2] == "w" else 1) - 1)
    except (ValueError, OverflowError):
        raise InvalidError(
            f"The day {text[:40]!r} cannot be read: write it like {today.isoformat()}, 7d or 2w."
        ) from None


def _budgets(place: Place) -> list[OfBudget]:
    """Those of all jobs, and of each job that has one."""
    from supervisor.budgets.purse import budgets_of, standings
    from supervisor.budgets.usage import of_budget
    from supervisor.timing.hostzone import host_zone

    live = place.runs.unfinished()
    found = []
    for job in (None, *(job for job in place.jobs.list() if budgets_of(job).any)):
        standing = standings((job,), place.config.budget, place.runs, live, place.now, host_zone())
        found += [row for each in standing for row in of_budget(job.id if job else "", each)]
    return found


def _names(place: Place, job_ids: set[str]) -> dict[str, str]:
    """What people call these jobs; of removed ones, what they were called when they last ran."""
    from supervisor.errors import StoreError

    found = {job.id: job.label for job in place.jobs.list()}
    for job_id in job_ids - set(found) - {""}:
        try:
            newest = place.runs.get_runs(job_id, last=1)
        except StoreError:
            continue
        if newest:
            found[job_id] = f"{newest[0].job_name or job_id} (removed)"
    return found | {"": "all jobs"}


def _show_json(
    way: By, first: date, rows: dict[str, Spent], whole: Spent, named: dict[str, str], budgets: Sequence[OfBudget]
) -> None:
    key = {"job": "job_id", "agent": "agent", "day": "day"}[way]
    names = [{"job": named[row]} if way == "job" and row in named else {} for row in rows]
    found = [{key: row, **name, **asdict(spent)} for name, (row, spent) in zip(names, rows.items(), strict=True)]
    caps = [
        {
            "job_id": each.job_id or None,
            "period": each.period,
            "unit": each.unit,
            "cap": each.cap,
            "spent": each.spent,
            "kept": each.kept,
            "left": each.left,
            "renews": each.renews.isoformat(timespec="seconds"),
        }
        for each in budgets
    ]
    render.show_json({"since": first.isoformat(), "by": way, "rows": found, "total": asdict(whole), "budgets": caps})


def _show_rows(way: By, rows: Sequence[tuple[str, Spent]], whole: Spent) -> None:
    columns = (
        render.Column(way.upper(), shrinks=True),
        render.Column("RUNS", right=True),
        render.Column("TOKENS IN", right=True),
        render.Column("OUT", right=True),
        render.Column("CACHED", right=True, needs=70),
        render.Column("COST", right=True),
    )
    render.show_table(columns, [_row(name, spent) for name, spent in (*rows, ("in all", whole))])
    if whole.assumed:
        render.warn(
            f"{whole.assumed} of these runs did not say all that they used: they count as their caps, in "
            f"{_money(whole.cost_usd)} and {whole.tokens:,} tokens in all."
        )


def _row(name: str, spent: Spent) -> list[str]:
    counts = (spent.runs, spent.input_tokens, spent.output_tokens, spent.cached_tokens)
    return [name, *(f"{count:,}" for count in counts), _money(spent.cost_usd) if spent.cost_usd else "-"]


def _show_budgets(rows: Sequence[tuple[str, OfBudget]], now: datetime) -> None:
    from supervisor.cli.times import relative

    columns = (
        render.Column("BUDGET", shrinks=True),
        render.Column("USED", right=True),
        render.Column("KEPT", right=True, needs=90),
        render.Column("OF", right=True),
        render.Column("LEFT", right=True),
        render.Column("RENEWS"),
    )
    table = []
    for name, each in rows:
        amounts = [_shown(each, amount) for amount in (each.spent, each.kept, each.cap, each.left)]
        what = "money" if each.unit == "cost_usd" else each.unit
        table.append([f"{name}, {what} a {each.period}", *amounts, relative(each.renews, now)])
    render.show_table(columns, table)


def _shown(budget: OfBudget, amount: float) -> str:
    return _money(amount) if budget.unit == "cost_usd" else f"{amount:,.0f}"


def _money(amount: float) -> str:
    from supervisor.budgets.money import money

    return money(amount)
