"""The original's `jobs.json` and `runs.json` as they are read: records with the text of each of their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from supervisor.errors import InvalidError
from supervisor.moving.gojson import Raw, objects_in, read_object
from supervisor.sentences import shown

JOB_KEYS = (
    *("id", "cron_expr", "prompt", "session_key", "work_dir", "type", "timeout_mins", "retries", "retry_delay"),
    *("output_format", "output_schema", "enabled", "silent", "notify_on", "created_by", "created_at", "last_run"),
    *("last_error", "next_run", "run_count", "on_complete", "on_fail"),
)
RUN_KEYS = ("id", "job_id", "started_at", "finished_at", "duration", "status", "error", "retry_count", "response")
OMITTED = frozenset(
    {"session_key", "work_dir", "output_schema", "last_error", "on_complete", "on_fail", "error", "response"}
)
"""Left out where they are empty."""
_NUMBERS = frozenset({"timeout_mins", "retries", "retry_delay", "run_count", "duration", "retry_count"})
_TRUTHS = frozenset({"enabled", "silent"})


@dataclass(frozen=True, slots=True)
class Record:
    """One job or run."""

    members: Mapping[str, Raw]

    @property
    def id(self) -> str:
        """Its id, which is a text."""
        return str(self.members["id"].value)

    def get(self, key: str) -> object:
        """A value; the zero value of Go's type where it is left out."""
        if key in self.members:
            return self.members[key].value
        return 0 if key in _NUMBERS else False if key in _TRUTHS else ""

    @property
    def unknown(self) -> list[str]:
        """The keys that the original does not have."""
        return sorted(set(self.members) - set(JOB_KEYS) - set(RUN_KEYS))


@dataclass(frozen=True, slots=True)
class OriginalFile:
    """One of the two files. `ending`: what follows the last bracket; `empty`: how a list of nothing is written."""

    records: Sequence[Record]
    ending: str = ""
    empty: str = "[]"


def read_jobs(data: bytes) -> OriginalFile:
    """What `jobs.json` says. Raises InvalidError, a sentence with the record's number."""
    return _read(data, "jobs", _check_job)


def read_runs(data: bytes) -> OriginalFile:
    """What `runs.json` says. Raises InvalidError."""
    return _read(data, "runs", _check_run)


def _read(data: bytes, kind: str, check: Callable[[Record], None]) -> OriginalFile:
    name = f"{kind}.json"
    try:
        text = data.decode("utf-8")
        whole, end = read_object(text)
    except UnicodeDecodeError as error:
        raise InvalidError(f"{name} is not UTF-8 text (at byte {error.start}): convert it.") from None
    except RecursionError:
        raise InvalidError(f"{name} is nested deeper than anything that the original writes.") from None
    except ValueError as error:
        raise InvalidError(f"{name} is not JSON that the original could have written: {error}.") from None
    if text[end:].strip():
        raise InvalidError(f"{name} goes on after its end, at character {end}.")
    version = whole["version"].value if "version" in whole else None
    if version != 1 or isinstance(version, bool):
        raise InvalidError(f"{name} has the version {shown(version)}; the original of v0.35.1 writes 1.")
    if kind not in whole:
        raise InvalidError(f"{name} has no list of {kind}.")
    raw = whole[kind]
    if raw.value is None:
        return OriginalFile((), text[end:], "null")
    return OriginalFile(_records(name, raw.text, check), text[end:])


def _records(name: str, text: str, check: Callable[[Record], None]) -> list[Record]:
    try:
        records = [Record(members) for members in objects_in(text)]
    except ValueError as error:
        raise InvalidError(f"{name} has something else than records in its list: {error}.") from None
    seen: set[str] = set()
    for number, record in enumerate(records):
        try:
            check(record)
            if record.id in seen:
                raise InvalidError(f"the id {shown(record.id)} is another's already")
        except InvalidError as error:
            raise InvalidError(f"{name}, record {number + 1}: {error}.") from None
        seen.add(record.id)
    return records


def _check_job(record: Record) -> None:
    _check_kinds(record, JOB_KEYS)
    told = record.get("notify_on")
    if told not in ("", None) and not (isinstance(told, list) and all(isinstance(each, str) for each in told)):
        raise InvalidError("notify_on is no list of texts")


def _check_run(record: Record) -> None:
    _check_kinds(record, RUN_KEYS)


def _check_kinds(record: Record, keys: Sequence[str]) -> None:
    if not isinstance(record.get("id"), str) or not record.get("id"):
        raise InvalidError("it has no id")
    for key in keys:
        if key not in record.members or key == "notify_on":
            continue
        value = record.members[key].value
        wanted, kind = (
            (int, "whole number") if key in _NUMBERS else (bool, "truth") if key in _TRUTHS else (str, "text")
        )
        if type(value) is not wanted:
            raise InvalidError(f"{key} is {shown(value)}, and no {kind}")
