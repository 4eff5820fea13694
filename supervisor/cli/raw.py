"""An agent's output as it came, for programs that read it: byte by byte, and never to a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from supervisor.cli import render
from supervisor.cli.reading import OUTPUT, attempts, file_of
from supervisor.cli.tail import pieces
from supervisor.cli.waiting import changes
from supervisor.errors import InvalidError

if TYPE_CHECKING:
    from supervisor.cli.place import Place
    from supervisor.models import CronRun


def show(place: Place, run: CronRun, *, follow: bool) -> None:
    """The standard output of the newest attempt. `follow`: of each that comes, until the run has ended."""
    if render.on_terminal():
        raise InvalidError(
            "The raw output may hold commands to your terminal, so it is not shown there: send it into a file or a "
            "pipe, or leave --raw out."
        )
    offsets: dict[int, int] = {}
    for current in changes(place, run) if follow else [run]:
        for attempt in attempts(place, current) if follow else attempts(place, current)[-1:]:
            for data in pieces(file_of(place, current, attempt, OUTPUT), offsets.get(attempt, 0)):
                offsets[attempt] = offsets.get(attempt, 0) + len(data)
                sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
