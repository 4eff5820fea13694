"""Whether one more run fits into budgets: sums that never pass a cap, days that end, figures that are believed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.findings import Spending
from shared.messages import Caps
from shared.reasons import Reason
from supervisor.budgets import charge, spendings
from supervisor.budgets.budget import Amount, Budget, Budgets, Meter, Over, Period, Standing, fits
from supervisor.budgets.metering import check_caps
from supervisor.budgets.money import micros, money, usd
from supervisor.budgets.periods import day_of, next_day, next_month
from supervisor.budgets.spendings import Spendings, Totals
from supervisor.errors import InvalidError
from supervisor.models import CronRun
from supervisor.status import Status
from supervisor.stores.summary import Summary
from tests.fakes import NOON, make_job, make_result, make_run
from tests.timeline import USED

ALL = Meter(tokens=True, cost=True, turns=True)
TODAY = date(2026, 11, 24)

# ---- what fits

amounts = st.builds(Amount, st.integers(0, 5), st.integers(0, 500), st.integers(0, 3_000_000))
budgets = st.builds(
    Budget,
    runs=st.integers(0, 6),
    tokens=st.sampled_from((0, 1, 100, 400)),
    cost_usd=st.sampled_from((0.0, 0.000001, 0.3, 2.5)),
)
own = st.builds(Caps, tokens=st.sampled_from((None, 1, 100, 400)), cost_usd=st.sampled_from((None, 0.1, 0.3, 5.0)))
meters = st.sampled_from((ALL, Meter(tokens=True), Meter()))
Wishes = list[tuple[Caps, Meter, tuple[float, float], bool]]
wishes = st.lists(st.tuples(own, meters, st.tuples(st.floats(0, 1), st.floats(0, 1)), st.booleans()), max_size=30)


def standing(budget: Budget, spent: Amount, kept: Amount, period: Period = "day") -> Standing:
    return Standing("all", period, budget, spent, kept, next_day(NOON, UTC))


@given(budget=budgets, asked=wishes)
def test_whatever_is_asked_for_spent_and_kept_together_never_pass_a_cap(budget: Budget, asked: Wishes) -> None:
    """Runs that begin while others go on, and end with any share of what they may use, or never."""
    spent, live = Amount(), list[Amount]()
    for caps, meter, (tokens, cost), ends in asked:
        kept = sum(live, Amount())
        given_caps = fits([standing(budget, spent, kept)], caps, meter)
        if isinstance(given_caps, Over):
            continue
        for cap, wish in ((given_caps.tokens, caps.tokens), (given_caps.cost_usd, caps.cost_usd)):
            assert cap is None or cap > 0, "a run may begin that may use nothing"
            assert cap is None or wish is None or cap <= wish
        run = make_run(status=Status.RUNNING, caps=given_caps)
        live.append(charge.kept(run.noted(**charge.claimed(run))))
        if ends:
            said = Spending(
                input_tokens=int((given_caps.tokens or 0) * tokens), cost_usd=(given_caps.cost_usd or 0) * cost
            )
            ended = run.noted(**charge.told(run, make_result(usage=USED, spending=said)))
            live.pop()
            spent += Amount(1, ended.charged_tokens, micros(ended.charged_usd))
        for unit, cap in standing(budget, spent, Amount()).units():
            assert spent.of(unit) + sum(live, Amount()).of(unit) <= cap, unit


@given(budget=budgets, spent=amounts, kept=amounts, caps=own)
def test_what_is_refused_has_its_reason_and_what_is_held_would_fit_alone(
    budget: Budget, spent: Amount, kept: Amount, caps: Caps
) -> None:
    found = fits([standing(budget, spent, kept)], caps, ALL)
    alone = fits([standing(budget, spent, Amount())], caps, ALL)
    if isinstance(found, Over):
        runs_are_out = budget.runs and spent.runs + kept.runs >= budget.runs  # live ones are runs, and held by nobody
        assert isinstance(alone, Caps if found.held or (runs_are_out and isinstance(alone, Caps)) else Over)
        assert found.resumes > NOON
    else:
        assert isinstance(alone, Caps)
        assert (alone.tokens or 0) >= (found.tokens or 0)


def test_nothing_is_capped_without_a_budget_or_a_word_of_the_agent() -> None:
    assert fits([], Caps(turns=3), ALL) == Caps(turns=3)
    spent = standing(Budget(tokens=10, cost_usd=1.0), Amount(9, 10, 1_000_000), Amount())
    assert fits([spent], Caps(), Meter()) == Caps()
    assert fits([], Caps(tokens=5, cost_usd=1.0), Meter(tokens=True)) == Caps(tokens=5)
    assert isinstance(fits([spent], Caps(), Meter(cost=True)), Over)


def test_who_would_never_fit_may_use_as_much_as_there_is() -> None:
    assert fits([standing(Budget(cost_usd=3.0), Amount(), Amount())], Caps(cost_usd=5.0), ALL) == Caps(cost_usd=3.0)


# ---- what is charged

ONE = Spending(input_tokens=100, output_tokens=20, cached_tokens=50, cost_usd=0.25, turns=2)


def test_only_figures_that_can_be_meant_are_believed() -> None:
    run = make_run(status=Status.RUNNING, caps=Caps(tokens=1000, cost_usd=1.0))
    run = run.noted(**charge.claimed(run))
    # What its agent says, and what counts: all that it may use for what nobody can mean.
    table = (
        (ONE, (120, 0.25)),
        (None, (1000, 1.0)),
        (Spending(), (1000, 1.0)),
        (Spending(input_tokens=-5, output_tokens=1, cost_usd=-1.0), (1, 1.0)),
        (Spending(input_tokens=10**30, cost_usd=float("inf")), (1000, 1.0)),
        (Spending(output_tokens=7, cost_usd=float("nan")), (7, 1.0)),
        (Spending(output_tokens=5000, cost_usd=2.0), (5000, 2.0)),
    )
    for said, counts in table:
        ended = run.noted(**charge.told(run, make_result(usage=USED, spending=said)))
        assert (ended.charged_tokens, ended.charged_usd) == counts, said
        CronRun.model_validate_json(ended.model_dump_json())  # it can be stored
    for result, counted in (
        (make_result(Reason.SANDBOX_UNAVAILABLE), 0),
        (make_result(Reason.TIMEOUT_SETUP), 0),
        (make_result(Reason.NOTHING_TO_DO, usage=USED), 0),
        (make_result(Reason.RUNNER_BROKE), 1000),
        (make_result(Reason.TIMEOUT_WALL, usage=USED), 1000),
    ):
        assert run.noted(**charge.told(run, result)).charged_tokens == counted, result.reason


def test_why_no_attempt_follows_is_one_plain_sentence() -> None:
    for caps, spending, words in (
        (Caps(cost_usd=0.25), ONE, "all the money that it may use is used."),
        (Caps(tokens=120), ONE, "all the tokens that it may use are used."),
        (Caps(turns=2), ONE, "all the turns that it may use are used."),
        (Caps(tokens=120), None, "it may be all the tokens it had."),
    ):
        run = make_run(status=Status.RUNNING, caps=caps)
        run = run.noted(**charge.claimed(run))
        run = run.noted(**charge.told(run, make_result(usage=USED, spending=spending)))
        assert (charge.used_up(run) or "").endswith(words), caps
    assert charge.used_up(make_run(status=Status.RUNNING, caps=Caps(tokens=121), spending=ONE)) is None


def test_what_was_ended_after_it_had_said_a_part_is_charged_that_part_and_what_it_never_said_whole() -> None:
    run = make_run(status=Status.RUNNING, caps=Caps(tokens=1000, cost_usd=0.5))
    run = run.noted(**charge.claimed(run))
    for reason in (Reason.TIMEOUT_WALL, Reason.CANCELED_BY_USER, Reason.OUT_OF_MEMORY, Reason.KILLED_BY_SIGNAL):
        for said, counts in (
            (Spending(input_tokens=30, cost_usd=0.1), (30, 0.1)),
            (Spending(input_tokens=30), (30, 0.5)),  # as claude, which says what it costs at its end
            (Spending(turns=3), (1000, 0.5)),
        ):
            ended = run.noted(**charge.told(run, make_result(reason, usage=USED, spending=said)))
            assert (ended.charged_tokens, ended.charged_usd) == counts, (reason, said)


def test_what_is_said_of_an_attempt_is_added_and_what_the_agent_is_is_kept() -> None:
    run = make_run(status=Status.RUNNING)
    first = make_result(usage=USED, spending=ONE, model="m" * 999, agent_version="1.0", conversation="c")
    run = run.noted(**charge.told(run, first))
    run = run.noted(**charge.told(run, make_result(usage=USED, spending=ONE, spent_in_all=ONE)))
    twice = Spending(input_tokens=200, output_tokens=40, cached_tokens=100, cost_usd=0.5, turns=4)
    assert (run.spending, run.spent_in_all, len(run.model)) == (twice, ONE, charge.MOST_CHARS)
    assert (run.agent_version, run.conversation, run.charged_tokens) == ("1.0", "c", 240)


# ---- what is remembered


def spent_run(number: int, day: date, **fields: object) -> CronRun:
    facts = {"status": Status.COMPLETED, "reason": Reason.OK, "started_at": NOON, "agent": "claude", "counts_on": day}
    return make_run(**{"id": f"run-{number}", **facts, "spending": ONE, "charged_tokens": 120, **fields})


def test_a_run_is_counted_once_when_it_is_over_and_a_skip_never() -> None:
    summary = Summary()
    for status, ended in ((Status.RUNNING, False), (Status.COMPLETED, False), (Status.COMPLETED, True)):
        reason = Reason.OK if status.final else None
        summary = summary.after(spent_run(1, TODAY, status=status, reason=reason), counted=True, ended=ended)
    skip = spent_run(2, TODAY, status=Status.SKIPPED, reason=Reason.NOTHING_TO_DO, spending=None, charged_tokens=0)
    summary = summary.after(skip, counted=False, ended=False)
    assert spendings.in_day(summary.spent, TODAY) == Amount(1, 120, 0)
    # Its first attempt used something, and the gate of its second had nothing to do.
    summary = summary.after(skip.noted(charged_tokens=7), counted=False, ended=False)
    assert spendings.in_day(summary.spent, TODAY) == Amount(1, 127, 0)
    assert Summary.model_validate_json(summary.model_dump_json()) == summary


def test_days_far_back_are_kept_as_months_and_every_sum_stays_right() -> None:
    found: Spendings = {}
    totals = Totals()
    days = [TODAY - timedelta(days=number) for number in range(200)]
    for number, day in enumerate(reversed(days)):
        run = spent_run(number, day, agent="codex" if number % 2 else "claude")
        found = spendings.added(found, run)
        totals.note(run)
    assert spendings.in_day(found, TODAY) == totals.in_day(TODAY) == Amount(1, 120, 0)
    for day in (TODAY, days[40], days[100]):
        count = sum(each.replace(day=1) == day.replace(day=1) for each in days)
        assert spendings.in_month(found, day) == totals.in_month(day) == Amount(count, 120 * count, 0), day
    assert len(found) < spendings.MOST_DAYS + 9
    assert sum(spent.runs for _, _, spent in spendings.since(found, days[-1].replace(day=1))) == 200
    assert sum(spent.runs for _, agent, spent in spendings.since(found, days[9]) if agent == "claude") == 5
    again = Totals()
    again.add(found)
    assert again.in_month(TODAY) == totals.in_month(TODAY)
    # A clock that was years ahead for a day takes nothing from the running month.
    ahead = spendings.added(found, spent_run(999, date(2036, 1, 1)))
    assert spendings.in_month(ahead, TODAY) == spendings.in_month(found, TODAY)


# ---- days, money, definitions


def test_a_day_begins_when_the_clocks_of_the_zone_say_so() -> None:
    # The zone, the instant (UTC), the day that it is, when the next day and the next month begin (UTC).
    table = (
        ("UTC", "2026-11-24T12:00", "2026-11-24", "2026-11-25T00:00", "2026-12-01T00:00"),
        ("Europe/Berlin", "2026-11-24T23:30", "2026-11-25", "2026-11-25T23:00", "2026-11-30T23:00"),
        ("Europe/Berlin", "2026-03-28T23:30", "2026-03-29", "2026-03-29T22:00", "2026-03-31T22:00"),  # 23 hours
        ("Europe/Berlin", "2026-10-24T22:30", "2026-10-25", "2026-10-25T23:00", "2026-10-31T23:00"),  # 25 hours
        ("America/Havana", "2026-03-07T12:00", "2026-03-07", "2026-03-08T05:00", "2026-04-01T04:00"),  # no midnight
        ("America/Havana", "2026-10-31T12:00", "2026-10-31", "2026-11-01T04:00", "2026-11-01T04:00"),  # two
        ("Asia/Kolkata", "2026-12-31T18:29", "2026-12-31", "2026-12-31T18:30", "2026-12-31T18:30"),
        ("Pacific/Apia", "2011-12-29T12:00", "2011-12-29", "2011-12-30T10:00", "2011-12-31T10:00"),  # a day left out
    )
    for name, text, day, following, month in table:
        now, zone = datetime.fromisoformat(text).replace(tzinfo=UTC), ZoneInfo(name)
        begins = [at.astimezone(UTC).isoformat()[:16] for at in (next_day(now, zone), next_month(now, zone))]
        assert (day_of(now, zone).isoformat(), *begins) == (day, following, month), (name, text)


@given(st.integers(0, 10**12))
def test_money_is_counted_exactly_and_never_as_less(count: int) -> None:
    assert micros(usd(count)) == count
    assert [micros(amount) for amount in (0.57, 1e-7, 2.0000001)] == [570_000, 1, 2_000_001]


def test_money_reads_as_people_write_it() -> None:
    table = {0.0: "0.00 USD", 4.8: "4.80 USD", 1234.5: "1,234.50 USD", 0.0123: "0.0123 USD", 0.000001: "0.000001 USD"}
    assert {amount: money(amount) for amount in table} == table


def test_a_cap_that_nobody_could_hold_is_refused_with_what_can_be_done() -> None:
    day = Budget(tokens=5)
    table: tuple[tuple[dict[str, object], Meter, str], ...] = (
        ({"max_cost": 1.0}, Meter(tokens=True), "does not tell what it costs, so max_cost cannot hold; cap its runs"),
        ({"per_month": Budget(cost_usd=1.0)}, Meter(tokens=True), "so per_month.cost_usd cannot hold"),
        ({"per_day": day}, Meter(), "does not tell how many tokens it uses, so per_day.tokens cannot hold"),
        ({"max_turns": 3}, Meter(tokens=True), "does not tell how many turns it takes"),
        ({"max_cost": 1.0, "max_turns": 3, "max_tokens": 4, "per_day": day}, ALL, ""),
        ({"per_day": Budget(runs=1)}, Meter(), ""),
    )
    for fields, meter, words in table:
        job = make_job(agent="codex", **fields)
        if not words:
            check_caps(job, meter)
            continue
        with pytest.raises(InvalidError) as refused:
            check_caps(job, meter)
        assert words in str(refused.value), fields


def test_budgets_say_whether_they_cap_anything() -> None:
    table = {Budgets(): False, Budgets(day=Budget(runs=1)): True, Budgets(month=Budget(cost_usd=0.1)): True}
    assert {budgets: budgets.any for budgets in table} == table
