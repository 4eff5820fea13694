"""What a run may still spend, and what of it counts against budgets. Pure.

While an attempt lives, all that its run may spend counts, so that whatever becomes of it nothing is missed. When it has
ended and said what it used, that counts in its place; where it did not say, the whole stays. What was ended after it
had said a part, by its time or by its owner, counts for that part: an agent says it turn by turn, and so a turn at most
is missed, as one may be too much. The whole of a cap for a run that was canceled early would be a fine.
"""

from __future__ import annotations

from typing import Any

from shared.findings import Spending
from shared.messages import Caps, ExecuteResult
from shared.reasons import Reason
from supervisor.budgets.budget import MOST_TOKENS, Amount
from supervisor.budgets.money import MOST_USD, micros, usd
from supervisor.models import CronRun

NOTHING = Spending(input_tokens=0, output_tokens=0, cached_tokens=0, cost_usd=0.0, turns=0)
"""What an attempt has spent whose agent was surely not started."""
MOST_CHARS = 200
_NO_MODEL_CALLED = (Reason.NOTHING_TO_DO, Reason.GATE_FAILED)


def left(run: CronRun) -> Caps:
    """What the next attempt may spend of what all of them together may."""
    caps = run.caps
    turns = (run.spending.turns or 0) if run.spending is not None else 0
    return Caps(
        tokens=None if caps.tokens is None else max(0, caps.tokens - run.charged_tokens),
        cost_usd=None if caps.cost_usd is None else usd(max(0, micros(caps.cost_usd) - micros(run.charged_usd))),
        turns=None if caps.turns is None else max(0, caps.turns - turns),
    )


def used_up(run: CronRun) -> str | None:
    """Why no attempt may follow, in a sentence; None: there is something left for one."""
    rest = left(run)
    words = {"tokens": rest.tokens, "money": rest.cost_usd, "turns": rest.turns}
    gone = next((name for name, amount in words.items() if amount == 0), None)
    if gone is None:
        return None
    if gone != "turns" and is_assumed(run):
        return f"It is not tried again: nobody knows what its last attempt used, and it may be all the {gone} it had."
    return f"It is not tried again: all the {gone} that it may use {'is' if gone == 'money' else 'are'} used."


def claimed(run: CronRun) -> dict[str, Any]:
    """What counts from the claim of an attempt on: everything that its run may spend."""
    caps = run.caps
    return {
        "charged_tokens": max(run.charged_tokens, caps.tokens or 0),
        "charged_usd": max(run.charged_usd, caps.cost_usd or 0.0),
    }


def told(run: CronRun, result: ExecuteResult) -> dict[str, Any]:
    """What an attempt's end says about it, beside what it answered."""
    said = _said(result)
    spending = _sum(run.spending, said)
    tokens, cost = tokens_of(said), None if said is None else said.cost_usd
    return {
        "spending": spending,
        "charged_tokens": run.charged_tokens if tokens is None and run.caps.tokens else tokens_of(spending) or 0,
        "charged_usd": run.charged_usd if cost is None and run.caps.cost_usd else _cost_of(spending),
        "spent_in_all": _sane(result.spent_in_all) or run.spent_in_all,
        "model": result.model[:MOST_CHARS] or run.model,
        "agent_version": result.agent_version[:MOST_CHARS] or run.agent_version,
        "conversation": result.conversation[:MOST_CHARS] or run.conversation,
    }


def kept(run: CronRun) -> Amount:
    """What is kept for a run that is not over."""
    tokens = max(run.caps.tokens or 0, run.charged_tokens)
    return Amount(1, tokens, max(micros(run.caps.cost_usd or 0.0), micros(run.charged_usd)))


def is_assumed(run: CronRun) -> bool:
    """Whether more counts than its agent said."""
    more_tokens = run.charged_tokens > (tokens_of(run.spending) or 0)
    return more_tokens or micros(run.charged_usd) > micros(_cost_of(run.spending))


def tokens_of(spending: Spending | None) -> int | None:
    """Input and output together; None: neither was told."""
    if spending is None or (spending.input_tokens is None and spending.output_tokens is None):
        return None
    return (spending.input_tokens or 0) + (spending.output_tokens or 0)


def _cost_of(spending: Spending | None) -> float:
    return (spending.cost_usd or 0.0) if spending is not None else 0.0


def _said(result: ExecuteResult) -> Spending | None:
    """What the attempt used, by its agent's word or because no agent was started."""
    said = _sane(result.spending)
    if said is None and (_never_started(result) or result.reason in _NO_MODEL_CALLED):
        return NOTHING
    return said


def _never_started(result: ExecuteResult) -> bool:
    # A runner that broke, or left no result, knows nothing of its agent.
    return result.usage is None and result.reason is not Reason.RUNNER_BROKE


def _sane(said: Spending | None) -> Spending | None:
    """Without figures that nobody can mean: an agent's output may be anybody's words, and no run earns money."""
    if said is None:
        return None
    counts = {
        name: count if count is not None and 0 <= count <= MOST_TOKENS else None
        for name, count in (
            ("input_tokens", said.input_tokens),
            ("output_tokens", said.output_tokens),
            ("cached_tokens", said.cached_tokens),
            ("turns", said.turns),
        )
    }
    cost = said.cost_usd
    sane = cost is not None and 0 <= cost <= MOST_USD  # neither NaN nor infinity is
    return Spending(**counts, cost_usd=cost if sane else None)


def _sum(before: Spending | None, now: Spending | None) -> Spending | None:
    if before is None or now is None:
        return now or before
    cost = None if before.cost_usd is None and now.cost_usd is None else _cost_of(before) + _cost_of(now)
    return Spending(
        input_tokens=_plus(before.input_tokens, now.input_tokens),
        output_tokens=_plus(before.output_tokens, now.output_tokens),
        cached_tokens=_plus(before.cached_tokens, now.cached_tokens),
        cost_usd=None if cost is None else usd(micros(cost)),
        turns=_plus(before.turns, now.turns),
    )


def _plus(before: int | None, now: int | None) -> int | None:
    return now if before is None else before if now is None else before + now
