"""What was used and what is left, as the command line says it, without a supervisor; and what its options store."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from shared.findings import Spending
from shared.messages import Caps
from shared.reasons import Reason
from supervisor.budgets.periods import day_of
from supervisor.models import CronRun
from supervisor.status import Status
from supervisor.stores.runs import RunsStore
from supervisor.timing.hostzone import host_zone
from tests.command import Command
from tests.fakes import make_run

EACH_HOUR = ("--every", "1h", "--command", "true", "--prompt", "x")
SAID = Spending(input_tokens=12_000, output_tokens=345, cached_tokens=9000, cost_usd=0.0125, turns=3)


def today() -> date:
    """Read by each test for itself: midnight may come between two of them."""
    return day_of(datetime.now(UTC), host_zone())


def spent(number: int, job_id: str, day: date | None = None, **fields: object) -> CronRun:
    now = datetime.now(UTC)
    known = {"status": Status.COMPLETED, "reason": Reason.OK, "agent": "claude", "started_at": now, "finished_at": now}
    facts = {
        "counts_on": day or today(),
        "spending": SAID,
        "charged_tokens": 12_345,
        "charged_usd": 0.0125,
        "job_name": "n",
    }
    return make_run(**{"id": f"{number:08}-run", "job_id": job_id, "attempt": 1, **known, **facts, **fields})


@pytest.fixture
def job_id(cronward: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    (tmp_path / "config.toml").write_text("[budget.day]\nruns = 20\ncost_usd = 5\n")
    monkeypatch.setenv("CRONWARD_CONFIG", str(tmp_path / "config.toml"))
    added = cronward.json("add", *EACH_HOUR, "--name", "n", "--daily-runs", "2", "--monthly-runs", "1k")
    return str(added["id"])


def test_usage_is_added_up_by_job_agent_or_day_also_of_what_was_removed(cronward: Command, job_id: str) -> None:
    other = cronward.json("add", *EACH_HOUR, "--name", "other")["id"]
    runs = RunsStore(cronward.home)
    runs.record(spent(1, job_id))
    runs.record(spent(2, other, agent="codex", job_name="other"))
    runs.record(spent(3, other, today() - timedelta(days=40), job_name="other"))
    unsaid = {"spending": None, "status": Status.UNKNOWN, "reason": Reason.SUPERVISOR_DIED, "charged_usd": 1.0}
    runs.record(spent(4, job_id, caps=Caps(cost_usd=1.0), **unsaid))
    assert cronward("remove", "other").code == 0
    by_job = cronward.json("usage", "--since", today().isoformat())
    rows = {row["job"]: (row["job_id"], row["runs"], row["input_tokens"], row["cost_usd"]) for row in by_job["rows"]}
    assert rows == {"n": (job_id, 2, 12_000, 1.0125), "other (removed)": (other, 1, 12_000, 0.0125)}
    total = by_job["total"]
    assert (total["runs"], total["assumed"], total["cached_tokens"], total["cost_usd"]) == (3, 1, 18_000, 1.025)
    by_agent = cronward.json("usage", "--by", "agent", "--since", "60d")
    assert {row["agent"]: row["runs"] for row in by_agent["rows"]} == {"claude": 3, "codex": 1}
    by_day = cronward.json("usage", "--by", "day", "--since", "1d")
    assert [(row["day"], row["runs"]) for row in by_day["rows"]] == [(today().isoformat(), 3)]
    assert cronward.json("usage", "--since", "9w") == cronward.json("usage", "--since", "63d")
    text = cronward("usage", "--since", "1d")
    assert "in all" in text.out
    assert "1 of these runs did not say all that they used" in text.err


def test_budgets_stand_beside_it_with_what_live_runs_keep_and_why_says_so(cronward: Command, job_id: str) -> None:
    runs = RunsStore(cronward.home)
    runs.record(spent(1, job_id))
    live = {"status": Status.RUNNING, "reason": None, "spending": None, "caps": Caps(cost_usd=2.0), "charged_usd": 2.0}
    runs.record(spent(2, job_id, **live))
    found = {(row["job_id"], row["period"], row["unit"]): row for row in cronward.json("usage")["budgets"]}
    figures = {key: (row["cap"], row["spent"], row["kept"], row["left"]) for key, row in found.items()}
    assert figures == {
        (None, "day", "runs"): (20, 1, 1, 18),
        (None, "day", "cost_usd"): (5.0, 0.0125, 2.0, 2.9875),
        (job_id, "day", "runs"): (2, 1, 1, 0),
        (job_id, "month", "runs"): (1000, 1, 1, 998),
    }
    renews = datetime.fromisoformat(found[None, "day", "runs"]["renews"])
    assert day_of(renews, host_zone()) == today() + timedelta(days=1)
    reasons = cronward.json("why", "n")["reasons"]
    assert any(
        each.startswith("A run of it would be skipped (budget_exceeded). The job has used 2 of 2") for each in reasons
    )
    assert any(
        "does not bound this one, since its agent (command) does not tell what it costs" in each for each in reasons
    )
    assert "1,000 runs" in cronward("show", "n").out
    page = cronward("logs", "00000001").out
    assert "12,000 tokens in (9,000 of them cached), 345 out, 3 turns, 0.0125 USD" in page
    assert "2.00 USD count against budgets, since it is not over" in cronward("logs", "00000002").out


def test_what_cannot_be_read_is_refused_and_changes_nothing(cronward: Command, job_id: str) -> None:
    before = json.dumps(cronward.json("show", "n"))
    for given, words in (
        (("--max-cost", "1"), "The agent command does not tell what it costs, so max_cost cannot hold"),
        (("--daily-tokens", "200k"), "does not tell how many tokens it uses"),
        (("--daily-runs", "1.5"), "The number '1.5' cannot be read"),
        (("--max-turns", "-1"), "The number '-1' cannot be read"),
        (("--daily-cost", "1e3"), "The amount '1e3' cannot be read"),
        (("--monthly-runs", "999999999999999"), "per_month.runs"),
    ):
        said = cronward("edit", "n", *given)
        assert (said.code, words in said.err, "Traceback" in said.err) == (2, True, False), (given, said.err)
    assert json.dumps(cronward.json("show", "n")) == before
    for given, words in ((("--by", "hour"), "not by 'hour'"), (("--since", "yesterday"), "'yesterday' cannot be read")):
        said = cronward("usage", *given)
        assert (said.code, words in said.err) == (2, True), said.err
    cronward("edit", "n", "--daily-runs", "0")
    assert cronward.json("show", "n")["per_day"] == {"runs": 0, "tokens": 0, "cost_usd": 0.0}
    assert cronward.json("show", "n")["per_month"]["runs"] == 1000


def test_a_home_without_runs_has_used_nothing(cronward: Command) -> None:
    said = cronward("usage")
    assert (said.code, said.out.startswith("No run has ended that started on")) == (0, True)
    assert not cronward.home.exists()
