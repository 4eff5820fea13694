"""From what a person wrote to a job: checked whole, before anything is stored."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from supervisor.agents.adapters import adapter
from supervisor.agents.agents import settled
from supervisor.agents.answerschema import check_schema
from supervisor.agents.keeps import check_session
from supervisor.agents.logins import check_logged_in
from supervisor.budgets.metering import check_caps, meter_of
from supervisor.config import Config
from supervisor.definitions.grants import check_grants, check_set
from supervisor.definitions.isolation import check_isolation
from supervisor.definitions.limits import Maxima
from supervisor.definitions.network import check_network, with_reach
from supervisor.definitions.paths import settle_paths
from supervisor.definitions.permitted import check_limits, check_run_as
from supervisor.definitions.prompts import check_prompt
from supervisor.definitions.secrets import SecretStore
from supervisor.definitions.tasks import check_tasks, with_search
from supervisor.errors import InvalidError
from supervisor.models import MAX_PROMPT, CronJob, OutputFormat
from supervisor.notifications.tellable import check_told
from supervisor.programs.programs import CELL_PATH
from supervisor.sentences import sentence
from supervisor.spawning.clones import check_clone
from supervisor.stores.home import Home
from supervisor.stores.jobs import new_id
from supervisor.timing.hostzone import host_zone
from supervisor.timing.occurrences import next_occurrence, schedule_of
from supervisor.timing.schedule import parse

JobDraft = dict[str, Any]
"""CronJob's JSON keys as a person gives them; what is left out has its default."""

FIRST_YEAR, LAST_YEAR = 2, 9998
"""Earlier and later instants have no wall time in some zone."""
OURS = ("created_at", "changed_at", "anchor", "program", "last_run", "last_error", "next_run", "run_count")
_LINES = (
    "name",
    "command",
    "gate",
    "check",
    "search_path",
    "work_dir",
    "model",
    "created_by",
    "applied_from",
    "imported_from",
    "session_key",
    "pause_reason",
    "run_as",
)
# A prompt is text. NUL ends C strings; other controls are terminal escapes or a binary file given by mistake.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a definition is made: what it is checked against."""

    home: Path
    """cronward's own state, which no job may work in."""
    host_zone: str
    default_agent: str
    new_id: Callable[[], str]
    permit_host_network: bool = False
    permit_no_isolation: bool = False
    search_path: str = CELL_PATH
    """Where programs are looked for, unless the draft says otherwise."""
    maxima: Maxima = field(default_factory=Maxima)
    agents_dir: str = ""
    """Where the owner's adapters lie."""
    targets: frozenset[str] = frozenset()
    """Who can be told, by name."""


def setting_of(home: Home, config: Config) -> Setting:
    """What definitions are checked against here, as a supervisor of this home would."""
    return Setting(
        home=home.root,
        host_zone=host_zone().key,
        default_agent=config.default_agent,
        new_id=new_id,
        permit_host_network=config.permit_host_network,
        permit_no_isolation=config.permit_no_isolation,
        search_path=os.environ.get("PATH") or CELL_PATH,
        maxima=config.maxima,
        agents_dir=config.agents_dir,
        targets=frozenset(config.notify.targets),
    )


def define(draft: JobDraft, setting: Setting, now: datetime) -> CronJob:
    """The job that this draft describes. Raises InvalidError, a sentence, and then nothing has happened."""
    job = checked(settle_time(drafted(draft, setting, now), setting.host_zone, now), setting)
    check_granted(job, setting)
    return job


def drafted(draft: JobDraft, setting: Setting, now: datetime) -> CronJob:
    """The job that this draft describes, with its defaults; neither its timing nor anything else of it is checked."""
    refuse_ours(draft)
    whole = {
        "id": setting.new_id(),
        "agent": setting.default_agent,
        "search_path": setting.search_path,
        **draft,
        "created_at": now,
        "changed_at": now,
    }
    if draft.get("command") and "agent" not in draft:
        whole["agent"] = "command"
    if draft.get("isolation") == "none" and "network" not in draft:
        whole["network"] = "host"
    try:
        job = CronJob.model_validate(whole)
    except ValidationError as error:
        raise InvalidError(sentence(error, "job", CronJob)) from None
    return with_reach(job, adapter(job.agent, setting.agents_dir), whole)


def check_granted(job: CronJob, setting: Setting) -> None:
    """Refuse a job that is granted what is not there. Raises InvalidError."""
    check_set(job, SecretStore(Home.of(setting.home)))
    check_logged_in(job, Home.of(setting.home))


def refuse_ours(draft: JobDraft) -> None:
    """Refuse a draft with fields that nobody but cronward writes."""
    for key in OURS:
        if key in draft:
            raise InvalidError(f"The field {key!r} is kept by cronward and cannot be given; leave it out.")


