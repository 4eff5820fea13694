"""What one pick has found so far, in an output that is still being read: as little of it as has to be kept."""

from __future__ import annotations

import json
import math
import re

from runner import pointer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from shared.reading import Pick

FIGURE_MOST = 10**15
"""More tokens, dollars or seconds than anybody means."""
ONCE_MOST = 4096
"""Ids that are remembered. Those that come again come soon."""
SEARCHED_MOST = 64 << 10
SEARCH_SECONDS = 2.0
WORD_MOST = 256
PIECES_MOST = 256
"""A short text takes far more memory than its characters."""
CUT = "\n[cut]\n"


class Gathering:
    """Common to all: which values are looked at, and where in them. `settled`: nothing can change it any more."""

    def __init__(self, pick: Pick) -> None:
        self.pick = pick
        self._path = pointer.parts(pick.pointer)
        self._pattern = re.compile(pick.pattern) if pick.pattern else None
        self.found = self.settled = False

    def take(self, value: object) -> None:
        """Look at a value that meets the pick's `where`."""
        if self.settled:
            return
        found = pointer.found(value, self._path)
        if self._pattern is not None:
            found = [match for each in found for match in self._matches(each)]
        if found or self.pick.add:
            self._keep(found, value)

    def _matches(self, value: object) -> tuple[str, ...]:
        assert self._pattern is not None
        text = pointer.written(value)
        match = self._searched(self._pattern, text[:SEARCHED_MOST]) if text is not None else None
        if match is None:
            return ()
        return (match[1] or "",) if match.re.groups else (match[0],)

    def _searched(self, pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
        from runner.answers import alarm

        try:
            with alarm(SEARCH_SECONDS):
                return pattern.search(text)
        except TimeoutError:
            # Over a text made for it a pattern can run for ever, and the run's clocks would not be looked at. What is
            # to come may be made of such texts: this one is not asked again.
            self.settled = True
            return None

    def _keep(self, found: list[object], value: object) -> None:
        raise NotImplementedError

    @property
    def _first(self) -> bool:
        return self.pick.take == "first"


class Sight(Gathering):
    """Whether there is anything at all."""

    def _keep(self, found: list[object], value: object) -> None:
        del value
        self.found = self.settled = bool(found)


class Text(Gathering):
    """A text; what is none is written as JSON. `most`: characters that are kept."""

    def __init__(self, pick: Pick, most: int = WORD_MOST) -> None:
        super().__init__(pick)
        self._most, self._room = most, most
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    def _keep(self, found: list[object], value: object) -> None:
        del value
        texts = [text for text in map(as_text, found) if text]
        if not texts:
            return
        self.found = True
        if self.pick.take == "join":
            self._join("".join(texts))
            return
        self._pieces, self._room = [], self._most
        self._join(texts[0] if self._first else texts[-1])
        self.settled = self._first

    def _join(self, text: str) -> None:
        if len(text) > self._room:
            text, self.settled = text[: max(0, self._room - len(CUT))] + CUT, self.pick.take == "join"
        self._pieces.append(text)
        self._room -= len(text)
        if len(self._pieces) >= PIECES_MOST:
            self._pieces = [self.text]


class Truth(Gathering):
    """Whether it is so. `text`: what stands there, where that is a text."""

    def __init__(self, pick: Pick) -> None:
        super().__init__(pick)
        self.text = ""

    def _keep(self, found: list[object], value: object) -> None:
        del value
        if not found:
            return
        if self.pick.take in ("first", "last"):
            found = [found[0 if self._first else -1]]
            self.settled = self._first
        elif self.found:
            return
        true = [each for each in found if each]
        self.found, self.text = bool(true), next((each[:WORD_MOST] for each in true if isinstance(each, str)), "")


class Json(Gathering):
    """A value, written as JSON: that takes less memory. None: there was none that can be."""

    def __init__(self, pick: Pick) -> None:
        super().__init__(pick)
        self.written: str | None = None

    def _keep(self, found: list[object], value: object) -> None:
        del value
        if found and found[-1] is not None:
            self.written = as_json(found[0 if self._first else -1])
            self.found = self.written is not None
            self.settled = self._first


class Figure(Gathering):
    """A number, of which nobody believes that it is one before it was looked at."""

    def __init__(self, pick: Pick) -> None:
        super().__init__(pick)
        self._add = tuple(map(pointer.parts, pick.add))
        self._once = pointer.parts(pick.once) if pick.once else None
        self._of_id: dict[str, float] = {}
        self.figure: float | None = None

    def _keep(self, found: list[object], value: object) -> None:
        amount = self._amount(found, value)
        if amount is None:
            return
        self.found = True
        if self.pick.take in ("sum", "count"):
            self.figure = bounded((self.figure or 0) + amount - self._said_before(value, amount))
        else:
            self.figure, self.settled = amount, self._first

    def _amount(self, found: list[object], value: object) -> float | None:
        if self.pick.take == "count":
            return len(found) or None
        figures = [number for number in map(as_figure, found) if number is not None]
        if self.pick.take != "sum":
            figures = figures[:1] if self._first else figures[-1:]
        more = [as_figure(each) for path in self._add for each in pointer.found(value, path)]
        figures += [number for number in more if number is not None]
        return bounded(sum(figures)) if figures else None

    def _said_before(self, value: object, amount: float) -> float:
        """What was counted already of the same id."""
        if self._once is None:
            return 0
        key = next((text for text in map(pointer.written, pointer.found(value, self._once)) if text), None)
        if key is None:
            return 0
        before = self._of_id.pop(key[:WORD_MOST], 0)
        if len(self._of_id) >= ONCE_MOST:
            del self._of_id[next(iter(self._of_id))]
        self._of_id[key[:WORD_MOST]] = amount
        return before


def as_figure(value: object) -> float | None:
    """A number that can be meant; `true` is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return bounded(value) if value >= 0 and value != math.inf else None


def bounded(value: float) -> float:
    return min(value, FIGURE_MOST)


def as_text(value: object) -> str:
    """A string as it is, anything else as JSON; `null`, and what cannot be written, as nothing."""
    if isinstance(value, str):
        return value
    return "" if value is None else as_json(value) or ""


def as_json(value: object) -> str | None:
    try:
        return json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return None
