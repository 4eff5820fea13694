"""What stands in an adapter for what a job or the host gives: `{model}` and the like. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

NAMES: Mapping[str, str] = {
    "model": "the job's model",
    "model_id": "what stands in it after its first /",
    "schema": "the schema that the answer has to meet",
    "schema_file": "the path of a file with that schema",
    "session": "the id of a conversation that goes on",
    "max_turns": "how many turns it may take",
    "max_cost": "how many dollars it may spend",
    "work_dir": "the job's work directory",
    "base_url": "the adapter's `base_url`",
}
_HOLDER = re.compile(r"\{([a-z_]+)\}")
Word = str | tuple[str, ...]
"""A word, or a group of words that is there only if all of its placeholders have a value."""


class MissingError(Exception):
    """A placeholder that has to have a value has none. `name`: which."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def held(texts: Iterable[str]) -> frozenset[str]:
    """The placeholders that these texts hold, also those that nobody knows."""
    return frozenset(name for text in texts for name in _HOLDER.findall(text))


def filled(text: str, values: Mapping[str, str]) -> str:
    """With the values in their places; a value is never looked into. Raises MissingError."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise MissingError(match[1])
        return values[match[1]]

    return _HOLDER.sub(value, text)


def words(argv: Iterable[Word], values: Mapping[str, str], defaults: Mapping[str, str]) -> tuple[str, ...]:
    """The words with their values, without the groups of which one is missing. Raises MissingError."""
    found: list[str] = []
    for word in argv:
        if isinstance(word, str):
            found.append(filled(word, {**defaults, **values}))
        elif held(word) <= values.keys():
            found += [filled(each, values) for each in word]
    return tuple(found)
