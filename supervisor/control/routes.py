"""What each method and path of the control API means: a pure function of desk and request, without a socket in sight.

`control` carries the answers; docs/control-api.md describes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from supervisor.control.body import read_body
from supervisor.control.outboxdesk import DeliveryRecord
from supervisor.control.secretdesk import SecretRecord
from supervisor.control.sessiondesk import SessionRecord
from supervisor.definitions.batch import Batch, Outcome
from supervisor.definitions.grants import dropped
from supervisor.errors import CronwardError, InvalidError
from supervisor.models import CronJob, CronRun
from supervisor.status import Status

MAX_LAST = 100_000
_BATCH = 100


class Secrets(Protocol):
    """What people can ask about secrets. No answer holds a value."""

    def list(self) -> Sequence[SecretRecord]: ...
    def set(self, name: str, value: str) -> SecretRecord: ...
    def remove(self, name: str, force: bool = False) -> SecretRecord: ...


class Sessions(Protocol):
    """What people can ask about conversations."""

    def list(self, ref: str | None = None) -> Sequence[SessionRecord]: ...
    def reset(self, ref: str, key: str | None = None) -> Sequence[SessionRecord]: ...


class Outbox(Protocol):
    """What people can ask about notifications."""

    def list(self, settled: bool = False) -> Sequence[DeliveryRecord]: ...
    def retry(self, ref: str) -> Sequence[DeliveryRecord]: ...
    def drop(self, ref: str) -> Sequence[DeliveryRecord]: ...


class Desk(Protocol):
    """What people can ask for, wherever it is carried out. A job or run is named by id, beginning of it, or name."""

    @property
    def secrets(self) -> Secrets: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def outbox(self) -> Outbox: ...
    def list_jobs(self) -> Sequence[CronJob]: ...
    def find_job(self, ref: str) -> CronJob: ...
    def find_runs(self, ref: str | None, last: int | None, status: Status | None) -> Sequence[CronRun]: ...
    def find_run(self, ref: str) -> CronRun: ...
    def add_job(self, job: dict[str, Any]) -> CronJob: ...
    def edit_job(self, ref: str, changes: dict[str, Any]) -> CronJob: ...
    def pause_job(self, ref: str, reason: str = "", cancel: bool = False) -> CronJob: ...
    def resume_job(self, ref: str) -> CronJob: ...
    def remove_job(self, ref: str) -> CronJob: ...
    def run_job(self, ref: str) -> CronRun: ...
    def cancel_run(self, ref: str) -> CronRun: ...
    def status(self) -> dict[str, Any]: ...
    def live(self) -> list[dict[str, Any]]: ...
    def reload(self) -> list[str]: ...
    def prune(self) -> dict[str, Any]: ...
    def change_jobs(self, batch: Batch | dict[str, Any]) -> Outcome: ...
    def stop(self, now: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and its JSON, in pieces small enough that the loop can do something else between two of them."""

    status: int
    body: Iterable[bytes]
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, taken apart."""

    desk: Desk
    ref: str
    query: Mapping[str, str]
    body: bytes


Verb = Callable[[Asked], Answer]


def answer(desk: Desk, method: str, target: str, body: bytes) -> Answer:
    """Do what is asked, or say in a sentence why not. Only defects of ours get out of here as exceptions."""
    try:
        parts = urlsplit(target)
        verbs, ref = _find(parts.path)
        if verbs is None:
            return fault(404, "not_found", f"There is no path {parts.path[:200]!r}; docs/control-api.md lists them.")
        verb = verbs.get(method)
        if verb is None:
            allowed = ", ".join(sorted(verbs))
            return fault(
                405,
                "method",
                f"The path {parts.path[:200]!r} takes {allowed}, not {method[:20]}.",
                (("Allow", allowed),),
            )
        return verb(Asked(desk, ref, _query(parts.query), body))
    except CronwardError as error:
        return fault(error.http_status, error.code, str(error))
    except ValueError as error:  # urlsplit, unquote, parse_qsl
        return fault(400, "invalid", f"The address {target[:200]!r} cannot be read: {error}.")


def fault(status: int, code: str, sentence: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An error as the API tells it."""
    return _one(status, {"error": sentence, "code": code}, headers)


