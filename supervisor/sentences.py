"""Turns what pydantic found wrong into sentences for the person who wrote it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from shared.record import Record, types_of

SHOWN = 80
PROBLEMS = 5
FEW = 8
"""So many keys are named where none of them is near."""
_LONG_BITS = 1024
HIDDEN = frozenset(
    {"prompt", "output_schema", "response", "error", "env", "upstream_proxy", "secrets", "webhook_token"}
)
"""Fields whose values are never repeated: an error text is not where a prompt or an answer belongs."""


def sentence(error: ValidationError, what: str, model: type[BaseModel] | None = None) -> str:
    """One sentence per problem, each naming `what`, the key and the value. `model`: where to look for a nearest key."""
    problems = error.errors(include_url=False, include_context=False)
    said = [_problem(problem["type"], problem["loc"], problem["msg"], problem["input"], model) for problem in problems]
    left = len(said) - PROBLEMS
    more = f" And {left} more." if left > 0 else ""
    return " ".join(f"{what}: {text}" for text in said[:PROBLEMS]) + more


def shown(value: object) -> str:
    """The value as it can be shown on any terminal, cut where it is long."""
    if isinstance(value, int) and value.bit_length() > _LONG_BITS:  # Python refuses to write out so many digits
        return f"a number of {value.bit_length()} bits"
    # ascii(), not repr(): what is printable to Python may still turn a terminal's text around.
    text = ascii(value[: SHOWN + 1] if isinstance(value, str | bytes) else value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"


def suggestion(name: str, known: Iterable[str]) -> str:
    """` Did you mean …?`, or nothing where no known name is near."""
    near = difflib.get_close_matches(name[:SHOWN], list(known), n=1)
    return f" Did you mean `{near[0]}`?" if near else ""


def _problem(kind: str, loc: tuple[int | str, ...], message: str, value: object, model: type[BaseModel] | None) -> str:
    key = ".".join(str(part) for part in loc)
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        known = list(_names(model, loc[:-1])) if model else []
        few = f" Known: {', '.join(known)}." if 0 < len(known) <= FEW else ""
        return f"there is no key {shown(key)}.{suggestion(str(loc[-1]), known) or few}"
    name = f"`{key}`" if key.isprintable() and len(key) <= SHOWN else shown(key)
    if kind == "missing":
        return f"{name} is missing."
    text = _text(kind, message)
    if len(loc) > 2 and loc[-1] == "[key]":  # pydantic's way to say that a name is wrong, not what stands under it
        return f"the key {shown(loc[-2])} of `{'.'.join(str(part) for part in loc[:-2])}` {text}."
    subject = f"{name} " if key else ""
    # Without a key it is the whole that is wrong, and the whole is more than an error text should repeat.
    return f"{subject}{text}{_given(loc, value)}."


def _text(kind: str, message: str) -> str:
    text = message.removeprefix("Value error, ").removeprefix("Input ").rstrip(".")
    if text.startswith(("String ", "Value ")):
        text = text.partition(" ")[2]
    return "should be a group of keys" if kind in ("model_type", "dict_type", "model_attributes_type") else text


def _given(loc: tuple[int | str, ...], value: object) -> str:
    if not loc or HIDDEN.intersection(str(part) for part in loc) or isinstance(value, dict | list):
        return ""
    return f", not {shown(value)}"


def _names(model: type[BaseModel], loc: tuple[int | str, ...]) -> Iterator[str]:
    inner: Any = model
    for part in loc:
        if isinstance(part, int):  # one of a list: all of them are alike
            continue
        if get_origin(inner) is dict:  # its keys are anybody's
            inner = get_args(inner)[1]
            continue
        fields = _by_name(inner)
        if str(part) not in fields:
            return
        inner = fields[str(part)]
    yield from _by_name(inner)


def _by_name(model: object) -> dict[str, Any]:
    for candidate in (model, *get_args(model)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return {field.alias or name: field.annotation for name, field in candidate.model_fields.items()}
        if isinstance(candidate, type) and issubclass(candidate, Record):
            return types_of(candidate)
    return {}
