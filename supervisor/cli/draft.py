"""What `add` or `edit` was given, as a draft for the desk: read and bounded here, judged there."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from supervisor.cli.asked import AUTO, duration_seconds, limits
from supervisor.cli.capped import caps
from supervisor.cli.instant import parse_instant
from supervisor.errors import InvalidError
from supervisor.models import MAX_PROMPT, MAX_SCHEMA
from supervisor.timing.duration import in_go_units, parse_duration

if TYPE_CHECKING:
    from supervisor.cli.joboptions import JobOptions


NONE = "none"
"""What is given to have no such bound."""


def of(given: JobOptions, now: datetime) -> dict[str, Any]:
    """The fields of a job that these options give, and no others."""
    plain = ("name", "agent", "command", "model", "type", "run_as", "retries", "private", "silent")
    policies = ("isolation", "dst", "overlap", "catch_up", "on_complete", "on_fail", "ping", "work_mode", "git_write")
    waivers = ("repeatable", "rerun_unknown", "untrusted_input", "secrets_when_tainted", "gate", "check")
    granted = ("login", "session_key", "webhook_token")
    fields = described({key: getattr(given, key) for key in (*plain, *policies, *waivers, *granted)}) | _seen(given)
    if given.cron is not None or given.every is not None or given.at is not None:
        fields |= timing(given.cron, given.every, given.at, given.tz, now)
    elif given.tz is not None:
        fields["timezone"] = given.tz
    if given.prompt is not None or given.prompt_file is not None:
        fields["prompt"] = prompt_text(given.prompt, given.prompt_file)
    fields |= bounds(given.work_dir, given.timeout, given.retry_delay, given.idle_timeout)
    if any(each is not None for each in (given.command, given.agent, given.gate, given.check)):
        fields |= search_path()
    fields |= reach(given.network, given.allow_host or ())
    if given.secret:
        fields["secrets"] = [] if given.secret == [NONE] else list(given.secret)
    if given.git_credential:
        fields["git_credentials"] = [] if given.git_credential == [NONE] else list(given.git_credential)
    fields |= {"limits": own} if (own := limits(given)) else {}
    fields |= caps(given)
    return fields | output(given.output_format, given.output_schema) | _late(given) | _life(given, now) | _told(given)


def _seen(given: JobOptions) -> dict[str, Any]:
    """The further paths, in the place of those that there were."""
    found: dict[str, Any] = {}
    for key, paths in (("read_paths", given.read_path), ("write_paths", given.write_path)):
        if paths:
            found[key] = [] if paths == [NONE] else [full_path(path, "path") for path in paths]
    return found


def _late(given: JobOptions) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if given.grace is not None:
        found["grace_secs"] = None if given.grace == AUTO else duration_seconds(given.grace, least=0)
    if given.jitter is not None:
        found["jitter_secs"] = duration_seconds(given.jitter, least=0)
    return found


def _life(given: JobOptions, now: datetime) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, text in (("start", given.start), ("until", given.until)):
        if text is not None:
            found[key] = None if text == NONE else parse_instant(text, given.tz, now).isoformat()
    if given.max_runs is not None:
        found["max_runs"] = given.max_runs or None
    if given.disable_after is not None:
        found["disable_after"] = None if given.disable_after == AUTO else _count(given.disable_after)
    return found


def _told(given: JobOptions) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if given.notify_on:
        found["notify_on"] = [] if given.notify_on == ["all"] else list(given.notify_on)
    if given.notify:
        found["notify"] = [] if given.notify == [NONE] else list(given.notify)
    return found


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise InvalidError(f"The number of failures {text[:40]!r} is none: give a whole number, 0, or {AUTO}.")
    return int(text)


def timing(cron: str | None, every: str | None, at: str | None, zone: str | None, now: datetime) -> dict[str, Any]:
    """The fields that say when: exactly one of the three ways is given."""
    given = [name for name, value in (("--cron", cron), ("--every", every), ("--at", at)) if value is not None]
    if len(given) != 1:
        told = f"{' and '.join(given)} were given" if given else "none of them was given"
        raise InvalidError(f"A job is due by --cron, --every or --at: give exactly one ({told}).")
    if at is not None:
        instant = parse_instant(at, zone, now)
        if instant <= now:
            raise InvalidError(f"The time {at!r} is past ({instant.isoformat(' ', 'seconds')}): give one to come.")
        return {"at": instant.isoformat()}
    if every is not None:
        return {"cron_expr": f"@every {in_go_units(every)}"}
    return {"cron_expr": cron} | ({} if zone is None else {"timezone": zone})


def prompt_text(prompt: str | None, file: str | None) -> str:
    """The prompt out of the one option that gives it."""
    if (prompt is None) == (file is None):
        raise InvalidError("A job needs one prompt: give either --prompt TEXT or --prompt-file FILE (- reads stdin).")
    return prompt if prompt is not None else _read(str(file), "prompt", MAX_PROMPT)


def schema_text(schema: str) -> str:
    """A JSON Schema, or what @FILE holds."""
    return _read(schema[1:], "schema", MAX_SCHEMA) if schema.startswith("@") else schema


def described(given: Mapping[str, str | int | None]) -> dict[str, Any]:
    """The fields that are taken as they were given; a command alone says which agent it is for."""
    found = {key: value for key, value in given.items() if value is not None}
    return ({"agent": "command"} | found) if "command" in found else found


def search_path() -> dict[str, Any]:
    """Where this user's programs lie: a supervisor that an init system started has another PATH."""
    return {"search_path": os.environ.get("PATH", "")}