def _query(text: str) -> dict[str, str]:
    pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=8) if text else []
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidError("The address gives one parameter twice: leave one of the two out.")
    return found


def _find(path: str) -> tuple[Mapping[str, Verb] | None, str]:
    """The verbs of a path and the job or run that it names."""
    segments = tuple(path.split("/")[1:])
    if segments in _ROUTES:
        return _ROUTES[segments], ""
    if len(segments) not in (3, 4) or not segments[2]:
        return None, ""
    return _ROUTES.get((*segments[:2], "*", *segments[3:])), unquote(segments[2], errors="strict")


def _one(status: int, value: object, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    return Answer(status, (json.dumps(value).encode("ascii") + b"\n",), headers)


def _array(records: Sequence[CronJob] | Sequence[CronRun]) -> Answer:
    return Answer(200, _pieces(records))


def _pieces(records: Sequence[CronJob] | Sequence[CronRun]) -> Iterator[bytes]:
    if not records:
        yield b"[]\n"
        return
    for start in range(0, len(records), _BATCH):
        batch = records[start : start + _BATCH]
        text = ",\n ".join(json.dumps(record.model_dump(mode="json")) for record in batch)
        yield (("[" if start == 0 else ",\n ") + text).encode("ascii")
    yield b"]\n"


def _job(status: int, job: CronJob) -> Answer:
    return _one(status, job.model_dump(mode="json"))


def _run(status: int, run: CronRun) -> Answer:
    return _one(status, run.model_dump(mode="json"))


def _status(asked: Asked) -> Answer:
    return _one(200, asked.desk.status())


def _live(asked: Asked) -> Answer:
    return _one(200, asked.desk.live())


def _list_jobs(asked: Asked) -> Answer:
    _only(asked.query)
    return _array(asked.desk.list_jobs())


def _add_job(asked: Asked) -> Answer:
    return _job(201, asked.desk.add_job(read_body(asked.body)))


def _change_jobs(asked: Asked) -> Answer:
    return _one(200, asked.desk.change_jobs(read_body(asked.body)).model_dump(mode="json"))


def _show_job(asked: Asked) -> Answer:
    return _job(200, asked.desk.find_job(asked.ref))


def _remove_job(asked: Asked) -> Answer:
    return _job(200, asked.desk.remove_job(asked.ref))


def _edit_job(asked: Asked) -> Answer:
    before = asked.desk.find_job(asked.ref)
    edited = asked.desk.edit_job(asked.ref, read_body(asked.body))
    lost = dropped(before, edited)
    return _one(200, edited.model_dump(mode="json") | ({"secrets_dropped": lost} if lost else {}))


def _pause_job(asked: Asked) -> Answer:
    if not asked.body:
        return _job(200, asked.desk.pause_job(asked.ref))
    wish = read_body(asked.body)
    reason, cancel = wish.get("reason", ""), wish.get("cancel", False)
    if set(wish) - {"reason", "cancel"} or not isinstance(reason, str) or not isinstance(cancel, bool):
        raise InvalidError('The body of a pause is {"reason": TEXT, "cancel": true or false}; both may be left out.')
    return _job(200, asked.desk.pause_job(asked.ref, reason, cancel))


def _resume_job(asked: Asked) -> Answer:
    return _job(200, asked.desk.resume_job(asked.ref))


def _run_job(asked: Asked) -> Answer:
    return _run(202, asked.desk.run_job(asked.ref))


def _list_runs(asked: Asked) -> Answer:
    _only(asked.query, "job", "last", "status")
    query = asked.query
    last = _count(query["last"]) if "last" in query else 100
    status = _status_named(query["status"]) if "status" in query else None
    return _array(asked.desk.find_runs(query.get("job"), last, status))


def _show_run(asked: Asked) -> Answer:
    return _run(200, asked.desk.find_run(asked.ref))


def _cancel_run(asked: Asked) -> Answer:
    return _run(202, asked.desk.cancel_run(asked.ref))


def _list_secrets(asked: Asked) -> Answer:
    return _one(200, [record.model_dump(mode="json") for record in asked.desk.secrets.list()])


def _set_secret(asked: Asked) -> Answer:
    given = read_body(asked.body)
    value = given.get("value")
    if set(given) != {"value"} or not isinstance(value, str):
        raise InvalidError('The body that sets a secret is {"value": TEXT}.')
    return _one(200, asked.desk.secrets.set(asked.ref, value).model_dump(mode="json"))


def _remove_secret(asked: Asked) -> Answer:
    _only(asked.query, "force")
    if asked.query.get("force", "1") != "1":
        raise InvalidError("The parameter force is 1, or left out.")
    return _one(200, asked.desk.secrets.remove(asked.ref, "force" in asked.query).model_dump(mode="json"))


def _list_sessions(asked: Asked) -> Answer:
    _only(asked.query)
    return _one(200, [record.model_dump(mode="json") for record in asked.desk.sessions.list(asked.ref)])


def _reset_sessions(asked: Asked) -> Answer:
    _only(asked.query, "key")
    gone = asked.desk.sessions.reset(asked.ref, asked.query.get("key"))
    return _one(200, [record.model_dump(mode="json") for record in gone])


def _list_outbox(asked: Asked) -> Answer:
    _only(asked.query, "all")
    return _deliveries(asked.desk.outbox.list(asked.query.get("all") == "1"))


def _retry_outbox(asked: Asked) -> Answer:
    return _deliveries(asked.desk.outbox.retry(asked.ref))


def _drop_outbox(asked: Asked) -> Answer:
    return _deliveries(asked.desk.outbox.drop(asked.ref))


def _deliveries(records: Sequence[DeliveryRecord]) -> Answer:
    return _one(200, [record.model_dump(mode="json") for record in records])


def _reload(asked: Asked) -> Answer:
    return _one(200, {"changed": asked.desk.reload()})


def _prune(asked: Asked) -> Answer:
    return _one(202, asked.desk.prune())


def _stop(asked: Asked) -> Answer:
    wish = read_body(asked.body) if asked.body else {}
    now = wish.get("now", False)
    if set(wish) - {"now"} or not isinstance(now, bool):
        raise InvalidError('The body of /v1/stop is {"now": true} or {"now": false}.')
    asked.desk.stop(now)
    return _one(202, {"stopping": True, "now": now})


def _only(query: Mapping[str, str], *known: str) -> None:
    unknown = sorted(set(query) - set(known))
    if unknown:
        takes = ", ".join(known) or "none"
        raise InvalidError(f"The parameter {unknown[0][:100]!r} is unknown here; known: {takes}.")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 6 and 1 <= int(text) <= MAX_LAST):
        raise InvalidError(f"The parameter last is a whole number from 1 to {MAX_LAST}, not {text[:40]!r}.")
    return int(text)


