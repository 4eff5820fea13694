"""What the fields of a stored definition look like, for a reader that does without the models.

Never more is let through than `CronJob` takes; what is stricter here only costs that reader its haste, since the model
then decides. A test holds both beside each other, field by field.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime

from supervisor.vocabulary import CatchUp, Event, JobType, OutputFormat, Overlap

Check = Callable[[object], bool]
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
_DAY = 86400


def instant(value: object) -> bool:
    """A time as we write it."""
    if type(value) is not str or not _INSTANT.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _text(value: object) -> bool:
    return type(value) is str and (value.isascii() or _encodable(value))


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # half a surrogate pair
        return False
    return True


def _short(most: int) -> Check:
    return lambda value: _text(value) and len(value) <= most  # type: ignore[arg-type]


def _like(pattern: str) -> Check:
    wanted = re.compile(pattern, re.ASCII)
    return lambda value: type(value) is str and wanted.fullmatch(value) is not None


def _flag(value: object) -> bool:
    return type(value) is bool


def _count(least: int, most: float = math.inf) -> Check:
    return lambda value: type(value) is int and least <= value <= most


def _amount(least: float, most: float) -> Check:
    return lambda value: type(value) in (int, float) and least <= value <= most  # type: ignore[operator]


def _one_of(*words: str) -> Check:
    return lambda value: type(value) is str and value in words


def _maybe(check: Check) -> Check:
    return lambda value: value is None or check(value)


def _each(check: Check) -> Check:
    return lambda value: type(value) is list and all(map(check, value))


def _texts(value: object) -> bool:
    return type(value) is dict and all(_text(key) and _text(each) for key, each in value.items())


def _group(checks: Mapping[str, Check], *needed: str) -> Check:
    return lambda value: type(value) is dict and fits(value, checks) and all(key in value for key in needed)


def fits(record: dict[str, object], checks: Mapping[str, Check]) -> bool:
    """Whether every key is known and its value looks as it should."""
    for key, value in record.items():
        check = checks.get(key)
        if check is None or not check(value):
            return False
    return True


_PROGRAM: Mapping[str, Check] = {
    "path": _text,
    "real": _text,
    "size": _count(-(1 << 62), 1 << 62),
    "mtime_ns": _count(-(1 << 62), 1 << 62),
    "interpreter": _text,
    "links": _texts,
    "shown": _each(_text),
    "env": _texts,
}
_SIZE = _maybe(_count(1, 1 << 50))
_LIMITS: Mapping[str, Check] = {
    "memory": _SIZE,
    "processes": _maybe(_count(8, 1 << 20)),
    "open_files": _maybe(_count(64, 1 << 20)),
    "file_size": _SIZE,
    "tmp": _SIZE,
    "disk": _maybe(_count(0, 1 << 50)),
    "output": _SIZE,
    "cpu_seconds": _maybe(_count(0, 7 * _DAY)),
    "cpu_percent": _maybe(_count(0, 102400)),
    "setup_seconds": _maybe(_count(1, _DAY)),
}
_BUDGET = _group({"runs": _count(0, 10**9), "tokens": _count(0, 10**12), "cost_usd": _amount(0, 1e6)})
DEFINITION: Mapping[str, Check] = {
    "id": _like(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"),
    "name": _short(64),
    "cron_expr": _text,
    "at": _maybe(instant),
    "timezone": _maybe(_text),
    "dst": _one_of("once", "exact"),
    "prompt": _text,
    "untrusted_input": _flag,
    "secrets_when_tainted": _flag,
    "session_key": _short(200),
    "work_dir": _text,
    "agent": _text,
    "command": _text,
    "gate": _text,
    "check": _text,
    "model": _text,
    "search_path": _short(16384),
    "program": _maybe(_group(_PROGRAM, "path", "real", "size", "mtime_ns")),
    "isolation": _one_of("required", "best-effort", "none"),
    "network": _one_of("none", "public", "host"),
    "allow_hosts": _each(_short(320)),
    "secrets": _each(_short(129)),
    "login": _flag,
    "git_credentials": _each(_short(500)),
    "run_as": _short(129),
    "work_mode": _one_of("inplace", "read", "branch"),
    "git_write": _flag,
    "read_paths": _each(_text),
    "write_paths": _each(_text),
    "type": _one_of(*JobType),
    "limits": _group(_LIMITS),
    "max_turns": _maybe(_count(1, 1_000_000)),
    "max_tokens": _maybe(_count(1, 10**12)),
    "max_cost": _maybe(_amount(1e-9, 1e6)),
    "per_day": _BUDGET,
    "per_month": _BUDGET,
    "timeout_mins": _count(0, 7 * 24 * 60),
    "timeout_secs": _maybe(_count(1, 7 * _DAY)),
    "idle_timeout_secs": _maybe(_count(0, 7 * _DAY)),
    "retries": _count(0, 20),
    "retry_delay": _count(0, _DAY * 10**9),
    "repeatable": _flag,
    "rerun_unknown": _flag,
    "overlap": _one_of(*Overlap),
    "catch_up": _one_of(*CatchUp),
    "grace_secs": _maybe(_count(0, 366 * _DAY)),
    "jitter_secs": _count(0, _DAY),
    "start": _maybe(instant),
    "until": _maybe(instant),
    "max_runs": _maybe(_count(1)),
    "output_format": _one_of(*OutputFormat),
    "output_schema": _text,
    "enabled": _flag,
    "pause_reason": _short(500),
    "disable_after": _maybe(_count(0, 1000)),
    "private": _flag,
    "silent": _flag,
    "notify_on": _each(_one_of(*Event)),
    "on_complete": _text,
    "on_fail": _text,
    "webhook_token": _like(r"([A-Z_][A-Z0-9_]{0,63})?"),
    "notify": _each(_short(32)),
    "ping": _text,
    "applied_from": _short(4096),
    "imported_from": _short(4200),
    "created_by": _text,
    "created_at": instant,
    "changed_at": instant,
    "anchor": instant,
}
