"""What has to become of each thing that a provider may say, agent by agent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SCHEMA = """{
  "type": "object",
  "properties": {"mood": {"enum": ["good", "bad"]}, "level": {"type": "integer", "minimum": 0, "maximum": 9}},
  "required": ["mood", "level"],
  "additionalProperties": false
}"""
STRUCTURED = {"output_format": "structured", "output_schema": SCHEMA}
CAP = 900_000
"""Tokens: more than any of it uses."""
SOME, ANY = -1, -2


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
    answers: int = 0
    """Of how many answers of the model the run has the tokens, by its record, for all but those in `but_answers`. 0:
    the agent tells of none. SOME: of as many as there was time for; ANY: it depends on which of its own tries was the
    last."""
    but_answers: dict[str, int] = field(default_factory=dict)
    asked: int = 1
    """How often the provider has to have been asked at least, or it was not this that ended the run; of those in `but`
    once."""
    response: str | None = None
    weak: dict[str, str] = field(default_factory=dict)
    """Of an agent that ends otherwise than the rest, why: in the words of docs/agents.md."""
    quick: tuple[str, ...] = ()
    """The agents with which it is tried even where time is short."""

    def reason_of(self, agent: str) -> str:
        return self.but.get(agent, self.reason)

    def draft_of(self, agent: str) -> dict[str, Any]:
        return {**self.draft, **self.but_draft.get(agent, {})}

    def words_of(self, agent: str) -> str:
        return self.but_words.get(agent, self.words)

    def asked_of(self, agent: str) -> int:
        return 1 if agent in self.but else self.asked

    def answers_of(self, agent: str) -> int:
        return self.but_answers.get(agent, self.answers)


QUICK = ("claude", "codex", "llm")
# Their starts take longer.
SLOW: dict[str, dict[str, Any]] = {"gemini": {"timeout_secs": 15}, "opencode": {"timeout_secs": 25}}
TIMED = {"timeout_secs": 10, "max_tokens": CAP}
# Nothing else of its adapter's ends it.
ENDLESS: dict[str, Any] = {"but": {"opencode": "timeout_wall"}, "but_draft": {"opencode": SLOW["opencode"]}}
FOR_EVER = {"opencode": "its own tries after a server's error or a broken stream go on"}
TOOLLESS = {"llm": "A model without tools"}
TABLE: dict[str, Case] = {
    "answer": Case("ok", answers=1, response="Hello from the stub.", quick=QUICK),
    "json": Case("ok", draft={"output_format": "json"}, answers=1),
    "schema": Case("ok", draft=STRUCTURED, answers=1, quick=("claude",)),
    # claude asks its model five times more by itself before it gives up.
    "schema-unmet": Case("invalid_output", draft=STRUCTURED, answers=2, but_answers={"claude": 12}),
    "schema-repaired": Case("ok", draft=STRUCTURED, answers=2, but_answers={"claude": 7}),
    "401": Case("auth_failed", words="invalid x-api-key", but_words={"claude": "Invalid API key"}, quick=QUICK),
    "403": Case("auth_failed", words="this key may not do that"),
    "429": Case("rate_limited", words="429", but_words={"gemini": "rate limit", "opencode": "rate limit"}, asked=2),
    "500": Case("provider_error", **ENDLESS, weak=FOR_EVER, asked=2),
    "cut": Case("provider_error", **ENDLESS, but_answers={"claude": ANY, "gemini": 4}, weak=FOR_EVER, asked=2),
    "cut-quietly": Case("provider_error", **ENDLESS, but_answers={"claude": ANY, "gemini": 4}, weak=FOR_EVER),
    "empty": Case("empty_answer", answers=1, but_answers={"claude": 2, "gemini": 4}),
    "refusal": Case("refused", answers=1, but_answers={"claude": 2, "codex": 0, "gemini": 4}),
    "hang": Case("timeout_wall", draft=TIMED, but_draft=SLOW),
    "stall": Case("timeout_wall", draft=TIMED, but_draft=SLOW),
    "loop": Case(
        "timeout_wall",
        {"llm": "empty_answer"},
        draft=TIMED,
        but_draft=SLOW,
        but_answers={"claude": SOME, "opencode": SOME, "llm": 1},
        asked=3,
        weak=TOOLLESS,
    ),
}
