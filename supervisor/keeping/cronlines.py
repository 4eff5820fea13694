"""The lines of a crontab that keep a supervisor going, between two marks. Pure: the table as bytes in, bytes out.

Nothing between the marks sets a variable of the table: such a line would count for every line of its owner's below it.
"""

from __future__ import annotations

import os
import shlex

from supervisor.errors import InvalidError
from supervisor.keeping.startline import StartLine
from supervisor.stores.home import Home

MINUTES = 5
LONGEST = 990
"""Debian's cron refuses commands of 1000 bytes."""


def lines(line: StartLine) -> bytes:
    """The marks and what is between them. Raises InvalidError where a line would be too long for cron."""
    begin, end = _marks(line.home)
    said = [f"{name}={value}" for name, value in line.environ]
    command = shlex.join(["/usr/bin/env", *said, *line.argv("supervise", "--ensure")])
    # cron itself reads a bare % as the end of the line.
    written = os.fsencode(command.replace("%", r"\%"))
    if len(written) > LONGEST:
        raise InvalidError(
            f"The line for your crontab would have {len(written)} bytes, and cron takes {LONGEST}. Shorten your PATH: "
            "PATH=/usr/bin:/bin cronward service install"
        )
    return b"\n".join([begin, b"@reboot " + written, f"*/{MINUTES} * * * * ".encode() + written, end, b""])


def with_lines(table: bytes, block: bytes, home: Home) -> bytes:
    """The table with this block in the place of an older one, else at its end."""
    rest = _cut(table, home)
    if rest is not None:
        return rest[0] + block + rest[1]
    return table + (b"" if not table or table.endswith(b"\n") else b"\n") + block


def without_lines(table: bytes, home: Home) -> bytes:
    """The table without our block; whatever else is in it stays, to the byte."""
    rest = _cut(table, home)
    return table if rest is None else rest[0] + rest[1]


def has_lines(table: bytes, home: Home) -> bool:
    """Whether a block of this home is in it."""
    return _cut(table, home) is not None


def _cut(table: bytes, home: Home) -> tuple[bytes, bytes] | None:
    """What is before our block and after it. Raises InvalidError where only one of the marks is there."""
    begin, end = _marks(home)
    rows = table.splitlines(keepends=True)
    found = [[at for at, row in enumerate(rows) if row.rstrip(b"\r\n") == mark] for mark in (begin, end)]
    if found == [[], []]:
        return None
    if [len(each) for each in found] != [1, 1] or found[0][0] > found[1][0]:
        raise InvalidError(
            f"The marks of cronward in your crontab are not one pair ({begin.decode(errors='replace')}). "
            "Look at it with `crontab -e`, and remove them and what is between them. Nothing was changed."
        )
    return b"".join(rows[: found[0][0]]), b"".join(rows[found[1][0] + 1 :])


def _marks(home: Home) -> tuple[bytes, bytes]:
    where = os.fsencode(home.root)
    return b"# >>> cronward service: " + where + b" >>>", b"# <<< cronward service: " + where + b" <<<"
