"""What a simulated attempt does, and the truth about it: whether it lives, and how it really ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from shared.findings import Spending, Usage
from shared.messages import ExecuteRequest
from shared.reasons import Reason

Key = tuple[str, int]
OBEYS_WITHIN = 5.0
HANGS_FROM = 4.0
"""Whoever takes longer than this to obey never says that it is ready."""
USED = Usage(wall_seconds=1.0, cpu_seconds=1.0, peak_rss_bytes=1, output_bytes=1)
ENDS = (
    *(Reason.OK, Reason.AGENT_ERROR, Reason.PROVIDER_ERROR, Reason.AUTH_FAILED, Reason.NOTHING_TO_DO, None),
    *(Reason.RATE_LIMITED, Reason.QUOTA_WAIT, Reason.INVALID_OUTPUT),
)
WEIGHTS = (10, 5, 2, 1, 1, 2, 1, 1, 3)
ASKED = (None, 20.0, 900.0, 7000.0, float("inf"))
"""How long a provider wants to be left alone, where it is what ends an attempt."""


@dataclass(eq=False)
class SimRunner:
    """One attempt. `ends_at`: monotonic, when it will; `result`: what it will say, None for nothing at all."""

    request: ExecuteRequest
    ends_at: float
    result: Reason | None
    deaf: bool
    clock: Callable[[], float]
    delay: float
    began: float
    alive: bool = True
    told: list[Reason] = field(default_factory=list)
    pid: int = 4711
    asked: float | None = None
    tool_called: bool = False
    agent: str = ""
    spent: Spending | None = None
    """What it says that it used; None: it says nothing, and may have used all that it may."""
    refused: bool = False
    """Whether there never was a process."""
    ready: bool = False
    """Whether it has said that it has its request. Some never do."""

    @property
    def said(self) -> dict[str, Any]:
        """What its result says beside the reason."""
        limited = self.result in (Reason.RATE_LIMITED, Reason.QUOTA_WAIT)
        words = "" if self.result is Reason.OK else "It failed."
        told: dict[str, Any] = {"error": words, "tool_called": self.tool_called, "usage": USED, "spending": self.spent}
        told["answer_bytes"] = 5 if self.result in (Reason.OK, Reason.INVALID_OUTPUT) else 0
        return {**told, "retry_after_seconds": self.asked if limited else None}

    @property
    def key(self) -> Key:
        return self.request.run_id, self.request.attempt

    def becomes_ready(self) -> bool:
        """Whether it says so now."""
        now_ready = self.alive and not self.ready and self.delay < HANGS_FROM
        self.ready = self.ready or now_ready
        return now_ready

    def stop(self, reason: Reason) -> None:
        """It obeys after a while, with this reason as its result, unless it hears nothing."""
        self.told.append(reason)
        if not self.deaf and self.clock() + self.delay < self.ends_at:
            self.ends_at, self.result = self.clock() + self.delay, reason

    def kill(self) -> None:
        """Nobody survives this, and nobody says anything any more."""
        self.ends_at, self.result = min(self.ends_at, self.clock()), None


def new_runner(request: ExecuteRequest, rng: Random, clock: Callable[[], float]) -> SimRunner:
    """One that takes a second to hours, ends in any way, keeps its own time or none, hears or does not."""
    now, wall = clock(), request.limits.wall_seconds
    lasts = rng.choice((0.0, 1.0, 20.0, 300.0, 2000.0, 50_000.0)) * rng.uniform(0.5, 1.5)
    deaf = rng.random() < 0.1
    result = rng.choices(ENDS, WEIGHTS)[0]
    if lasts > wall and not deaf:
        lasts, result = wall, Reason.TIMEOUT_WALL
    made = SimRunner(request, now + lasts, result, deaf, clock, rng.uniform(0.0, OBEYS_WITHIN), now)
    made.asked, made.tool_called = rng.choice(ASKED), rng.random() < 0.3
    if rng.random() < 0.8 and result is not Reason.NOTHING_TO_DO:
        share, caps = rng.choice((0.0, 0.1, 0.5, 1.0)), request.caps
        tokens, cost = int(share * (caps.tokens or 500)), round(share * (caps.cost_usd or 1.0), 6)
        made.spent = Spending(input_tokens=tokens, cost_usd=cost)
    return made
