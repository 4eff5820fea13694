"""From the original's files to a batch of ours, and a note of everything that is not the same afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from shared.reasons import Reason
from supervisor.definitions.batch import Entry, Past
from supervisor.errors import InvalidError
from supervisor.models import NEVER, CronRun
from supervisor.moving.gojson import read_time
from supervisor.moving.note import Note
from supervisor.moving.original import OriginalFile, Record
from supervisor.sentences import sentence, shown
from supervisor.status import Status
from supervisor.stores.store import IDENTIFIER

_PLAIN = ("id", "cron_expr", "prompt", "timeout_mins", "retries", "retry_delay", "silent", "created_by")
_UNLESS_EMPTY = ("work_dir", "type", "output_format", "on_complete", "on_fail")
_FINAL = {"completed": Status.COMPLETED, "failed": Status.FAILED, "canceled": Status.CANCELED}
_REASONS = {Status.COMPLETED: Reason.OK, Status.FAILED: Reason.AGENT_ERROR, Status.CANCELED: Reason.CANCELED_BY_USER}
_SOME_DAY = datetime(1970, 1, 1, tzinfo=UTC)
"""For a run that says neither when it began nor when it ended."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person who moves in says for all jobs. `resumes`: whether their agent can go on with a conversation."""

    agent: str
    resumes: bool
    disabled: bool = False


def draft_of(record: Record, resumes: bool) -> tuple[dict[str, Any], list[str]]:
    """The draft of a job of the original's, and what of it is not carried."""
    draft: dict[str, Any] = {key: record.get(key) for key in _PLAIN}
    draft |= {key: record.get(key) for key in _UNLESS_EMPTY if record.get(key)}
    draft |= {"enabled": record.get("enabled"), "notify_on": record.get("notify_on") or []}
    lost: list[str] = []
    if record.get("session_key") and resumes:
        draft["session_key"] = record.get("session_key")
    elif record.get("session_key"):
        lost.append("session_key is left out: its agent here cannot go on with a conversation.")
    schema, form = record.get("output_schema"), record.get("output_format")
    if schema and form == "structured":
        draft["output_schema"] = schema
    elif schema:
        lost.append(f"output_schema is left out: the output format is {shown(form or 'text')}, not structured.")
    elif form == "structured":
        draft["output_format"] = "json"
        lost.append("its answer has to be JSON, for it is structured and has no schema.")
    lost += [f"the key {shown(key)} is unknown and left out." for key in record.unknown]
    return draft, lost


def entries(jobs: OriginalFile, wish: Wish) -> tuple[list[Entry], list[Note]]:
    """The jobs as they are to be added, and what of them is not carried."""
    found: list[Entry] = []
    notes: list[Note] = []
    for record in jobs.records:
        draft, lost = draft_of(record, wish.resumes)
        draft["agent"] = wish.agent
        if wish.disabled:
            draft["enabled"] = False
        label = f"job {record.id[:100]}"
        notes += [Note(label, text) for text in lost]
        try:
            created = read_time(record.get("created_at") or "0001-01-01T00:00:00Z")
        except InvalidError as error:
            notes.append(Note(label, f"created_at: {error}.", refused=True))
            continue
        found.append(Entry(label=label, draft=draft, created_at=None if created == NEVER else created))
    return found, notes


def histories(jobs: OriginalFile, runs: OriginalFile) -> tuple[list[Past], list[Note]]:
    """The histories of these jobs, and of those that are gone. Newest and oldest in any order."""
    notes: list[Note] = []
    by_job: dict[str, list[CronRun]] = {}
    for record in runs.records:
        try:
            run = _run(record)
        except InvalidError as error:
            notes.append(Note(f"run {record.id[:100]}", f"{error}.", refused=True))
            continue
        by_job.setdefault(run.job_id, []).append(run)
    found: list[Past] = []
    for record in jobs.records:
        kept = tuple(by_job.pop(record.id, ()))
        try:
            past = _past(record, kept)
        except InvalidError as error:
            notes.append(Note(f"job {record.id[:100]}", f"{error}.", refused=True))
            continue
        if past.runs or past.run_count:
            found.append(past)
    found += [Past(job_id=job_id, runs=tuple(kept)) for job_id, kept in by_job.items()]
    return found, notes


def _past(record: Record, runs: Sequence[CronRun]) -> Past:
    _check_id("id", record.id)
    count, error = record.get("run_count"), str(record.get("last_error"))
    if not isinstance(count, int) or not 0 <= count <= 2**62:
        raise InvalidError(f"run_count is {shown(count)}")
    last = read_time(record.get("last_run") or "0001-01-01T00:00:00Z")
    read_time(record.get("next_run") or "0001-01-01T00:00:00Z")
    return Past(job_id=record.id, run_count=count, last_run=last, last_error=error, runs=tuple(runs))


def _run(record: Record) -> CronRun:
    """A run of the original's: of those that it keeps all are over."""
    status = _FINAL.get(str(record.get("status")))
    if status is None:
        raise InvalidError(f"its status {shown(record.get('status'))} is none of {', '.join(_FINAL)}")
    for key in ("id", "job_id"):
        _check_id(key, str(record.get(key)))
    times = {key: read_time(record.get(key) or "0001-01-01T00:00:00Z") for key in ("started_at", "finished_at")}
    due = next((at for at in times.values() if at != NEVER), _SOME_DAY)
    facts: Mapping[str, Any] = {
        **{key: record.get(key) for key in ("id", "job_id", "duration", "error", "retry_count", "response")},
        **times,
        "status": status,
        "reason": _REASONS[status],
        "scheduled_at": due,
        "attempt": 1,
        "answer_bytes": len(str(record.get("response")).encode("utf-8", "replace")),
    }
    try:
        return CronRun.model_validate(facts)
    except ValidationError as error:
        raise InvalidError(sentence(error, "it").rstrip(".")) from None


def _check_id(key: str, text: str) -> None:
    if not IDENTIFIER.fullmatch(text):
        raise InvalidError(f"its {key} {shown(text)} cannot name a file: letters, digits and . _ - up to 64 are needed")
