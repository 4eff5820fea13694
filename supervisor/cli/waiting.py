"""Waiting for a run's end, and saying how it ended."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from supervisor.cli import offered, render
from supervisor.cli.times import lasted
from supervisor.errors import NotFoundError, UnreachableError
from supervisor.models import NEVER, CronRun
from supervisor.status import Status

if TYPE_CHECKING:
    from supervisor.cli.place import Place

_POLL_SECONDS = 0.2
_ASK_EVERY = 25


def wait_for(place: Place, run: CronRun) -> CronRun:
    """The run when it has ended, with progress on a terminal. Raises UnreachableError when the supervisor goes away."""
    with _progress() as tell:
        for current in changes(place, run):
            tell(current)
    return current


def changes(place: Place, run: CronRun) -> Iterator[CronRun]:
    """The run as it stands, again and again until it has ended.

    It is read from disk, which costs the supervisor nothing; the supervisor itself is asked only now and then, whether
    it is still there: without it no run ends any more.
    """
    turn = 0
    while True:
        try:
            run = place.runs.get(run.id)
        except NotFoundError:
            # Retention may drop a run that has just ended, where a job keeps few and runs often.
            run = place.client.find_run(run.id)
        yield run
        if run.status.final:
            return
        turn += 1
        if turn % _ASK_EVERY == 0:
            _check_alive(place, run)
        time.sleep(_POLL_SECONDS)


def show_end(place: Place, run: CronRun, as_json: bool) -> None:
    """The answer on standard output, how it ended beside it."""
    from supervisor.cli import reading

    if as_json:
        render.show_record(run)
        return
    if run.status is Status.COMPLETED:
        reading.show_answer(place, run)
    show_how(run)


def show_how(run: CronRun) -> None:
    """How it ended, beside the output."""
    took = f" after {lasted(run.duration)}" if run.finished_at != NEVER and run.attempt else ""
    if run.status is Status.COMPLETED:
        render.warn(f"Run {run.id[:8]} completed{took}.")
        if run.branch is not None and run.branch.name:
            render.warn(f"Its commits are on a branch: {offered.command(run.branch)}")
    else:
        reason = f" ({run.reason.value})" if run.reason else ""
        render.warn(f"Run {run.id[:8]} {run.status.value}{reason}{took}. {run.error}".rstrip())


def exit_code(run: CronRun) -> int:
    """0 only for a run that completed."""
    return 0 if run.status is Status.COMPLETED else 1


def _check_alive(place: Place, run: CronRun) -> None:
    try:
        place.client.status()
    except UnreachableError as error:
        raise UnreachableError(
            f"The supervisor went away while run {run.id} was {run.status.value}; "
            "a supervisor that is started again settles what became of it."
        ) from error


@contextmanager
def _progress() -> Iterator[Callable[[CronRun], None]]:
    """How to tell what a run is doing: a line that moves on a terminal, nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, markup=False)
    started = time.monotonic()
    with console.status(Text("queued")) as line:

        def tell(run: CronRun) -> None:
            attempt = f", attempt {run.attempt}" if run.attempt > 1 else ""
            line.update(Text(f"{run.status.value}{attempt} {time.monotonic() - started:.0f} s"))

        yield tell
