"""The line that a shell wants completed, as our parser wants to read it, and the way to what can stand there.

A shell calls the program without arguments and says in variables what is typed (`_CRONWARD_COMPLETE`, and those below).
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, MutableMapping, Sequence

PROGRAM = "cronward"
_BASH, _AT, _OTHERS = "COMP_WORDS", "COMP_CWORD", "_TYPER_COMPLETE_ARGS"

Order = Callable[[list[str]], list[str]]


def put_in_order(environ: MutableMapping[str, str], order: Order) -> None:
    """Write what is typed anew: `order` is what is done to the arguments of a call. Raises ValueError, LookupError."""
    if _BASH in environ:
        words, at = _split(environ[_BASH]), int(environ[_AT])
        args = order(list(_without_equals(words[1:at])))
        last = words[at] if at < len(words) and words[at] != "=" else ""
        environ[_BASH], environ[_AT] = shlex.join([PROGRAM, *args, last]), str(len(args) + 1)
    else:
        line = environ[_OTHERS]
        words = _split(line)[1:]
        last = "" if line.endswith(" ") else words.pop()
        environ[_OTHERS] = shlex.join([PROGRAM, *order(words), *filter(None, [last])]) + " " * (not last)


def _split(line: str) -> list[str]:
    """The words; of a quote that is not closed yet, what there is of it. Raises ValueError."""
    for closing in ("", "'", '"', "\\"):
        try:
            return shlex.split(line + closing)
        except ValueError:
            continue
    raise ValueError(line)


def _without_equals(words: Sequence[str]) -> Iterator[str]:
    """bash takes `--home=DIR` for three words."""
    for number, word in enumerate(words):
        if not (word == "=" and number and words[number - 1].startswith("--")):
            yield word
