"""The desk, asked over the supervisor's socket: what a command does when a supervisor is running."""

from __future__ import annotations

import http.client
import json
import os
import shlex
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import TypeAdapter, ValidationError

from supervisor.control.outboxdesk import Records as Deliveries
from supervisor.control.secretdesk import Records, SecretRecord
from supervisor.control.sessiondesk import Records as Sessions
from supervisor.definitions.batch import Batch, Outcome
from supervisor.errors import (
    CronwardError,
    InvalidError,
    NotFoundError,
    RefusedError,
    StoreError,
    UnreachableError,
)
from supervisor.models import CronJob, CronRun
from supervisor.status import Status
from supervisor.stores.home import Home

MAX_REQUEST = 1 << 20
MAX_BATCH = 32 << 20
MAX_ANSWER = 64 << 20
BATCH_WITHIN = 600.0
_UCRED = struct.Struct("3i")

_ERRORS: Mapping[str, type[CronwardError]] = {
    kind.code: kind for kind in (InvalidError, NotFoundError, UnreachableError, RefusedError, StoreError)
} | {"config": InvalidError}


class Client:
    """The desk over the socket. Every call is one request on a connection of its own.

    Raises what the desk itself raised, and UnreachableError where nobody answers within `timeout_seconds`.
    """

    def __init__(self, home: Home, timeout_seconds: float = 10.0) -> None:
        self._home = home
        self._timeout = timeout_seconds
        self.secrets = _Secrets(self._ask, self._baffled)
        self.sessions = _Sessions(self._ask, self._baffled)
        self.outbox = _Outbox(self._ask, self._baffled)

    def list_jobs(self) -> list[CronJob]:
        return [self._job(record) for record in self._array("/v1/jobs")]

    def find_job(self, ref: str) -> CronJob:
        return self._job(self._ask("GET", _path("jobs", ref)))

    def find_runs(self, ref: str | None = None, last: int | None = None, status: Status | None = None) -> list[CronRun]:
        wanted = {"job": ref, "last": last, "status": status.value if status else None}
        query = urlencode({name: value for name, value in wanted.items() if value is not None})
        return [self._run(record) for record in self._array(f"/v1/runs?{query}" if query else "/v1/runs")]

    def find_run(self, ref: str) -> CronRun:
        return self._run(self._ask("GET", _path("runs", ref)))

    def add_job(self, job: dict[str, Any]) -> CronJob:
        return self._job(self._ask("POST", "/v1/jobs", job))

    def edit_job(self, ref: str, changes: dict[str, Any]) -> CronJob:
        found = self._ask("PATCH", _path("jobs", ref), changes)
        if isinstance(found, dict):  # beside the job it may say which grants are gone, as the job itself does
            found.pop("secrets_dropped", None)
        return self._job(found)

    def change_jobs(self, batch: Batch | dict[str, Any]) -> Outcome:
        given = batch.model_dump(mode="json", exclude_defaults=True) if isinstance(batch, Batch) else batch
        # A job costs a file and its sync; the supervisor answers when the last one is on disk.
        patient = Client(self._home, BATCH_WITHIN)
        found = patient._ask("POST", "/v1/batch", given, MAX_BATCH)
        try:
            return Outcome.model_validate_json(json.dumps(found))
        except ValidationError as error:
            raise self._baffled() from error

    def pause_job(self, ref: str, reason: str = "", cancel: bool = False) -> CronJob:
        wish = {"reason": reason, "cancel": cancel} if reason or cancel else None
        return self._job(self._ask("POST", _path("jobs", ref, "pause"), wish))

    def resume_job(self, ref: str) -> CronJob:
        return self._job(self._ask("POST", _path("jobs", ref, "resume")))

    def remove_job(self, ref: str) -> CronJob:
        return self._job(self._ask("DELETE", _path("jobs", ref)))

    def run_job(self, ref: str) -> CronRun:
        return self._run(self._ask("POST", _path("jobs", ref, "run")))

    def cancel_run(self, ref: str) -> CronRun:
        return self._run(self._ask("POST", _path("runs", ref, "cancel")))

    def status(self) -> dict[str, Any]:
        found = self._ask("GET", "/v1/status")
        if not isinstance(found, dict):
            raise self._baffled()
        return found

    def live(self) -> list[dict[str, Any]]:
        return self._array("/v1/ps")

    def prune(self) -> dict[str, Any]:
        found = self._ask("POST", "/v1/prune")
        if not isinstance(found, dict):
            raise self._baffled()
        return found

    def reload(self) -> list[str]:
        found = self._ask("POST", "/v1/reload")
        if not isinstance(found, dict):
            raise self._baffled()
        return [str(name) for name in found.get("changed", ())]

    def stop(self, now: bool) -> None:
        self._ask("POST", "/v1/stop", {"now": now})

    def _array(self, target: str) -> list[Any]:
        found = self._ask("GET", target)
        if not isinstance(found, list):
            raise self._baffled()
        return found

    def _job(self, record: object) -> CronJob:
        try:
            return CronJob.model_validate_json(json.dumps(record))
        except ValidationError as error:
            raise self._baffled() from error

    def _run(self, record: object) -> CronRun:
        try:
            # As JSON: what runner and supervisor share is strict, and then a list is no tuple unless it came as JSON.
            return CronRun.model_validate_json(json.dumps(record))
        except ValidationError as error:
            raise self._baffled() from error

    def _ask(self, method: str, target: str, body: Mapping[str, Any] | None = None, most: int = MAX_REQUEST) -> object:
        data = b"" if body is None else json.dumps(body).encode("ascii")
        if len(data) > most:
            told = "" if most == MAX_REQUEST else " Stop it first, then ask again: without one more is taken."
            raise InvalidError(f"The request has {len(data)} bytes; a supervisor takes at most {most}.{told}")
        status, answer = self._exchange(method, target, data)
        try:
            found: object = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise self._baffled() from error
        if status < 400:
            return found
        sentence = found.get("error") if isinstance(found, dict) else None
        code = found.get("code") if isinstance(found, dict) else None
        raise _ERRORS.get(str(code), CronwardError)(str(sentence or f"The supervisor answered {status}."))

    def _exchange(self, method: str, target: str, data: bytes) -> tuple[int, bytes]:
        connection = self._connect()
        try:
            headers = {"Content-Type": "application/json", "Connection": "close"}
            connection.request(method, target, body=data or None, headers=headers)
            response = connection.getresponse()
            answer = response.read(MAX_ANSWER + 1)
        except TimeoutError as error:
            raise self._silent() from error
        except (OSError, http.client.HTTPException) as error:
            raise self._gone() from error
        finally:
            connection.close()
        # read(n) takes an early end for the end; `length` is what had still been promised.
        if not answer or (response.length and len(answer) <= MAX_ANSWER):
            raise self._gone()
        if len(answer) > MAX_ANSWER:
            raise CronwardError(f"The supervisor's answer is larger than {MAX_ANSWER} bytes: ask for less at once.")
        return response.status, answer

    def _connect(self) -> http.client.HTTPConnection:
        """A connection to whoever listens, in the home or where the socket lies that the home cannot hold."""
        for path in dict.fromkeys((self._home.socket, self._home.fallback_socket)):
            connection = _UnixConnection(str(path), self._timeout)
            try:
                connection.connect()
            except TimeoutError as error:
                raise self._silent() from error
            except OSError:
                connection.close()
                continue
            self._check_peer(connection, path)
            return connection
        raise NotRunningError(self._home)

    def _check_peer(self, connection: _UnixConnection, path: Path) -> None:
        """A socket in a shared directory could be anybody's, and prompts are nobody else's."""
        uid = connection.peer_uid()
        if uid not in (os.geteuid(), 0) and uid != self._home.root.stat().st_uid:
            connection.close()
            raise RefusedError(f"The socket {path} is served by uid {uid}, who is not the owner of this home.")

    def _silent(self) -> UnreachableError:
        return UnreachableError(
            f"The supervisor of the home {self._home.root} did not answer within {self._timeout:g} s: "
            "look whether it did what was asked before you ask again."
        )

    def _gone(self) -> UnreachableError:
        return UnreachableError(
            f"The supervisor of the home {self._home.root} went away before it answered: "
            "look whether it did what was asked before you ask again."
        )

    def _baffled(self) -> UnreachableError:
        return UnreachableError(
            f"The supervisor of the home {self._home.root} answers in a way that this version does not understand: "
            "stop it and start it again, so that both are of one version."
        )


