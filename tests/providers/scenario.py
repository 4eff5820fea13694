"""What a provider says, before it is put into anybody's form: decided by the prompt and by how far the run has come.

A prompt chooses by a line `scenario: NAME`. Lines `write: PATH` and `run: COMMAND` say what the tool call is to do, and
`answer: TEXT` what is answered.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

INPUT_TOKENS, OUTPUT_TOKENS = 1000, 20
"""Of each answer: what an agent reports has to be a multiple."""
MEETS = {"mood": "good", "level": 7}
ASKED_AGAIN = "your answer to it was not accepted"
"""What an agent is told that is to put its answer right: of the prompt only what it had answered is in that."""
RETRY_AFTER = 1
UNFINISHED = "This sentence is never"
_LINE = r"(?:^|\n|\")\s*{}:[ \t]*([^\n\"]+)"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the prompt says of it."""

    scenario: str = "answer"
    answer: str = "Hello from the stub."
    write: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of a model. With a `status`, an HTTP error instead."""

    text: str = ""
    command: str = ""
    """Have the shell tool run this."""
    status: int = 200
    message: str = ""
    kind: str = ""
    """Of the error, as the providers name it."""
    retry_after: int | None = None
    refused: bool = False
    cut: bool = False
    """The connection ends in the middle."""
    quietly: bool = False
    """It is cut where a client sees a body that is whole, as a proxy in between may have it: events are missing."""
    hang: bool = False
    """Nothing comes at all; of what is cut, nothing more."""
    fits: bool = False
    """The text is the object that was asked for, to be given the way in which the agent wants it."""


ERRORS = {
    "401": Reply(status=401, message="invalid x-api-key", kind="authentication_error"),
    "403": Reply(status=403, message="this key may not do that", kind="permission_error"),
    "429": Reply(status=429, message="rate limit of the stub", kind="rate_limit_error", retry_after=RETRY_AFTER),
    "500": Reply(status=500, message="the stub broke", kind="api_error"),
    "hang": Reply(hang=True),
    "cut": Reply(text=UNFINISHED, cut=True),
    "cut-quietly": Reply(text=UNFINISHED, cut=True, quietly=True),
    "stall": Reply(text=UNFINISHED, cut=True, hang=True),
    "empty": Reply(),
    "refusal": Reply(text="I cannot help with that.", refused=True),
}


def wanted(prompt: str) -> Wanted:
    """What the first such lines say."""
    found = {name: match[1].strip() for name in Wanted.__slots__ if (match := re.search(_LINE.format(name), prompt))}
    return Wanted(**found)


def reply(asked: Wanted, calls: int, repaired: bool = False) -> Reply:
    """The next answer, after so many tool calls. `repaired`: the prompt says what was wrong with the one before."""
    if asked.scenario in ERRORS:
        return ERRORS[asked.scenario]
    if asked.scenario in ("schema", "schema-unmet", "schema-repaired"):
        fits = asked.scenario == "schema" or (asked.scenario == "schema-repaired" and repaired)
        unfit = {"mood": "purple", "note": f"scenario: {asked.scenario}"}
        return Reply(text=json.dumps(MEETS if fits else unfit), fits=True)
    if asked.scenario == "json":
        return Reply(text='Here it is:\n```json\n{"mood": "good"}\n```\n')
    if asked.scenario == "loop":
        return Reply(command=f"sleep 0.2; echo round {calls}")  # or the bound on requests would end it
    if asked.scenario == "tool" and calls == 0:
        return Reply(command=asked.run or f"printf stub > '{asked.write}'")
    return Reply(text=asked.answer)
