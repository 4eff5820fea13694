"""A jobs file of ours: many jobs in TOML, each described whole. Read to drafts, and written from jobs."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from supervisor.definitions.definition import OURS
from supervisor.definitions.sizes import parse_size
from supervisor.errors import InvalidError
from supervisor.models import CronJob
from supervisor.moving.tomltext import toml_key, toml_value
from supervisor.sentences import shown, suggestion
from supervisor.timing.duration import parse_duration

FILE_BYTES = 16 << 20
MOST_NESTED = 16
KEPT_OUT = frozenset({*OURS, "id", "created_by", "applied_from", "imported_from", "search_path"})
"""What a file does not say: where programs lie differs from host to host."""
_SECONDS = {
    "timeout": "timeout_secs",
    "idle_timeout": "idle_timeout_secs",
    "grace": "grace_secs",
    "jitter": "jitter_secs",
}
_SHORT = ("every", "prompt_file", *_SECONDS)
_SIZES = frozenset({"memory", "file_size", "tmp", "disk", "output"})

Drafts = list[dict[str, Any]]
ReadPrompt = Callable[[str], str]
"""The text of a file that a job names, by the path as it is written there."""


def read_jobs_file(data: bytes, read_prompt: ReadPrompt) -> Drafts:
    """The drafts of its jobs, each with a name of its own. Raises InvalidError."""
    found = _parsed(data)
    unknown = sorted(set(found) - {"job", "defaults", "version"})
    if unknown:
        near = suggestion(unknown[0], ("job", "defaults", "version"))
        raise InvalidError(
            f"The jobs file has no place for {shown(unknown[0])}: it holds [[job]] and [defaults].{near}"
        )
    if found.get("version", 1) != 1 or isinstance(found.get("version"), bool):
        raise InvalidError(
            f"The jobs file has the version {shown(found['version'])}; this cronward knows 1. Write version = 1."
        )
    defaults, jobs = found.get("defaults", {}), found.get("job", [])
    if not isinstance(defaults, dict) or not isinstance(jobs, list) or not all(isinstance(job, dict) for job in jobs):
        raise InvalidError("A jobs file holds tables: [[job]] for each job, and [defaults] for what they share.")
    drafts = [_draft(number, {**defaults, **job}, read_prompt) for number, job in enumerate(jobs, 1)]
    names = [draft["name"] for draft in drafts]
    for name in names:
        if names.count(name) > 1:
            raise InvalidError(f"The jobs file has two jobs called {shown(name)}: a name is one job's. Rename one.")
    return drafts


def _parsed(data: bytes) -> dict[str, Any]:
    if len(data) > FILE_BYTES:
        raise InvalidError(
            f"The jobs file has more than {FILE_BYTES >> 20} MiB: split it, or keep prompts in files (prompt_file)."
        )
    try:
        return tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidError(f"The jobs file is not UTF-8 text (at byte {error.start}): convert it.") from None
    except RecursionError:
        raise InvalidError(
            "The jobs file is nested too deeply: it holds [[job]] and [defaults], and limits in them."
        ) from None
    except ValueError as error:
        raise InvalidError(f"The jobs file is no TOML: {str(error)[:300]}. Correct it there.") from None


def _draft(number: int, given: Mapping[str, Any], read_prompt: ReadPrompt) -> dict[str, Any]:
    name = given.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidError(f"Job {number} of the jobs file has no name: that is what it is known by. Give it one.")
    try:
        return _spelled_out({key: _plain(value) for key, value in given.items()}, read_prompt)
    except InvalidError as error:
        raise InvalidError(f"Job {shown(name)}: {error}") from None


def _spelled_out(draft: dict[str, Any], read_prompt: ReadPrompt) -> dict[str, Any]:
    """With the keys of a job in the place of their short forms."""
    for key in sorted(draft):
        if key not in _SHORT and (key not in CronJob.model_fields or key in KEPT_OUT - {"search_path"}):
            near = suggestion(key, [*_SHORT, *(set(CronJob.model_fields) - KEPT_OUT)])
            raise InvalidError(f"there is no key {shown(key)} in a jobs file.{near}")
    _replace(draft, "every", "cron_expr", lambda text: f"@every {text}")
    _replace(draft, "prompt_file", "prompt", read_prompt)
    for short, key in _SECONDS.items():
        _replace(draft, short, key, _seconds)
    if isinstance(draft.get("retry_delay"), str):
        draft["retry_delay"] = parse_duration(draft["retry_delay"]) // dt.timedelta(microseconds=1) * 1000
    if isinstance(limits := draft.get("limits"), dict):
        draft["limits"] = {key: _size(key, value) for key, value in limits.items()}
    if draft.get("command"):
        draft.setdefault("agent", "command")
    if draft.get("allow_hosts"):
        draft.setdefault("network", "allow")
    if draft.get("output_schema"):
        draft.setdefault("output_format", "structured")
    return draft


def _replace(draft: dict[str, Any], short: str, key: str, made: Callable[[str], object]) -> None:
    if short not in draft:
        return
    text = draft.pop(short)
    if key in draft:
        raise InvalidError(f"it gives both {short} and {key}; one of them is enough.")
    if not isinstance(text, str):
        raise InvalidError(f"{short} is a text, not {shown(text)}.")
    draft[key] = made(text)


def _seconds(text: str) -> int:
    exact = parse_duration(text)
    if exact % dt.timedelta(seconds=1):
        raise InvalidError(f"the duration {text!r} is no whole number of seconds: write it like 30m or 90s.")
    return exact // dt.timedelta(seconds=1)


def _size(key: str, value: object) -> object:
    if key not in _SIZES or not isinstance(value, str):
        return value
    try:
        return parse_size(value)
    except ValueError as error:
        raise InvalidError(f"the size {value[:40]!r} cannot be read: it {error}.") from None


def _plain(value: object, depth: int = 0) -> object:
    """TOML's own times as texts, which is how JSON carries them."""
    if depth > MOST_NESTED:
        raise InvalidError("its values are nested too deeply: only limits and budgets are tables.")
    if isinstance(value, dict):
        return {key: _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, depth + 1) for item in value]
    return value.isoformat() if isinstance(value, dt.datetime | dt.date | dt.time) else value


def written(jobs: Iterable[CronJob]) -> str:
    """These jobs as a jobs file. One without a name is called by its id."""
    blocks = ["# Jobs of cronward: `cronward apply` takes this file.\n"]
    for job in jobs:
        members = {"name": job.name or job.id, **_said(job)}
        blocks.append(
            "[[job]]\n" + "".join(f"{toml_key(key)} = {toml_value(value)}\n" for key, value in members.items())
        )
    return "\n".join(blocks)


def _said(job: CronJob) -> dict[str, object]:
    """What of it is not as usual, in the order of a job's fields. Its agent and its network are always said: what is
    usual of these may differ on another host."""
    found: dict[str, object] = {}
    record = job.definition()
    for key, about in CronJob.model_fields.items():
        if key in KEPT_OUT or key == "name" or key not in record:
            continue
        if key in ("agent", "network", "prompt") or getattr(job, key) != about.default:
            value = record[key]
            found[key] = (
                {name: each for name, each in value.items() if each is not None} if isinstance(value, dict) else value
            )
    return found
