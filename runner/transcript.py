"""The transcript of an attempt: one line of JSON for each thing that its agent said or did, written while it happens.

Texts are masked once they are parsed, and cut after that: a mark in the midst of JSON would break it, and half a secret
would not be found.
"""

from __future__ import annotations

import json

from runner import pointer
from runner.gathering import as_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from shared.masking import Mask
    from shared.reading import Event

ENTRY_MOST = 64 << 10
"""Bytes of a line."""
ITEMS_MOST = 256
"""Of one value."""
Entry = dict[str, object]


class Kind:
    """An event of the reading, made ready to be looked for."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self.where, self.item = pointer.where(event.where), pointer.where(event.item)
        self.each = pointer.parts(event.each) if event.each else None
        named = {"name": event.name, "command": event.command, "path": event.path}
        self._named = [(name, pointer.parts(each)) for name, each in named.items() if each]
        self._text = pointer.parts(event.text)
        self._failed = pointer.parts(event.failed) if event.failed else None

    def entry(self, value: object, hide: Callable[[object], object]) -> Entry:
        """What it says of a value, without its secrets. Raises RecursionError."""
        made: Entry = {"kind": self.event.kind}
        if self.event.piece:
            made["piece"] = True
        for name, path in self._named:
            if text := " ".join(map(as_text, words(hide(each) for each in pointer.found(value, path)))):
                made[name] = text
        if self._failed is not None and any(pointer.found(value, self._failed)):
            made["failed"] = True
        if self._text or isinstance(value, str):
            made["text"] = "\n".join(as_text(hide(each)) for each in pointer.found(value, self._text))
        return made


class Transcript:
    """`elapsed`: seconds since the beginning; `note` gets each entry, masked and whole, before its line is made."""

    def __init__(
        self,
        events: Sequence[Event],
        elapsed: Callable[[], float],
        note: Callable[[Entry], None],
        mask: Mask | None = None,
    ) -> None:
        self._kinds = [Kind(event) for event in events]
        self._elapsed, self._note, self._mask = elapsed, note, mask
        self._hide: Callable[[object], object] = mask.value if mask is not None else lambda value: value

    def lines(self, value: object) -> Iterator[bytes]:
        """Those that a value of the output makes."""
        try:
            for entry in self._entries(value):
                self._note(entry)
                yield self.line(entry)
        except RecursionError:  # nested as deeply as can just be parsed
            yield self.line({"kind": "error", "text": "What came here is nested too deeply to be kept."})

    def line(self, entry: Entry) -> bytes:
        """An entry as it is kept, cut where it has to be."""
        entry = {"at": round(self._elapsed(), 3), **entry}
        texts = {name: text[:ENTRY_MOST] for name, text in entry.items() if isinstance(text, str)}
        if any(len(text) < len(str(entry[name])) for name, text in texts.items()):
            entry |= {**texts, "cut": True}
        while len(line := json.dumps(entry).encode("ascii")) >= ENTRY_MOST:
            name = max(texts, key=lambda each: len(str(entry[each])))
            # Escapes make a character up to six times as long, and twelve where it takes two.
            entry |= {name: str(entry[name])[: len(str(entry[name])) // 2], "cut": True}
        if self._mask is not None and self._mask.holds(line):  # spread over what is no text
            return json.dumps({"at": entry["at"], "kind": entry["kind"], "text": "[secret]"}).encode("ascii") + b"\n"
        return line + b"\n"

    def _entries(self, value: object) -> Iterator[Entry]:
        whole, taken = False, set[tuple[object, int]]()
        for kind in self._kinds:
            if (whole and kind.each is None) or not kind.where.meets(value):
                continue
            if kind.each is None:
                whole = True
                yield kind.entry(value, self._hide)
                continue
            for at, item in enumerate(items(value, kind.each)):
                if (kind.each, at) not in taken and kind.item.meets(item):
                    taken.add((kind.each, at))
                    yield kind.entry(item, self._hide)


def items(value: object, path: tuple[str, ...]) -> list[object]:
    """The members of the lists that stand there."""
    lists = [each for each in pointer.found(value, path) if isinstance(each, list)]
    return [item for each in lists for item in each][:ITEMS_MOST]


def words(values: Iterator[object]) -> Iterator[object]:
    """The words of a command that is a list of them."""
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value
