"""What has to become of each thing that a provider may say, agent by agent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.providers.scenario import MEETS

SCHEMA = """{
  "type": "object",
  "properties": {"mood": {"enum": ["good", "bad"]}, "level": {"type": "integer", "minimum": 0, "maximum": 9}},
  "required": ["mood", "level"],
  "additionalProperties": false
}"""
STRUCTURED = {"output_format": "structured", "output_schema": SCHEMA}


@dataclass(frozen=True)
class Case:
    """`reason`: of all agents but those in `but`; `draft`: what the job is beside the usual."""

    reason: str
    but: dict[str, str] = field(default_factory=dict)
    draft: dict[str, Any] = field(default_factory=dict)
    but_draft: dict[str, dict[str, Any]] = field(default_factory=dict)
    words: str = ""
    """What the run's error has to quote, of all but those in `but_words`."""
    but_words: dict[str, str] = field(default_factory=dict)
    answers: int | None = None
    """How many answers of the model the reported tokens are for; None: not looked at."""
    response: str | None = None
    quick: tuple[str, ...] = ()
    """The agents with which it is tried even where time is short."""

    def reason_of(self, agent: str) -> str:
        return self.but.get(agent, self.reason)

    def draft_of(self, agent: str) -> dict[str, Any]:
        return {**self.draft, **self.but_draft.get(agent, {})}

    def words_of(self, agent: str) -> str:
        return self.but_words.get(agent, self.words)


QUICK = ("claude", "codex", "llm")
# It tries again for minutes, says nothing meanwhile, and cannot be told otherwise: the job's time is what ends it.
ENDLESS = {"opencode": {"timeout_secs": 30}}
TABLE: dict[str, Case] = {
    "answer": Case("ok", answers=1, response="Hello from the stub.", quick=QUICK),
    "json": Case("ok", draft={"output_format": "json"}, answers=1),
    "schema": Case("ok", draft=STRUCTURED, quick=("claude",)),
    "schema-unmet": Case("invalid_output", draft=STRUCTURED),
    "schema-repaired": Case("ok", draft=STRUCTURED),
    "401": Case("auth_failed", words="invalid x-api-key", but_words={"claude": "Invalid API key"}, quick=QUICK),
    "403": Case("auth_failed", words="this key may not do that"),
    "429": Case("rate_limited"),
    "500": Case("provider_error", {"opencode": "timeout_wall"}, but_draft=ENDLESS),
    "cut": Case("provider_error", {"opencode": "timeout_wall"}, but_draft=ENDLESS),
    "cut-quietly": Case("provider_error", {"opencode": "timeout_wall"}, but_draft=ENDLESS),
    "stall": Case("timeout_wall", draft={"timeout_secs": 15}),
    "empty": Case("empty_answer"),
    "refusal": Case("refused"),
    "hang": Case("timeout_wall", draft={"timeout_secs": 15}),
    # Without tools there is no loop: what llm is told to call it does not have.
    "loop": Case("timeout_wall", {"llm": "empty_answer"}, draft={"timeout_secs": 15}),
}
FITTING = MEETS
