"""Is the answer the JSON that was asked for? Hostile text, so everything here is bounded in size and time."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from shared.reasons import Reason

Json = dict[str, Any] | list[Any] | str | int | float | bool | None
JSON_MOST = 1 << 20
CHECK_SECONDS = 10.0
FENCE = re.compile(r"[ \t]*```[^`]*")
FENCE_END = re.compile(r"[ \t]*```[ \t]*")


class AnswerError(Exception):
    """What is wrong with the answer (or, for `bad_definition`, with the schema)."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


def check(whole: bytes | None, schema: str, hide: Callable[[str], str] = str) -> None:
    """Raises AnswerError. `whole`: None where it is longer than JSON_MOST. `schema`: empty for any JSON. `hide`: what
    is done to a text of the answer's before it is quoted."""
    if whole is None:
        raise AnswerError(Reason.INVALID_OUTPUT, f"The answer is longer than {JSON_MOST} bytes, too long for JSON.")
    value = parse(whole.decode("utf-8", "replace"))
    if schema:
        check_schema(value, schema, hide)


def parse(text: str) -> Json:
    """The value that is the whole text or its one fenced block. Raises AnswerError."""
    return found(text)[1]


def found(text: str) -> tuple[str, Json]:
    """The JSON in it, as it was written, and its value: what the agent says around its block is no part of the answer.
    Raises AnswerError."""
    try:
        return text, strict(text)
    except ValueError as whole_problem:
        blocks = fenced(text)
        if len(blocks) != 1:
            why = (
                f"it has {len(blocks)} fenced blocks, and nobody knows which one is meant" if blocks else whole_problem
            )
            raise AnswerError(Reason.INVALID_OUTPUT, f"The answer is not JSON: {why}.") from None
        try:
            return blocks[0], strict(blocks[0])
        except ValueError as problem:
            raise AnswerError(Reason.INVALID_OUTPUT, f"The answer's block is not JSON: {problem}.") from None


def json_text(whole: bytes) -> bytes:
    """The JSON in a good answer: what was checked, and nothing beside it. Raises AnswerError."""
    return found(whole.decode("utf-8", "replace"))[0].encode()


def fenced(text: str) -> list[str]:
    """What stands in its fenced blocks. Line by line: one expression for it all looks through the rest of the text for
    an end again from each of a hundred thousand beginnings, for hours, and nobody is told that the time is over."""
    found: list[str] = []
    begun, at = -1, 0
    for line in text.split("\n"):
        after = at + len(line) + 1
        if begun < 0:
            begun = after if FENCE.fullmatch(line) else -1
        elif FENCE_END.fullmatch(line):
            found.append(text[begun:at])
            begun = -1
        at = after
    return found


def strict(text: str) -> Json:
    """JSON as the standard has it: no NaN, no Infinity. Raises ValueError."""

    refused: list[str] = []

    def refuse(word: str) -> object:
        refused.append(word)
        raise ValueError

    try:
        value: Json = json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError:
        raise
    except ValueError:  # ours, or Python's own bound: reading so many digits takes time that grows as their square
        why = f"{refused[0]} is no JSON number" if refused else "it has a number of thousands of digits"
        raise ValueError(why) from None
    return value


def check_schema(value: Json, text: str, hide: Callable[[str], str] = str) -> None:
    """Against the owner's schema, with nothing fetched from anywhere. Raises AnswerError."""
    try:
        import jsonschema
        import referencing
    except ImportError as error:
        raise AnswerError(Reason.RUNNER_BROKE, f"The library that checks answers cannot be loaded: {error}.") from error
    schema = read_schema(text)
    validator = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        validator.check_schema(schema)
        # A registry of our own: the library's would fetch what a reference names, over the network.
        registry: referencing.Registry[Any] = referencing.Registry()
        with alarm(CHECK_SECONDS):
            found = jsonschema.exceptions.best_match(validator(schema, registry=registry).iter_errors(value))
    except jsonschema.SchemaError as error:
        raise AnswerError(
            Reason.BAD_DEFINITION, f"The job's output schema is no JSON schema: {brief(error)}."
        ) from None
    except referencing.exceptions.Unresolvable as error:
        raise AnswerError(
            Reason.BAD_DEFINITION, f"The job's output schema refers to what is not in it: {error}."
        ) from error
    except RecursionError:
        raise AnswerError(Reason.INVALID_OUTPUT, "The answer is nested too deeply to check.") from None
    except ArithmeticError:  # 1e999 is infinite, and no multiple of anything
        raise AnswerError(Reason.INVALID_OUTPUT, "The answer holds a number that cannot be checked.") from None
    except TimeoutError:
        sentence = f"The answer could not be checked within {CHECK_SECONDS:g} s."
        raise AnswerError(Reason.INVALID_OUTPUT, sentence) from None
    if found is not None:
        raise AnswerError(
            Reason.INVALID_OUTPUT,
            f"The answer does not meet the schema at {hide(found.json_path)}: {brief(found, hide)}.",
        )


def read_schema(text: str) -> dict[str, Any]:
    try:
        schema = strict(text)
    except ValueError as error:
        raise AnswerError(Reason.BAD_DEFINITION, f"The job's output schema is not JSON: {error}.") from None
    if not isinstance(schema, dict):
        raise AnswerError(Reason.BAD_DEFINITION, "The job's output schema is not a JSON object.")
    return schema


def brief(error: object, hide: Callable[[str], str] = str) -> str:
    """A schema error's own words, without the answer's whole text in them."""
    message = hide(str(getattr(error, "message", error)))
    return message if len(message) <= 200 else f"{message[:100]} … {message[-60:]}"


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """TimeoutError after that long: a pattern in a schema can run for ever over a text made for it."""

    def ring(_number: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
