"""Several changes of jobs that are made together, all of them or none: what is asked for, and what becomes of it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from supervisor.errors import InvalidError
from supervisor.models import NEVER, CronJob, CronRun, Identifier
from supervisor.sentences import sentence

MOST_JOBS = 2000
MOST_HISTORIES = 20_000
ORIGINAL_CHARS = 32 << 20


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Entry(_Part):
    """One job that is to be there afterwards."""

    label: Annotated[str, Field(max_length=500)] = ""
    """What the person who asks calls it, for what is refused."""
    draft: dict[str, Any]
    """As `add` takes it."""
    search_path: str = ""
    """Where its programs are looked for, where the draft does not say so and they are looked for anew."""
    replaces: str = ""
    """The id of the job that it describes anew, as a whole. Empty: it is a new one."""
    created_at: AwareDatetime | None = None
    """When it was made elsewhere. None: now."""


class Past(_Part):
    """A job's history from elsewhere. The job may be gone."""

    job_id: Identifier
    run_count: Annotated[int, Field(ge=0, le=2**62)] = 0
    """How many runs there were, those included of which nothing else is known any more."""
    last_run: AwareDatetime = NEVER
    last_error: str = ""
    runs: Annotated[tuple[CronRun, ...], Field(max_length=100_000)] = ()


class Batch(_Part):
    """What is asked for."""

    jobs: Annotated[tuple[Entry, ...], Field(max_length=MOST_JOBS)] = ()
    remove: Annotated[tuple[str, ...], Field(max_length=MOST_JOBS)] = ()
    """Ids."""
    histories: Annotated[tuple[Past, ...], Field(max_length=MOST_HISTORIES)] = ()
    original: dict[str, Annotated[str, Field(max_length=ORIGINAL_CHARS)]] = {}
    """The original's files that all this was read from, by kind, as they were."""
    dry_run: bool = False
    """Everything is checked and nothing stored."""


class Refusal(_Part):
    """Why nothing was stored."""

    label: str
    error: str


class Change(_Part):
    """A job that was there before."""

    before: CronJob
    after: CronJob


class Outcome(_Part):
    """What was done; where something is refused, or nothing was to be stored, what would have been done."""

    stored: bool = False
    added: tuple[CronJob, ...] = ()
    changed: tuple[Change, ...] = ()
    unchanged: tuple[CronJob, ...] = ()
    removed: tuple[CronJob, ...] = ()
    runs_kept: int = 0
    runs_dropped: int = 0
    """More than are kept of a job here, or of a job that has a history here already."""
    refused: tuple[Refusal, ...] = ()


def read_batch(given: dict[str, Any] | Batch) -> Batch:
    """The batch in these plain values. Raises InvalidError."""
    if isinstance(given, Batch):
        return given
    try:
        return Batch.model_validate(given, strict=False)
    except ValidationError as error:
        raise InvalidError(sentence(error, "batch", Batch)) from None