def checked(job: CronJob, setting: Setting) -> CronJob:
    """The job with everything but its timing checked and settled. Raises InvalidError."""
    if job.name.startswith("-"):
        raise InvalidError(f"The name {job.name!r} begins with a dash and would be read as an option; choose another.")
    _check_texts(job)
    if job.pause_reason and job.enabled:
        raise InvalidError("A reason for a pause is given, but the job is enabled; add it paused, or leave it out.")
    if job.rerun_unknown and not job.retries:
        raise InvalidError("rerun_unknown makes a retry of a run that nobody saw end: give at least one (retries).")
    _check_output(job)
    check_told(job, setting.targets)
    job = settle_paths(job, setting.home)
    check_clone(job)
    check_isolation(job, setting.permit_no_isolation)
    check_network(job, setting.permit_host_network or job.isolation == "none")
    check_grants(job)
    check_prompt(job)
    check_tasks(job)
    check_limits(job, setting.maxima)
    check_run_as(job)
    check_caps(job, meter_of(job, setting.agents_dir))
    check_session(job, adapter(job.agent, setting.agents_dir))
    return with_search(settled(job, setting.agents_dir), job.search_path)


def check_reason(job: CronJob, reason: str) -> None:
    """Refuse a reason for a pause that cannot be stored or shown. Raises InvalidError."""
    try:
        paused = CronJob.model_validate({**dict(job), "enabled": False, "pause_reason": reason})
    except ValidationError as error:
        raise InvalidError(sentence(error, "pause", CronJob)) from None
    _check_texts(paused)


def settle_time(job: CronJob, host_zone: str, now: datetime, ran: int = 0) -> CronJob:
    """With its zone resolved, so that a host that moves does not move the job. Refuses what will never be due.

    `ran`: how many runs it has had.
    """
    if job.max_runs is not None and ran >= job.max_runs:
        raise InvalidError(
            f"The job would never run: it has run {ran} times, and max_runs is {job.max_runs}. Give it more, or 0."
        )
    if bool(job.cron_expr) == (job.at is not None):
        raise InvalidError("A job has either a cron expression or one instant (at); give exactly one of them.")
    _check_life(job)
    if job.at is not None:
        if job.at.year > LAST_YEAR:
            raise InvalidError(f"The instant {job.at.isoformat()} is out of range; use a year up to {LAST_YEAR}.")
        if job.at <= now:
            raise InvalidError(f"The instant {job.at.isoformat()} is past; give one to come.")
        if next_occurrence(job, now) is None:
            raise InvalidError(
                f"The job would never run: {job.at.isoformat()} lies beyond its end (until). Give a later end, or none."
            )
        return job.model_copy(update={"at": job.at.astimezone(UTC)})
    schedule = parse(job.cron_expr, timezone=job.timezone, dst=job.dst)
    if schedule.raised:
        raise InvalidError(f"The interval of {job.cron_expr!r} is below one second; give a longer one.")
    if schedule.timezone is None and schedule.every is None:
        job = job.model_copy(update={"timezone": host_zone})
        schedule_of(job)
    if next_occurrence(job, now) is None:
        raise InvalidError(
            f"The job would never run: {job.cron_expr!r} has no instant between its start and its end. Move one."
        )
    return job


def _check_life(job: CronJob) -> None:
    for what, instant in (("start", job.start), ("end (until)", job.until)):
        if instant is not None and not FIRST_YEAR <= instant.year <= LAST_YEAR:
            raise InvalidError(
                f"The job's {what}, {instant.isoformat()}, is out of range; "
                f"use a year from {FIRST_YEAR} to {LAST_YEAR}, or leave it out."
            )


def _check_texts(job: CronJob) -> None:
    size = len(job.prompt.encode("utf-8", "surrogatepass"))
    if size > MAX_PROMPT:
        raise InvalidError(f"The prompt has {size} bytes; at most {MAX_PROMPT} are taken. Point to a file instead.")
    if not job.prompt.strip():
        raise InvalidError("The prompt is empty; say what the agent should do.")
    found = _CONTROL.search(job.prompt)
    if found:
        raise InvalidError(f"The prompt holds the control character {found.group()!r}; it has to be plain text.")
    for name in ("prompt", "output_schema", *_LINES):
        _check_plain(name, getattr(job, name))
    for name in _LINES:
        found = _UNPRINTABLE.search(getattr(job, name))
        if found:
            raise InvalidError(f"The field {name} holds the character {found.group()!r}; it has to be printable.")


def _check_plain(name: str, text: str) -> None:
    """JSON can carry half of a surrogate pair; no file and no pipe can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidError(
            f"The field {name} is not valid Unicode text: it holds half of a surrogate pair. Take that out."
        ) from None


def _check_output(job: CronJob) -> None:
    if job.output_format is OutputFormat.STRUCTURED and not job.output_schema:
        raise InvalidError(
            "Structured output needs a schema (output_schema). Give one, or ask for json, which takes any."
        )
    if job.output_schema:
        if job.output_format is not OutputFormat.STRUCTURED:
            raise InvalidError(
                f"A schema is given, but the output format is {job.output_format.value}; use structured."
            )
        check_schema(job.output_schema)
