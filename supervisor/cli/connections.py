"""Whom a run talked to, or tried to: its proxy's log as a table. Not one byte of it is trusted to be as we wrote it."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, ValidationError

from supervisor.cli import reading, render, tail
from supervisor.cli.place import Place
from supervisor.cli.render import Cell, Column, Style
from supervisor.cli.times import lasted, size
from supervisor.models import SECOND, CronRun

LOG = "network.jsonl"
_STYLES: dict[str, Style] = {"allowed": "green", "denied": "red", "failed": "yellow", "cut": "yellow"}


class Connection(BaseModel):
    """One line of the log; see the proxy's ledger."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    attempt: int = 0
    time: str
    host: str
    port: int
    address: str
    verdict: str
    why: str
    up: int
    down: int
    seconds: float


def show(place: Place, run: CronRun) -> None:
    """A line for each connection that is over, in the order in which they ended."""
    found = list(read(place, run))
    if not found:
        render.warn("No connection of it is logged.")
        return
    columns = (
        Column("TRY", right=True, needs=110),
        Column("TIME"),
        Column("HOST", shrinks=True, least=16),
        Column("ADDRESS", shrinks=True, needs=100),
        Column("UP", right=True),
        Column("DOWN", right=True),
        Column("TOOK", right=True, needs=100),
        Column("VERDICT"),
        Column("WHY", shrinks=True),
    )
    render.show_table(columns, [_row(each) for each in found])


def show_json(place: Place, run: CronRun) -> None:
    """The same as an array."""
    render.show_records(read(place, run))


def read(place: Place, run: CronRun) -> Iterator[Connection]:
    """What is logged of all attempts. A line that cannot be read is left out: only the last one can be unfinished."""
    for attempt in reading.attempts(place, run):
        rest = b""
        for piece in tail.pieces(reading.file_of(place, run, attempt, LOG), 0):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                try:
                    yield Connection.model_validate_json(line).model_copy(update={"attempt": attempt})
                except ValidationError:
                    continue


def _row(each: Connection) -> list[Cell | str]:
    return [
        str(each.attempt),
        each.time[11:19],
        f"{each.host}:{each.port}" if each.host else "-",
        each.address or "-",
        size(each.up),
        size(each.down),
        lasted(int(each.seconds * SECOND)),
        Cell(each.verdict, _STYLES.get(each.verdict, "")),
        each.why or "-",
    ]
