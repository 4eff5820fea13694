"""Whether what an adapter says of an agent's output can be gone by: what no type says of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from shared.reading import Pick, Reading
from shared.reasons import Reason
from supervisor.sentences import shown

_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
BLAMED = frozenset(
    {
        *(Reason.AGENT_ERROR, Reason.EMPTY_ANSWER, Reason.INVALID_OUTPUT, Reason.REFUSED, Reason.AUTH_FAILED),
        *(Reason.RATE_LIMITED, Reason.QUOTA_WAIT, Reason.PROVIDER_ERROR, Reason.NETWORK_DENIED),
        *(Reason.BLOCKED_APPROVAL, Reason.BUDGET_EXCEEDED, Reason.BAD_DEFINITION),
    }
)
"""What an agent can have failed of. A failure is never `ok`, and what cronward does it says itself."""
_CODE = re.compile(r"[0-9]{1,3}")


def unblamable(given: object) -> str:
    """What is wrong with a reason in what is given as a reading; nothing, where that is another check's. Asked before
    the type is, which would list all reasons that there are, and most of them no agent has."""
    blames = given.get("blame") if isinstance(given, dict) else None
    for blame in blames if isinstance(blames, list) else ():
        reason = blame.get("reason") if isinstance(blame, dict) else None
        if isinstance(reason, str) and reason not in {each.value for each in BLAMED}:
            return f"names {shown(reason)}, of which no agent fails: use one of {_blamed()}"
    return ""


def _blamed() -> str:
    return ", ".join(sorted(reason.value for reason in BLAMED))


def check_reading(reading: Reading) -> Reading:
    """The same, or ValueError with what is wrong in it."""
    for pointer in _pointers(reading):
        if not _POINTER.fullmatch(pointer):
            raise ValueError(f"has {pointer[:80]!r}, which is no JSON pointer: begin it with / (RFC 6901)")
    for pattern in (*(pick.pattern for pick in _picks(reading)), *(blame.words for blame in reading.blame)):
        _check_pattern(pattern)
    for blame in reading.blame:
        if blame.reason not in BLAMED:
            raise ValueError(f"blames {blame.reason.value}, of which no agent fails: use one of {_blamed()}")
        if not blame.words and not blame.codes:
            raise ValueError(f"blames {blame.reason.value} on everything: give `words` or `codes`")
    for code in reading.codes:
        if not _CODE.fullmatch(code):
            raise ValueError(f"has {code[:80]!r} in `codes`, which is no exit code: use 0 to 255")
    if reading.format == "text" and any(_pointers(reading, ("stdout",))):
        raise ValueError("is of the format text, in which nothing can be pointed to: say json or jsonl")
    return reading


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"has {pattern[:80]!r}, which is no regular expression: {error}") from None


def _pointers(reading: Reading, streams: tuple[str, ...] = ("stdout", "stderr")) -> Iterator[str]:
    for pick in _picks(reading):
        if pick.stream in streams:
            yield from (pick.pointer, *pick.where, *pick.add, pick.once)
    for event in reading.events:
        yield from (event.each, event.text, event.name, event.command, event.path, event.failed)
        yield from (*event.where, *event.item)


def _picks(reading: Reading) -> Iterator[Pick]:
    for name in reading.__dataclass_fields__:
        value = getattr(reading, name)
        yield from (pick for pick in (value if isinstance(value, tuple) else (value,)) if isinstance(pick, Pick))