def _status_named(text: str) -> Status:
    try:
        return Status(text)
    except ValueError as error:
        raise InvalidError(f"The status {text[:40]!r} is unknown; known: {', '.join(Status)}.") from error


_ROUTES: Mapping[tuple[str, ...], Mapping[str, Verb]] = {
    ("v1", "status"): {"GET": _status},
    ("v1", "jobs"): {"GET": _list_jobs, "POST": _add_job},
    ("v1", "batch"): {"POST": _change_jobs},
    ("v1", "jobs", "*"): {"GET": _show_job, "PATCH": _edit_job, "DELETE": _remove_job},
    ("v1", "jobs", "*", "pause"): {"POST": _pause_job},
    ("v1", "jobs", "*", "resume"): {"POST": _resume_job},
    ("v1", "jobs", "*", "run"): {"POST": _run_job},
    ("v1", "jobs", "*", "sessions"): {"GET": _list_sessions, "DELETE": _reset_sessions},
    ("v1", "runs"): {"GET": _list_runs},
    ("v1", "runs", "*"): {"GET": _show_run},
    ("v1", "runs", "*", "cancel"): {"POST": _cancel_run},
    ("v1", "secrets"): {"GET": _list_secrets},
    ("v1", "secrets", "*"): {"PUT": _set_secret, "DELETE": _remove_secret},
    ("v1", "outbox"): {"GET": _list_outbox},
    ("v1", "outbox", "*"): {"DELETE": _drop_outbox},
    ("v1", "outbox", "*", "retry"): {"POST": _retry_outbox},
    ("v1", "ps"): {"GET": _live},
    ("v1", "stop"): {"POST": _stop},
    ("v1", "reload"): {"POST": _reload},
    ("v1", "prune"): {"POST": _prune},
}
