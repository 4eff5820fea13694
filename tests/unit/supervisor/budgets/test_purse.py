"""Budgets as the real scheduler holds them, over simulated days: what is kept, charged, skipped, and until when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from shared.findings import Spending
from shared.reasons import Reason
from supervisor.budgets.budget import Amount, Budget, Budgets, Meter
from supervisor.budgets.purse import Purse
from supervisor.config import Config
from supervisor.definitions import edits
from supervisor.errors import RefusedError
from supervisor.models import CronJob, CronRun
from supervisor.status import Status
from supervisor.stores.runs import RunsStore
from tests.fakes import NOON
from tests.records import JOB, file_of, run_of
from tests.timeline import EACH_MINUTE, USED, Timeline, memory_folder, timeline

BERLIN = ZoneInfo("Europe/Berlin")
"""Where it is 13:00 when a timeline begins: a day ends in eleven hours, at 23:00 UTC."""
TELLS = {"claude": Meter(tokens=True, cost=True, turns=True), "codex": Meter(tokens=True), "command": Meter()}
MIDNIGHT = "2026-11-25T00:00:00+01:00"
OFTEN = {**EACH_MINUTE, "agent": "claude", "retries": 0, "overlap": "allow"}


def tells(job: CronJob, _agents_dir: str) -> Meter:
    return TELLS[job.agent]


@contextmanager
def line_with(**budgets: Budget) -> Iterator[Timeline]:
    """`budgets`: those of all jobs, by `day` and `month`."""
    settings = Config(budget=Budgets(**budgets), disable_after_failures=0)
    with timeline(settings, Purse(lambda: BERLIN, tells)) as made:
        yield made


def said(tokens: int | None = None, usd: float | None = None) -> dict[str, Any]:
    return {"usage": USED, "spending": Spending(input_tokens=tokens, cost_usd=usd, turns=1)}


def whys(line: Timeline, name: str = "job") -> list[str]:
    return [run.error for run in line.stored(name) if run.reason is Reason.BUDGET_EXCEEDED]


def minutes(line: Timeline, count: int, **end: Any) -> None:
    """Let occurrences come, one a minute; each run ends at once and says this."""
    for _ in range(count):
        before = len(line.spawn.runners)
        line.pass_by(60)
        if len(line.spawn.runners) > before:
            line.end(**end)


def test_over_a_cap_occurrences_are_skipped_until_the_day_of_the_host_is_over() -> None:
    with line_with() as line:
        line.add(**{**OFTEN, "cron_expr": "0-4,59 12,22,23 * * *"}, per_day=Budget(runs=2))
        minutes(line, 4, **said())
        assert line.ends() == ["completed", "completed", "skipped budget_exceeded", "skipped budget_exceeded"]
        assert whys(line)[0] == f"The job has used 2 of 2 runs today; it resumes at {MIDNIGHT}."
        line.until(datetime.fromisoformat(MIDNIGHT) - timedelta(seconds=1))
        assert len(line.spawn.runners) == 2
        line.pass_by(1)
        assert len(line.spawn.runners) == 3
        assert line.stored()[-1].counts_on == datetime.fromisoformat(MIDNIGHT).date()


CAPS: dict[str, tuple[dict[str, Any], dict[str, Any], int, str]] = {
    # What the job and all jobs have, what each run says, how many start, and why the next one does not.
    "tokens of a day": (
        {"per_day": Budget(tokens=1000)}, said(400), 3,
        f"The job has used 1,200 of 1,000 tokens today; it resumes at {MIDNIGHT}.",
    ),
    "a run's cap has to fit": (
        {"per_day": Budget(tokens=1000), "max_tokens": 300}, said(250), 3,
        f"The job has used 750 of 1,000 tokens today, and a run may take 300; it resumes at {MIDNIGHT}.",
    ),
    "money of a month": (
        {"per_month": Budget(cost_usd=1)}, said(usd=0.5), 2,
        "The job has used 1.00 USD of 1.00 USD this month; it resumes at 2026-12-01T00:00:00+01:00.",
    ),
    "the later of two": (
        {"per_day": Budget(runs=2), "per_month": Budget(tokens=2)}, said(1), 2,
        "The job has used 2 of 2 tokens this month; it resumes at 2026-12-01T00:00:00+01:00.",
    ),
    "money of all jobs": (
        {"day": Budget(cost_usd=0.0025)}, said(usd=0.00125), 2,
        f"All jobs together have used 0.0025 USD of 0.0025 USD today; it resumes at {MIDNIGHT}.",
    ),
    "what an agent does not tell is not capped": ({"day": Budget(cost_usd=0.1), "agent": "codex"}, said(400), 5, ""),
    "nor is it by another's": ({"day": Budget(tokens=1), "agent": "command"}, said(), 5, ""),
    "a figure that nobody can mean counts as none said": (
        {"per_day": Budget(tokens=900), "max_tokens": 300}, said(-(10**6)), 3,
        f"The job has used 900 of 900 tokens today; it resumes at {MIDNIGHT}.",
    ),
    "nor is money that is no number": (
        {"per_day": Budget(cost_usd=0.9), "max_cost": 0.3}, said(1, float("nan")), 3,
        f"The job has used 0.90 USD of 0.90 USD today; it resumes at {MIDNIGHT}.",
    ),
}  # fmt: skip


def test_each_kind_of_cap_holds() -> None:
    for name, (given, end, starts, why) in CAPS.items():
        of_all = {key: given[key] for key in ("day", "month") if key in given}
        with line_with(**of_all) as line:
            line.add(**{**OFTEN, **{key: value for key, value in given.items() if key not in of_all}})
            minutes(line, 5, **end)
            assert (len(line.spawn.runners), whys(line)[:1]) == (starts, [why] if why else []), name


def test_what_is_said_counts_once_and_what_is_not_said_counts_as_the_whole_cap() -> None:
    with line_with() as line:
        line.add(**OFTEN, max_tokens=100, per_day=Budget(tokens=150))
        line.pass_by(60)
        line.end(usage=USED)  # it ran, and says nothing
        assert (line.stored()[0].charged_tokens, line.stored()[0].spending) == (100, None)
        minutes(line, 1)
        assert line.ends()[-1] == "skipped budget_exceeded"
    with line_with() as line:
        line.add(**OFTEN, max_tokens=100, per_day=Budget(tokens=150))
        line.pass_by(60)
        line.vanish()
        assert (line.ends()[0], line.stored()[0].charged_tokens) == ("failed runner_broke", 100)
    with line_with() as line:
        line.add(**OFTEN, max_tokens=100, per_day=Budget(tokens=150))
        line.pass_by(60)
        line.end(Reason.SANDBOX_UNAVAILABLE)  # no agent was started
        assert line.stored()[0].charged_tokens == 0


def test_two_runs_at_once_cannot_both_take_the_last_dollar() -> None:
    with line_with(day=Budget(cost_usd=1.0)) as line:
        line.add("one", **OFTEN, max_cost=0.75)
        line.add("two", **OFTEN, max_cost=0.75)
        line.pass_by(60)
        assert (line.ends("one"), line.ends("two")) == (["running"], ["queued"])
        [waiting] = line.core.waiting
        assert waiting.why == (
            "0.75 USD of 1.00 USD that all jobs may use today are used, or kept for runs that go on, "
            "and a run may take 0.75 USD"
        )
        line.end(**said(usd=0.25))  # what it did not use is free again
        assert (len(line.spawn.runners), line.ends("two")) == (2, ["running"])


def test_a_run_without_a_cap_takes_what_is_left_and_the_next_one_waits_for_it() -> None:
    with line_with(day=Budget(tokens=1000)) as line:
        line.add("one", **OFTEN, max_tokens=300)
        line.pass_by(60)
        line.end(**said(100))
        line.add("two", **{**OFTEN, "cron_expr": "2 12 * * *"})
        line.pause("one")
        line.pass_by(60)
        assert line.live().request.caps.tokens == 900
        line.resume("one")
        line.pass_by(60)
        assert line.ends("one")[-1] == "queued"
        line.end(number=1, **said(950))  # more than it might
        assert line.ends("one")[-1] == "skipped budget_exceeded"


def test_what_waits_for_another_runs_share_begins_with_a_new_day_and_is_skipped_when_its_grace_is_over() -> None:
    with line_with(day=Budget(runs=1)) as line:
        line.add("long", **{**OFTEN, "cron_expr": "58 22 * * *", "timeout_secs": 7200})
        line.until(NOON + timedelta(hours=10, minutes=58, seconds=1))
        line.add("next", **{**OFTEN, "cron_expr": "59 22 * * *", "grace_secs": 3600})
        line.until(NOON + timedelta(hours=11) - timedelta(seconds=1))
        assert (line.ends("long"), line.ends("next")) == (["running"], ["skipped budget_exceeded"])
    with line_with(day=Budget(tokens=10)) as line:
        line.add("long", **{**OFTEN, "cron_expr": "58 22 * * *", "timeout_secs": 7200})
        line.until(NOON + timedelta(hours=10, minutes=58, seconds=1))
        line.add("next", **{**OFTEN, "cron_expr": "59 22 * * *", "grace_secs": 3600})
        line.add("hasty", **{**OFTEN, "cron_expr": "59 22 * * *", "grace_secs": 10})
        line.until(NOON + timedelta(hours=11) - timedelta(seconds=1))
        assert (line.ends("long"), line.ends("next")) == (["running"], ["queued"])
        assert line.wake.wall == NOON + timedelta(hours=11)
        line.pass_by(1)
        assert (line.ends("next"), line.ends("hasty")) == (["running"], ["skipped budget_exceeded"])
        assert whys(line, "hasty")[0].startswith("It waited for longer than its grace: 10 of 10 tokens that all jobs")


def test_a_run_by_hand_is_refused_with_when_it_resumes() -> None:
    with line_with() as line:
        line.add(agent="claude", per_day=Budget(runs=1))
        line.run()
        line.end(**said())
        with pytest.raises(RefusedError) as refused:
            line.run()
        assert str(refused.value) == (
            f"Job job is not run now. The job has used 1 of 1 runs today; it resumes at {MIDNIGHT}."
        )
        assert line.ends() == ["completed"]
        line.core.configure(line.config)
        edits.edit(line.core, line.job().model_copy(update={"per_day": Budget(runs=2)}), line.clock.now())
        assert line.run().status.value == "queued"


def test_all_attempts_together_have_the_cap_of_the_run() -> None:
    with line_with() as line:
        line.add(**{**OFTEN, "retries": 5, "overlap": "skip"}, max_tokens=1000, max_cost=1.0, max_turns=4)
        line.pass_by(60)
        for tokens, usd in ((300, 0.25), (300, 0.5)):
            line.end(Reason.AGENT_ERROR, **said(tokens, usd))
            line.pass_by(10)
        caps = [(r.request.caps.tokens, r.request.caps.cost_usd, r.request.caps.turns) for r in line.spawn.runners]
        assert caps == [(1000, 1.0, 4), (700, 0.75, 3), (400, 0.25, 2)]
        line.end(Reason.AGENT_ERROR, **said(400, 0.1))
        run = line.stored()[0]
        assert run.error == "It failed. It is not tried again: all the tokens that it may use are used."
        assert run.spending == Spending(input_tokens=1000, cost_usd=0.85, turns=3)
        assert (run.charged_tokens, run.charged_usd) == (1000, 0.85)


def test_nobody_is_tried_again_whose_share_may_be_used_up() -> None:
    with line_with() as line:
        line.add(**{**OFTEN, "retries": 5}, max_tokens=1000)
        line.pass_by(60)
        line.vanish()
        assert line.stored()[0].error.endswith(
            "nobody knows what its last attempt used, and it may be all the tokens it had."
        )
        line.add("quota", **{**OFTEN, "retries": 5, "agent": "codex"}, max_tokens=1000)
        line.pause()
        line.pass_by(60)
        line.end(Reason.QUOTA_WAIT, usage=USED, retry_after_seconds=60.0)
        assert (line.ends("quota"), len(line.spawn.runners)) == (["failed quota_wait"], 2)


def test_an_answer_is_put_right_out_of_what_is_left() -> None:
    for used, attempts in ((60, [100, 40]), (100, [100])):
        with line_with() as line:
            line.add(**OFTEN, output_format="json", max_tokens=100)
            line.pass_by(60)
            line.end(Reason.INVALID_OUTPUT, answer_bytes=5, **said(used))
            assert [each.request.caps.tokens for each in line.spawn.runners] == attempts


def test_a_waiver_brings_no_second_attempt_whose_share_may_be_used_up() -> None:
    for caps, stands in (({"max_tokens": 100}, "unknown"), ({}, "running")):
        with line_with() as line:
            line.add(**{**OFTEN, "retries": 1, "rerun_unknown": True, "grace_secs": 600}, **caps)
            line.pass_by(60)
            line.open()
            run = line.stored()[0]
            assert (run.status.value, "how much of its cap" in run.error) == (stands, bool(caps))


def test_a_runner_that_cannot_be_started_spends_nothing() -> None:
    with line_with() as line:
        line.spawn.fails = "No process can be made."
        line.add(**{**OFTEN, "retries": 1, "overlap": "skip"}, max_tokens=1000)
        line.pass_by(60)
        line.spawn.fails = ""
        line.pass_by(5)
        assert line.live().request.caps.tokens == 1000


KILLED: dict[str, tuple[Callable[[Timeline], None], str, int]] = {
    "nobody knows how it ended": (lambda line: line.open(), "unknown supervisor_died", 600),
    "its result was on disk, and says nothing": (
        lambda line: (line.leave_result(Reason.OK), line.open())[1], "completed", 600,
    ),
    "it waits out a back-off": (
        lambda line: (line.end(Reason.AGENT_ERROR, **said(100)), line.open())[1], "running", 100,
    ),
}  # fmt: skip


def test_what_was_kept_for_a_run_is_known_again_after_a_kill_and_stays_a_charge() -> None:
    for name, (kill, stands, charged) in KILLED.items():
        with line_with(day=Budget(tokens=1000)) as line:
            line.add(**{**OFTEN, "retries": 3, "retry_delay": 300 * 10**9, "cron_expr": "1 12 * * *"}, max_tokens=600)
            line.add("next", **{**OFTEN, "cron_expr": "2 12 * * *"}, max_tokens=600)
            line.pass_by(60)
            kill(line)
            assert (line.ends(), line.stored()[0].charged_tokens) == ([stands], charged), name
            line.pass_by(60)
            expected = ["queued"] if stands == "running" else ["skipped budget_exceeded"]
            assert line.ends("next") == expected, name


def test_what_was_spent_outlives_compaction_pruning_and_the_job() -> None:
    with memory_folder() as root:
        store = RunsStore(root, keep=2)
        for number in range(40):
            facts = {"started_at": NOON, "counts_on": NOON.date(), "charged_tokens": 3, "agent": "claude"}
            begun = run_of(number, Status.RUNNING, **facts)
            store.record(begun)
            assert store.totals.in_day(NOON.date()).runs == number
            store.record(begun.moved(Status.COMPLETED, reason=Reason.OK, finished_at=NOON))
        history = file_of(store.home)
        assert len(history.read_bytes().splitlines()) < 80
        for whole, since, there in (
            (False, NOON.date(), True),
            (True, NOON.date(), True),
            (True, date(2026, 12, 1), False),
        ):
            store.expire(JOB, NOON + timedelta(days=1), whole=whole, since=since)
            assert history.exists() == there
            again = RunsStore(root, keep=2)
            assert again.totals.in_month(NOON.date()) == (Amount(40, 120, 0) if there else Amount())
            assert store.totals.in_month(NOON.date()) == Amount(40, 120, 0)


def test_a_budget_of_all_jobs_is_asked_without_reading_their_histories() -> None:
    with line_with(day=Budget(tokens=1000)) as line:
        line.add("one", **{**OFTEN, "cron_expr": "1 12 * * *"})
        line.pass_by(60)
        line.end(**said(400))
        file_of(line.runs.home, line.job("one").id).unlink()  # whoever looks there again, finds nothing
        line.add("two", **{**OFTEN, "cron_expr": "2 12 * * *"})
        line.pass_by(60)
        assert line.live().request.caps.tokens == 600


def test_a_replaced_run_is_not_ended_for_one_that_could_not_begin() -> None:
    with line_with() as line:
        line.add(**{**OFTEN, "overlap": "replace"}, per_day=Budget(tokens=1000), max_tokens=600)
        line.pass_by(120)
        assert line.ends() == ["running", "queued"]
        assert line.live().told == []


def test_runs_on_a_budget_of_none_are_never_asked_about_it() -> None:
    with line_with() as line:
        line.add(**OFTEN)
        line.pass_by(60)
        run: CronRun = line.stored()[0]
        assert (run.caps.tokens, run.caps.cost_usd, run.charged_tokens, run.counts_on) == (None, None, 0, NOON.date())