def bounds(
    work_dir: str | None, timeout: str | None, retry_delay: str | None, idle_timeout: str | None
) -> dict[str, Any]:
    """The fields of place and time, in the units of a job."""
    found: dict[str, Any] = {}
    if work_dir is not None:
        found["work_dir"] = full_path(work_dir)
    if timeout is not None:
        found["timeout_secs"] = duration_seconds(timeout)
    if idle_timeout is not None:
        found["idle_timeout_secs"] = None if idle_timeout == AUTO else duration_seconds(idle_timeout)
    if retry_delay is not None:
        found["retry_delay"] = duration_nanoseconds(retry_delay)
    return found


def reach(network: str | None, hosts: Sequence[str]) -> dict[str, Any]:
    """The fields that say what the agent can reach; hosts alone mean an allow-list."""
    found: dict[str, Any] = {} if network is None else {"network": network}
    return found | ({"network": network or "allow", "allow_hosts": list(hosts)} if hosts else {})


def output(form: str | None, schema: str | None) -> dict[str, Any]:
    """The fields that say what an answer must be; a schema alone means structured."""
    if schema is None:
        return {} if form is None else {"output_format": form}
    return {"output_format": form or "structured", "output_schema": schema_text(schema)}


def duration_nanoseconds(text: str) -> int:
    """A duration in the original's unit."""
    return _whole(text, timedelta(microseconds=1)) * 1000


def full_path(path: str, what: str = "work directory") -> str:
    """A path as the supervisor understands it too: it works in another directory."""
    if not path:
        raise InvalidError(f"The {what} is empty: name one, or leave the option out.")
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - resolving links is the desk's to judge


def _whole(text: str, unit: timedelta) -> int:
    return parse_duration(text) // unit


def _read(name: str, what: str, limit: int) -> str:
    try:
        if name == "-":
            data = _bounded(sys.stdin.buffer, limit)
        else:
            path = Path(name)
            # A FIFO or a device would be waited for, or never end.
            if not path.is_file():
                raise InvalidError(f"The {what} file {name!r} is not there, or is no regular file.")
            with path.open("rb") as file:
                data = _bounded(file, limit)
    except (OSError, ValueError) as error:
        raise InvalidError(f"The {what} file {name!r} cannot be read: {_why(error)}.") from error
    if len(data) > limit:
        raise InvalidError(
            f"The {what} in {name!r} is larger than {limit // 1024} KiB: shorten it, or point to a file."
        )
    if b"\0" in data:
        raise InvalidError(f"The {what} in {name!r} is binary, not text: it holds a NUL byte.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidError(f"The {what} in {name!r} is not UTF-8 text (at byte {error.start}): convert it.") from error


def _bounded(file: IO[bytes], limit: int) -> bytes:
    return file.read(limit + 1)


def _why(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
