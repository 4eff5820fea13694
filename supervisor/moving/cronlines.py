"""A whole crontab of jobs of ours, with those that cannot be lines of it as comments."""

from __future__ import annotations

from collections.abc import Iterable

from supervisor.errors import InvalidError
from supervisor.models import CronJob
from supervisor.moving.note import Note
from supervisor.moving.shelljob import line_of, zone_of

_FIELDS_OF_CRON = frozenset(
    {"id", "name", "cron_expr", "timezone", "prompt", "agent", "command", "search_path", "program", "enabled"}
    | {"pause_reason", "created_by", "created_at", "changed_at", "anchor", "applied_from", "last_run", "last_error"}
    | {"imported_from", "next_run", "run_count", "network", "retries", "dst", "isolation"}
)


def crontab_of(jobs: Iterable[CronJob], host_zone: str) -> tuple[str, list[Note]]:
    """The crontab, and what it does not say. Paused jobs are comments."""
    lines = ["# Jobs of cronward. cron runs them with your rights and without a cell."]
    notes: list[Note] = []
    zone = ""
    for job in jobs:
        try:
            line = line_of(job)
        except InvalidError as error:
            why = " ".join(str(error).split()).rstrip(".")
            notes.append(Note(job.label, f"is left out: {why}.", refused=True))
            lines.append(f"# {job.label}: left out")
            continue
        wanted = zone_of(job, host_zone)
        paused = "" if job.enabled else f" (paused{f', CRON_TZ={wanted}' if wanted else ''})"
        if wanted != zone and job.enabled:
            lines.append(f"CRON_TZ={wanted or host_zone}")
            zone = wanted
            notes.append(Note(job.label, "has a CRON_TZ before it, which cronie knows and Debian's cron does not."))
        lines += [f"# {job.label}{paused}", line if job.enabled else f"#{line}"]
        lost = [key for key, about in type(job).model_fields.items() if _is_lost(job, key, about.default)]
        if lost:
            notes.append(Note(job.label, f"cron has no place for: {', '.join(lost)}."))
    return "\n".join(lines) + "\n", notes


def _is_lost(job: CronJob, key: str, usual: object) -> bool:
    return key not in _FIELDS_OF_CRON and getattr(job, key) != usual