class _Secrets:
    """A supervisor's secrets. A value travels in the body of a request, and in nothing else."""

    def __init__(self, ask: Callable[..., object], baffled: Callable[[], UnreachableError]) -> None:
        self._ask, self._baffled = ask, baffled

    def list(self) -> Records:
        found = self._ask("GET", "/v1/secrets")
        if not isinstance(found, list):
            raise self._baffled()
        return [self._record(record) for record in found]

    def set(self, name: str, value: str) -> SecretRecord:
        return self._record(self._ask("PUT", _path("secrets", name), {"value": value}))

    def remove(self, name: str, force: bool = False) -> SecretRecord:
        return self._record(self._ask("DELETE", _path("secrets", name) + ("?force=1" if force else "")))

    def _record(self, found: object) -> SecretRecord:
        try:
            return SecretRecord.model_validate_json(json.dumps(found))
        except ValidationError as error:
            raise self._baffled() from error


class _Sessions:
    """A supervisor's conversations."""

    def __init__(self, ask: Callable[..., object], baffled: Callable[[], UnreachableError]) -> None:
        self._ask, self._baffled = ask, baffled

    def list(self, ref: str | None = None) -> Sessions:
        return self._records(self._ask("GET", _path("jobs", ref or "", "sessions")))

    def reset(self, ref: str, key: str | None = None) -> Sessions:
        query = "" if key is None else f"?{urlencode({'key': key})}"
        return self._records(self._ask("DELETE", _path("jobs", ref, "sessions") + query))

    def _records(self, found: object) -> Sessions:
        try:
            return TypeAdapter(Sessions).validate_json(json.dumps(found))
        except ValidationError as error:
            raise self._baffled() from error


