"""Tables and records on a terminal, and the same plainly in a pipe."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TextIO

from supervisor.cli.escape import escape, escape_lines

if TYPE_CHECKING:
    from pydantic import BaseModel

_GAP = 2
_LEAST_WIDE, _USUAL_WIDE, _PIPED = 40, 80, 1 << 20
_COPIED = frozenset({"branch", "files"})
"""Facts that people copy: a line break of ours would come along."""

Style = Literal["", "green", "red", "yellow", "cyan", "dim", "bold"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A text that is escaped when it is shown, and what it should look like where there are colours."""

    text: str
    style: Style = ""


@dataclass(frozen=True, slots=True)
class Column:
    """`shrinks`: may be cut short where the terminal is narrow, down to `least`. `needs`: left out below this width."""

    title: str
    right: bool = False
    shrinks: bool = False
    needs: int = 0
    least: int = 8


def on_terminal() -> bool:
    """Whether a person looks at standard output."""
    return sys.stdout.isatty()


def columns() -> int:
    """How wide lines may be: as the terminal is; in a pipe they are never cut."""
    return max(_LEAST_WIDE, shutil.get_terminal_size().columns) if on_terminal() else _PIPED


def show_table(columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]]) -> None:
    """Fitted to a terminal; in a pipe all columns, whole, aligned by blanks."""
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    if on_terminal():
        _show_fitted(columns, cells)
    else:
        show_lines(plain_lines([column.title for column in columns], [[c.text for c in row] for row in cells]))


def plain_lines(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows with their columns aligned, two blanks apart, nothing cut."""
    texts = [list(titles), *([escape(text) for text in row] for row in rows)]
    wide, fill = _measures(all(text.isascii() for row in texts for text in row))
    widths = [max(wide(row[place]) for row in texts) for place in range(len(titles))]
    return ["  ".join(fill(text, width) for text, width in zip(row, widths, strict=True)).rstrip() for row in texts]


def _measures(ascii_only: bool) -> tuple[Callable[[str], int], Callable[[str, int], str]]:
    """How wide a text is, and how it is filled up; without loading the widths of all other characters for nothing."""
    if ascii_only:
        return len, str.ljust
    from supervisor.cli.cells import padded, width

    return width, padded


def show_lines(lines: Iterable[str]) -> None:
    """Lines that are harmless already."""
    _put("".join(f"{line}\n" for line in lines))


def _put(text: str, stream: TextIO | None = None) -> None:
    """Written at once, so that what stands beside each other in a log came in that order."""
    where = sys.stdout if stream is None else stream
    where.write(text)
    where.flush()


def say(sentence: str) -> None:
    """One message, escaped."""
    _put(f"{on_lines(escape_lines(sentence), sys.stdout)}\n")


def warn(sentence: str) -> None:
    """One message beside the output."""
    _put(f"{on_lines(escape_lines(sentence), sys.stderr)}\n", sys.stderr)


def on_lines(sentence: str, stream: TextIO) -> str:
    """A harmless message as it is to be written there: on a terminal broken between words."""
    if not stream.isatty():
        return sentence
    from supervisor.cli.sentence import broken

    # Its own width: the other stream may be a pipe, of which the width is a guess.
    wide = os.get_terminal_size(stream.fileno()).columns or _USUAL_WIDE
    return broken(sentence, max(_LEAST_WIDE, wide))


def show_json(value: object) -> None:
    """Indented and in ASCII: nothing in it can act on a terminal, and any locale can carry it."""
    _put(f"{json.dumps(value, indent=2)}\n")


def show_record(record: BaseModel) -> None:
    """A job or a run as it is documented."""
    show_json(record.model_dump(mode="json"))


def show_records(records: Iterable[BaseModel]) -> None:
    """An array of them, one at a time: a long history is never held as one text."""
    first = True
    for record in records:
        text = textwrap.indent(json.dumps(record.model_dump(mode="json"), indent=2), "  ")
        _put(("[\n" if first else ",\n") + text)
        first = False
    _put("[]\n" if first else "\n]\n")


def show_facts(facts: Iterable[tuple[str, Cell | str]]) -> None:
    """Names and values under each other; a value of several lines is indented as a block."""
    found = [(name, value if isinstance(value, Cell) else Cell(value)) for name, value in facts]
    width = max(len(name) for name, _ in found)
    for name, cell in found:
        first, *more = escape_lines(cell.text).split("\n")
        title = styled(name.ljust(width), "dim")
        first, *more = [piece for line in (first, *more) for piece in _fold(name, line, width + _GAP)]
        _put(f"{title}  {styled(first, cell.style)}\n")
        show_lines(f"{'':{width}}  {styled(line, cell.style)}" for line in more)


def _fold(name: str, line: str, indent: int) -> list[str]:
    """A line of a value as it fits beside its name on a terminal."""
    if not on_terminal() or name in _COPIED:
        return [line]
    from supervisor.cli.cells import folded

    return folded(line, columns() - indent)


def coloured() -> bool:
    """Whether colours are wanted: on a terminal that has them, unless NO_COLOR is set."""
    return on_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(text: str, style: Style) -> str:
    """With its looks, where colours are wanted. The text is harmless already."""
    if not style or not coloured():
        return text
    import typer

    if style in ("dim", "bold"):
        # None, not False: that would write the code that ends both.
        return typer.style(text, dim=True if style == "dim" else None, bold=True if style == "bold" else None)
    return typer.style(text, fg=style)


def fitted(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """The widths of columns in this much room: of those above their least, the widest gives way first."""
    widths = list(natural)
    while sum(widths) > room:
        above = [place for place, width in enumerate(widths) if width > least[place]]
        if not above:
            break
        widths[max(above, key=widths.__getitem__)] -= 1
    return widths


def _show_fitted(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from supervisor.cli.cells import even

    # Text objects only: Rich reads markup in strings, and stored text is not to be read by it.
    console = Console(highlight=False, markup=False, emoji=False)
    shown = [place for place, column in enumerate(columns) if column.needs <= console.width]
    texts = [[Text(even(escape(row[place].text)), style=row[place].style) for place in shown] for row in rows]
    titles = [Text(columns[place].title) for place in shown]
    natural = [max(text.cell_len for text in column) for column in zip(titles, *texts, strict=True)]
    room = console.width - _GAP * (len(shown) - 1)
    least = [columns[place].least if columns[place].shrinks else natural[at] for at, place in enumerate(shown)]
    widths = fitted(natural, least, room)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold" if coloured() else "")
    for title, place, width in zip(titles, shown, widths, strict=True):
        justify: Literal["right", "left"] = "right" if columns[place].right else "left"
        table.add_column(title, justify=justify, no_wrap=True, overflow="ellipsis", width=width)
    for row in texts:
        table.add_row(*row)
    console.print(table)
