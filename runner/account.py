"""What an agent said of its own run, once its output was read: its word, bounded, and believed only so far."""

from __future__ import annotations

import re

from runner.gathering import as_figure
from shared.findings import Spending
from shared.record import NamedTuple, replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runner.gathering import Figure, Text
    from runner.reading import Reader

ASKED_MOST = 8 * 86400.0
"""No provider's quota takes longer to be back."""
CONVERSATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
"""It comes back in a command line: nothing that could be taken for an option, or for a path."""


class Account(NamedTuple):
    """`answer`: None where the whole output is the answer. `structured`: the object for the schema, as JSON; None where
    the agent gave none, or is not one that does (`gives_structured`). `failed` and `refused`: by its word, whatever its
    exit code. `words`: its own, on a failure; `marks`: the texts by which it is known to have failed. `status`: HTTP's.
    `left_out`: lines that were too long to be read."""

    answer: str | None = None
    gives_structured: bool = False
    structured: str | None = None
    done: bool = True
    failed: bool = False
    refused: bool = False
    words: str = ""
    marks: str = ""
    status: int | None = None
    retry_after: float | None = None
    spent_in_all: Spending | None = None
    model: str = ""
    version: str = ""
    conversation: str = ""
    left_out: int = 0


def account(reader: Reader) -> Account:
    """What there is in it now."""
    blamed = (truth for truth in (*reader.failed, *reader.refused) if truth.found and truth.text)
    structured = reader.structured
    status = number(reader.status)
    return Account(
        answer=text(reader.answer) if reader.answer else None,
        gives_structured=structured is not None,
        structured=structured.written if structured is not None else None,
        done=said_done(reader),
        failed=any(truth.found for truth in reader.failed),
        refused=any(truth.found for truth in reader.refused),
        words=text(reader.error),
        marks=" ".join(truth.text for truth in blamed),
        status=int(status) if status is not None and 100 <= status < 600 else None,
        retry_after=asked(number(reader.retry_after)),
        spent_in_all=spent(reader),
        model=text(reader.model).strip(),
        version=text(reader.version).strip(),
        conversation=conversation(text(reader.conversation)),
        left_out=reader.left_out,
    )


def said_done(reader: Reader) -> bool:
    """Whether it has said that it came to its end; true of one that never says so."""
    return all(sight.found for sight in reader.done)


def text(texts: Sequence[Text]) -> str:
    """The first that is not blank."""
    return next((each.text for each in texts if each.found and each.text.strip()), "")


def number(texts: Sequence[Text]) -> float | None:
    """The first that is one."""
    for each in texts:
        try:
            found = as_figure(float(each.text)) if len(each.text) < 40 else None
        except ValueError:
            continue
        if found is not None:
            return found
    return None


def asked(seconds: float | None) -> float | None:
    return seconds if seconds is not None and 0 < seconds <= ASKED_MOST else None


def conversation(found: str) -> str:
    return found if CONVERSATION.fullmatch(found) else ""


def spent(reader: Reader) -> Spending | None:
    """What it says that it used so far; None: it has not said."""
    given, answered, cached = (first(each) for each in reader.tokens)
    cost, turns = first(reader.cost), first(reader.turns)
    if given is answered is cached is cost is turns is None:
        return None
    return Spending(
        input_tokens=whole(given),
        output_tokens=whole(answered),
        cached_tokens=whole(cached),
        cost_usd=float(cost) if cost is not None else None,
        turns=whole(turns),
    )


def first(figures: Sequence[Figure]) -> float | None:
    return next((each.figure for each in figures if each.figure is not None), None)


def whole(figure: float | None) -> int | None:
    return None if figure is None else int(figure)


def since(said: Spending | None, before: Spending | None, cumulative: Sequence[str]) -> Spending | None:
    """What a run itself used, of figures that count from the beginning of its conversation: never less than nothing."""
    if said is None or before is None:
        return said
    if "tokens" in cumulative:
        said = replace(
            said,
            input_tokens=less(said.input_tokens, before.input_tokens),
            output_tokens=less(said.output_tokens, before.output_tokens),
            cached_tokens=less(said.cached_tokens, before.cached_tokens),
        )
    if "cost" in cumulative and said.cost_usd is not None:
        said = replace(said, cost_usd=max(0.0, said.cost_usd - (before.cost_usd or 0.0)))
    return said


def less(said: int | None, before: int | None) -> int | None:
    return None if said is None else max(0, said - (before or 0))