class _Outbox:
    """A supervisor's notifications."""

    def __init__(self, ask: Callable[..., object], baffled: Callable[[], UnreachableError]) -> None:
        self._ask, self._baffled = ask, baffled

    def list(self, settled: bool = False) -> Deliveries:
        return self._records(self._ask("GET", "/v1/outbox" + ("?all=1" if settled else "")))

    def retry(self, ref: str) -> Deliveries:
        return self._records(self._ask("POST", _path("outbox", ref, "retry")))

    def drop(self, ref: str) -> Deliveries:
        return self._records(self._ask("DELETE", _path("outbox", ref)))

    def _records(self, found: object) -> Deliveries:
        try:
            return TypeAdapter(Deliveries).validate_json(json.dumps(found))
        except ValidationError as error:
            raise self._baffled() from error


class NotRunningError(UnreachableError):
    """Nobody listens: what every command says that needs a supervisor and finds none."""

    def __init__(self, home: Home) -> None:
        usual = home.root == Home.usual(os.environ).root
        which, named = ("", "") if usual else (f" for the home {home.root}", f"--home {shlex.quote(str(home.root))} ")
        super().__init__(f"No supervisor is running{which}. Start one with: cronward {named}supervise --ensure")


def _path(kind: str, ref: str, verb: str = "") -> str:
    if not ref:
        raise NotFoundError(f"An empty name names none of the {kind}: give an id, or a name.")
    # Nothing stays unquoted that means something in a path; a lone surrogate of a broken argument is no text at all.
    named = quote(ref.encode("utf-8", "backslashreplace"), safe="")
    return f"/v1/{kind}/{named}" + (f"/{verb}" if verb else "")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)

    def peer_uid(self) -> int:
        """Whose process listens, as the kernel noted at listen()."""
        _, uid, _ = _UCRED.unpack(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        return int(uid)
