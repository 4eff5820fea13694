"""The words that definitions and records are made of, the instant that stands for none, and the version of their form.

Apart from the models, which take longer to import than a list of all jobs may take.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

FORMAT_VERSION = 1
DEFINITION_BYTES = 8 << 20
"""Of a job's file: prompt and schema of 256 KiB each, every character escaped, and the rest."""
NEVER = datetime(1, 1, 1, tzinfo=UTC)


class JobType(StrEnum):
    """A named set of limits."""

    LIGHT = "light"
    MEDIUM = "medium"
    RESOURCE_INTENSIVE = "resource-intensive"


class OutputFormat(StrEnum):
    """What an answer must be."""

    TEXT = "text"
    JSON = "json"
    STRUCTURED = "structured"


class Event(StrEnum):
    """What a job's owner can ask to be told about."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


class Trigger(StrEnum):
    """What made an occurrence due."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    CATCH_UP = "catch-up"


class Overlap(StrEnum):
    """What happens to an occurrence while an earlier run of the same job is not over."""

    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"
    ALLOW = "allow"


class CatchUp(StrEnum):
    """What happens to occurrences that fell due while nothing kept time."""

    ONCE = "once"
    SKIP = "skip"
    ALL = "all"
