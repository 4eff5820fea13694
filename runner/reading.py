"""Applies a `Reading` to what an agent writes, in one pass, while it writes.

Every byte of it is hostile: a line has a greatest length, a value is looked at once and forgotten but for what the
picks keep of it, and what cannot be parsed was not there. Lines that can matter to nobody are not even parsed.
"""

from __future__ import annotations

import json
import re
from itertools import islice

from runner import interest, pointer
from runner.gathering import Figure, Gathering, Json, Sight, Text, Truth
from runner.lines import Lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runner.interest import Needles
    from runner.pointer import Where
    from shared.reading import Pick, Reading

ANSWER_MOST = 1 << 20
"""Characters. No model writes that much at once."""
WORDS_MOST = 8192
DOCUMENT_MOST = 4 << 20
"""Bytes of the one document of an output in the format `json`: parsed, it may take forty times as much memory."""
TRIES_MOST = 16
DECODER = json.JSONDecoder(parse_constant=lambda _: None, strict=False)
BEGINNINGS = b"{["
BEGINNING = re.compile(r"^[ \t]*[\[{]", re.MULTILINE)


class Group:
    """Gatherings that look at the same values."""

    def __init__(self, where: Where, needs: Needles, gatherings: list[Gathering]) -> None:
        self.where, self.needs, self.gatherings = where, needs, gatherings

        self.settled = False

    def take(self, value: object) -> None:
        if self.settled or not self.where.meets(value):
            return
        for gathering in self.gatherings:
            gathering.take(value)
        self.settled = all(gathering.settled for gathering in self.gatherings)


class Reader:
    """The gatherings of one attempt, list by list as the reading has them; see `account` for what they come to."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.answer = [Text(pick, ANSWER_MOST) for pick in reading.answer]
        self.structured = Json(reading.structured) if reading.structured is not None else None
        self.done = [Sight(pick) for pick in reading.done]
        self.failed, self.refused = [[Truth(pick) for pick in each] for each in (reading.failed, reading.refused)]
        self.error = [Text(pick, WORDS_MOST) for pick in reading.error]
        # Both may be texts, as headers are.
        self.status, self.retry_after = [
            [Text(pick) for pick in each] for each in (reading.status, reading.retry_after)
        ]
        tokens = (reading.input_tokens, reading.output_tokens, reading.cached_tokens)
        self.tokens = [[Figure(pick) for pick in each] for each in tokens]
        self.cost, self.turns = [[Figure(pick) for pick in each] for each in (reading.cost_usd, reading.turns)]
        says = (reading.model, reading.version, reading.conversation)
        self.model, self.version, self.conversation = [[Text(pick) for pick in each] for each in says]
        self._out, self._err = grouped(self._all("stdout")), grouped(self._all("stderr"))
        self._events = [interest.in_values(each.where, (each.each,)) for each in reading.events]
        self._lines = Lines()
        self._document = bytearray()

    def _all(self, stream: str) -> list[Gathering]:
        figures = [figure for each in (*self.tokens, self.cost, self.turns) for figure in each]
        texts = [*self.answer, *self.error, *self.status, *self.retry_after, *self.model, *self.version]
        rest = [*self.conversation, *self.done, *self.failed, *self.refused]
        all_of_them: list[Gathering] = [*texts, *rest, *figures, *([self.structured] if self.structured else [])]
        return [each for each in all_of_them if each.pick.stream == stream]

    @property
    def left_out(self) -> int:
        """How many lines were too long to be looked at."""
        return self._lines.left_out

    def feed(self, data: bytes) -> Iterator[object]:
        """Take in what the agent wrote on its standard output; the values in it that may matter."""
        if self.reading.format == "json":
            self._document += data[: DOCUMENT_MOST + 1 - len(self._document)]
            return iter(())
        return self._values(self._lines.feed(data))

    def finish(self) -> Iterator[object]:
        """What was no whole line, or no whole document, before the end."""
        if self.reading.format != "json":
            yield from self._values(self._lines.finish())
        elif len(self._document) > DOCUMENT_MOST:
            self._lines.left_out += 1
        else:
            yield from self._looked_at(self._out, document(bytes(self._document)))

    def read_errors(self, data: bytes) -> None:
        """The end of its standard error, at the end: its lines as texts, or what is JSON in it."""
        if not self._err:
            return
        whole = document(data) if self.reading.format == "json" else []
        for value in whole or [errors_value(line) for line in data.splitlines()]:
            list(self._looked_at(self._err, [value]))

    def _values(self, lines: Sequence[bytes]) -> Iterator[object]:
        if not any(lines):
            return
        as_text = self.reading.format == "text"
        # What stands in none of many lines is looked for in all of them at once.
        many = b"\n".join(lines)
        groups = [group for group in self._out if holds(many, group.needs)]
        events = [needs for needs in self._events if holds(many, needs)]
        if not groups and not events:
            return
        for line in filter(None, lines):
            if not as_text and line[0] not in BEGINNINGS and not line.lstrip().startswith((b"{", b"[")):
                continue
            here = [group for group in groups if holds(line, group.needs)]
            if here or any(holds(line, needs) for needs in events):
                values = [line.decode("utf-8", "replace")] if as_text else parsed(line)
                yield from self._looked_at(here, values)

    def _looked_at(self, groups: Sequence[Group], values: Sequence[object]) -> Iterator[object]:
        for value in values:
            for group in groups:
                group.take(value)
            if any(group.settled for group in groups):
                self._out = [group for group in self._out if not group.settled]
            yield value


def holds(data: bytes, needs: Needles) -> bool:
    for needle in needs:  # noqa: SIM110 - asked of each line, and twice as fast
        if needle not in data:
            return False
    return True


def grouped(gatherings: Sequence[Gathering]) -> list[Group]:
    """Those with one `where` together: it is asked once. Those without one matter each by itself."""
    groups: dict[tuple[tuple[str, str], ...], Group] = {}
    alone = []
    for gathering in gatherings:
        pick = gathering.pick
        tests = tuple(sorted(pick.where.items()))
        if not tests:
            alone.append(Group(pointer.where({}), interest_of(pick), [gathering]))
        elif tests in groups:
            groups[tests].gatherings.append(gathering)
        else:
            groups[tests] = Group(pointer.where(pick.where), interest_of(pick), [gathering])
    return [*groups.values(), *alone]


def interest_of(pick: Pick) -> Needles:
    # Of those that look at the same values each looks for something else, and a further pointer may be all there is.
    return interest.in_values(pick.where, () if pick.where or pick.add else (pick.pointer,))


def parsed(line: bytes) -> list[object]:
    """The value of a line that may be an object or a list."""
    try:
        return [DECODER.decode(line.decode("utf-8", "replace"))]
    except (ValueError, RecursionError):
        return []


def errors_value(line: bytes) -> object:
    """What is no JSON is a text: there a program may say anything."""
    values = parsed(line) if line.lstrip().startswith((b"{", b"[")) else []
    return next(iter(values), line.decode("utf-8", "replace"))


def document(data: bytes) -> list[object]:
    """The one document; where something else was written before it, what begins at the beginning of a line."""
    text = data.decode("utf-8", "replace")
    for begin in islice(BEGINNING.finditer(text), TRIES_MOST):
        try:
            return [DECODER.raw_decode(text, begin.end() - 1)[0]]
        except (ValueError, RecursionError):
            continue
    return []
