"""How a status looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from supervisor.status import Status

if TYPE_CHECKING:
    from supervisor.cli.render import Style

STYLES: dict[Status, Style] = {
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.UNKNOWN: "red",
    Status.CANCELED: "yellow",
    Status.SKIPPED: "yellow",
    Status.RUNNING: "cyan",
    Status.STOPPING: "cyan",
    Status.QUEUED: "cyan",
}
MARKS: dict[Status, str] = {
    Status.COMPLETED: "\u2713",
    Status.FAILED: "\u2717",
    Status.UNKNOWN: "?",
    Status.CANCELED: "/",
    Status.SKIPPED: "o",
    Status.RUNNING: ">",
    Status.STOPPING: ">",
    Status.QUEUED: "~",
}
"""Of a status, where there is little room."""
