"""What every attempt may spend, and in truth does: whether more was ever begun than budgets allow, worked out apart.

It goes by what attempts were really given and really said, the day on a wall clock of the host's zone, and sums.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from shared.reasons import Reason
from supervisor.budgets.budget import Budget, Budgets
from supervisor.models import CronJob
from tests.simulation.actors import SimRunner

Record = dict[str, Any]
Sums = dict[str, float]
UNITS = ("runs", "tokens", "cost_usd")
TELLS = {"claude": ("runs", "tokens", "cost_usd"), "codex": ("runs", "tokens")}
"""What the agents of a simulation tell."""
CENT = 0.000001


@dataclass
class Accounts:
    """By run id. `budgets` are those of all jobs at this moment."""

    zone: ZoneInfo
    budgets: Budgets = field(default_factory=Budgets)
    jobs: Mapping[str, CronJob] = field(default_factory=dict)
    attempts: dict[str, list[SimRunner]] = field(default_factory=lambda: defaultdict(list))
    _of_day: dict[date, list[Record]] = field(default_factory=lambda: defaultdict(list))
    """The claims of first attempts, by the day on which they were made."""

    def began(self, runner: SimRunner, claim: Record) -> None:
        """An attempt was started."""
        run_id, attempt = runner.key
        if attempt == 1:
            self._of_day[self._day(claim)].append(claim)
        self.attempts[run_id].append(runner)

    def broken(self, runner: SimRunner, claim: Record, job: CronJob) -> str:
        """What is wrong with its start; empty: nothing is."""
        mine = self.attempts[runner.key[0]]
        first = mine[0].request.caps
        for unit, cap in (("tokens", first.tokens), ("cost_usd", first.cost_usd)):
            if cap is not None and self._committed(mine)[unit] > cap + CENT:
                return f"its attempts together may spend more {unit} than {cap}"
        if runner.key[1] > 1:
            return ""
        today = self._day(claim)
        if claim["counts_on"] != today.isoformat():
            return f"it counts on {claim['counts_on']} and not on {today}"
        for whose, budget, sums in self._sums(job, today):
            for unit in TELLS[claim["agent"]]:
                cap = getattr(budget, unit)
                if cap and sums[unit] > cap + CENT:
                    return f"{sums[unit]} of {cap} {unit} of {whose} are begun"
        return ""

    def unfounded(self, skip: Record, records: dict[str, Record]) -> bool:
        """Whether a skip for a budget has nothing to be for: by the highest figures that the records bear out."""
        job = self.jobs.get(skip["job_id"])
        if job is None or skip["error"].startswith("It waited"):
            return False
        today = datetime.fromisoformat(skip["finished_at"]).astimezone(self.zone).date()
        needs: Sums = {"runs": 1, "tokens": job.max_tokens or 1, "cost_usd": job.max_cost or CENT}
        for budget, charged in self._charged(job, today, records):
            for unit in TELLS[skip["agent"]]:
                cap = getattr(budget, unit)
                if cap and charged[unit] + min(needs[unit], cap) > cap - CENT / 2:
                    return False
        return True

    def _sums(self, job: CronJob, today: date) -> list[tuple[str, Budget, Sums]]:
        found = []
        for whose, budget, of_month, own in self._rules(job):
            claims = [claim for day in self._days(today, of_month) for claim in self._of_day[day]]
            counted = [self._committed(self.attempts[c["id"]]) for c in claims if not own or c["job_id"] == job.id]
            found.append((whose, budget, {unit: sum(each[unit] for each in counted) for unit in UNITS}))
        return found

    def _charged(self, job: CronJob, today: date, records: dict[str, Record]) -> list[tuple[Budget, Sums]]:
        found = []
        for _whose, budget, of_month, own in self._rules(job):
            runs = [
                run
                for run in records.values()
                if run["counts_on"] and (not own or run["job_id"] == job.id) and self._within(run, today, of_month)
            ]
            charges = [_charge(run) for run in runs]
            found.append((budget, {unit: sum(each[unit] for each in charges) for unit in UNITS}))
        return found

    def _rules(self, job: CronJob) -> list[tuple[str, Budget, bool, bool]]:
        rules = [("its day", job.per_day, False, True), ("its month", job.per_month, True, True)]
        rules += [
            ("all jobs' day", self.budgets.day, False, False),
            ("all jobs' month", self.budgets.month, True, False),
        ]
        return [rule for rule in rules if rule[1].any]

    def _days(self, today: date, of_month: bool) -> list[date]:
        month = today.replace(day=1)
        return [day for day in list(self._of_day) if (day.replace(day=1) == month if of_month else day == today)]

    def _within(self, run: Record, today: date, of_month: bool) -> bool:
        day = date.fromisoformat(run["counts_on"])
        return day.replace(day=1) == today.replace(day=1) if of_month else day == today

    def _day(self, claim: Record) -> date:
        return datetime.fromisoformat(claim["started_at"]).astimezone(self.zone).date()

    def _committed(self, attempts: list[SimRunner]) -> Sums:
        """What is spent for sure, and what may still be: of an attempt that lives or said nothing, all it may."""
        sums: Sums = {"runs": float(attempts[-1].alive or attempts[-1].result is not Reason.NOTHING_TO_DO)}
        sums |= {"tokens": 0.0, "cost_usd": 0.0}
        for each in attempts:
            said, caps = each.spent if not each.alive and each.result is not None else None, each.request.caps
            if each.refused or (each.result is Reason.NOTHING_TO_DO and not each.alive):  # no model was called
                continue
            sums["tokens"] += said.input_tokens or 0 if said is not None else caps.tokens or 0
            cost = said.cost_usd if said is not None else None
            sums["cost_usd"] += cost if cost is not None else caps.cost_usd or 0.0
        return sums


def _charge(run: Record) -> Sums:
    """What a record can be said to count for: while it is not over, all that it may spend."""
    caps, over = run["caps"], run["reason"] is not None
    runs = float(run["status"] != "skipped")
    if over:
        return {"runs": runs, "tokens": run["charged_tokens"], "cost_usd": run["charged_usd"]}
    tokens, cost = max(caps["tokens"] or 0, run["charged_tokens"]), max(caps["cost_usd"] or 0.0, run["charged_usd"])
    return {"runs": runs, "tokens": tokens, "cost_usd": cost}
