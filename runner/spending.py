"""Whether an agent has spent more than its attempt may."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shared.findings import Spending
    from shared.messages import Caps


def over(caps: Caps, spent: Spending | None) -> str:
    """Why it has to end, in a sentence with figures; empty: it is within its caps, as far as it says."""
    if spent is None:
        return ""
    tokens = (spent.input_tokens or 0) + (spent.output_tokens or 0)
    if caps.tokens is not None and tokens > caps.tokens:
        return f"It had used {tokens} tokens, and may use {caps.tokens}."
    if caps.cost_usd is not None and (spent.cost_usd or 0) > caps.cost_usd:
        return f"It had cost {spent.cost_usd:.4f} USD, and may cost {caps.cost_usd:.4f}."
    if caps.turns is not None and (spent.turns or 0) > caps.turns:
        return f"It had taken {spent.turns} turns, and may take {caps.turns}."
    return ""
