"""A job's own limits as they are written on a command line."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from supervisor.definitions.sizes import parse_size
from supervisor.errors import InvalidError
from supervisor.timing.duration import parse_duration

if TYPE_CHECKING:
    from supervisor.cli.joboptions import JobOptions

AUTO = "auto"
"""What is given to have the usual one again."""


def limits(given: JobOptions) -> dict[str, int | None]:
    """The limits that these options give, in the units of a job; None: as its type has it."""
    sizes = {"memory": given.memory, "disk": given.disk, "tmp": given.tmp}
    sizes |= {"file_size": given.file_size, "output": given.output}
    counts = {"processes": given.processes, "open_files": given.open_files, "cpu_percent": given.cpu_share}
    found: dict[str, int | None] = {}
    for name, text in sizes.items():
        if text is not None:
            found[name] = None if text == AUTO else size(text)
    for name, text in counts.items():
        if text is not None:
            found[name] = None if text == AUTO else _count(name, text)
    for name, text, least in (("cpu_seconds", given.cpu_time, 0), ("setup_seconds", given.setup_timeout, 1)):
        if text is not None:
            found[name] = None if text == AUTO else duration_seconds(text, least)
    return found


def size(text: str) -> int:
    """An amount of bytes."""
    try:
        read = parse_size(text)
    except ValueError as error:
        raise InvalidError(f"The size {text[:40]!r} cannot be read: it {error}.") from None
    assert isinstance(read, int)
    return read


def duration_seconds(text: str, least: int = 1) -> int:
    """A duration in whole seconds, refusing fractions of one."""
    exact = parse_duration(text)
    whole = exact // timedelta(seconds=1)
    if timedelta(seconds=whole) != exact or whole < least:
        above = " above zero" * (least > 0)
        raise InvalidError(f"The duration {text!r} is no whole number of seconds{above}: write it like 30m or 90s.")
    return whole


def _count(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InvalidError(f"The number of {name} {text[:40]!r} is none: give a whole number, or {AUTO}.")
    return int(text)
