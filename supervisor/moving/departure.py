"""From jobs and runs of ours to the original's two files, as its Go code would write them.

What came from the original and has not been changed since is written as it was there, digit by digit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from supervisor.models import CronJob, CronRun
from supervisor.moving.arrival import draft_of
from supervisor.moving.gojson import go_list, go_object, go_time, go_value
from supervisor.moving.note import Note
from supervisor.moving.original import JOB_KEYS, OMITTED, RUN_KEYS, OriginalFile, Record
from supervisor.timing.schedule import parse

MOST_RUNS = 100
"""Of each job, as the original keeps them."""
STATUSES = ("completed", "failed", "canceled")
_OURS_ALONE = frozenset(
    {"changed_at", "anchor", "program", "search_path", "timezone", "timeout_secs", "at", "pause_reason"}
    | {"applied_from", "imported_from"}
)
"""Not missed there, or told of in another way."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`resumes`: whether an agent can go on with a conversation. `resolve`: where the links of a path lead."""

    host_zone: str
    resumes: Callable[[str], bool]
    resolve: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Archive:
    """What was imported, the latest import last."""

    jobs: Sequence[OriginalFile] = ()
    runs: Sequence[OriginalFile] = ()


@dataclass(slots=True)
class Left:
    """The two files, and what they do not say."""

    jobs: str
    runs: str
    job_count: int
    run_count: int
    notes: list[Note] = field(default_factory=list)


def depart(
    jobs: Sequence[CronJob], runs: Mapping[str, Sequence[CronRun]], archive: Archive, around: Surroundings
) -> Left:
    """The files for these jobs and runs (by the job's id, any order), derived fields filled in."""
    notes: list[Note] = []
    ours = {job.id: job for job in jobs}
    was = {record.id: record for file in archive.jobs for record in file.records}
    order = [ours[job_id] for job_id in was if job_id in ours]
    order += [job for job in jobs if job.id not in was]
    began = {run_id for file in archive.runs for run_id in (record.id for record in file.records)}
    written: list[str] = []
    for job in order:
        if job.at is not None:
            notes.append(Note(job.label, "is left out: the original has no jobs that run once.", refused=True))
            continue
        known = was.get(job.id)
        before = [run for run in runs.get(job.id, ()) if run.id in began]
        written.append(_job(job, known, before, around))
        notes += _missed(job, around)
    told = _runs(runs, archive, notes)
    ends = (_ending(archive.jobs), _ending(archive.runs))
    return Left(_file("jobs", written, ends[0]), _file("runs", told, ends[1]), len(written), len(told), notes)


def _file(kind: str, records: Sequence[str], ending: tuple[str, str]) -> str:
    empty, end = ending
    items = go_list(records, 1) if records else empty
    return go_object([("version", "1"), (kind, items)], 0) + end


def _ending(files: Sequence[OriginalFile]) -> tuple[str, str]:
    """How the file that was imported last wrote a list of nothing, and what came at its end."""
    return (files[-1].empty, files[-1].ending) if files else ("[]", "")


def _job(job: CronJob, known: Record | None, before: Sequence[CronRun], around: Surroundings) -> str:
    values = _values(job, around)
    same = _unchanged(job, known, before, around) if known is not None else frozenset()
    members: list[tuple[str, str]] = []
    for key in JOB_KEYS:
        if known is not None and key in same:
            if key in known.members:
                members.append((key, known.members[key].text))
        elif not (key in OMITTED and not values[key]):
            members.append((key, go_value(values[key])))
    return go_object(members, 2)


def _values(job: CronJob, around: Surroundings) -> dict[str, object]:
    record = job.model_dump(mode="json")
    values: dict[str, object] = {key: record[key] for key in JOB_KEYS}
    values["cron_expr"] = _expression(job, around.host_zone)
    if job.timeout_secs is not None:
        values["timeout_mins"] = -(-job.timeout_secs // 60)
    for key in ("created_at", "last_run", "next_run"):
        at = getattr(job, key)
        assert isinstance(at, datetime)
        values[key] = go_time(at)
    return values


def _expression(job: CronJob, host_zone: str) -> str:
    """With six fields, which is all that the original's parser takes."""
    schedule = parse(job.cron_expr)
    prefix, body = "", job.cron_expr
    if schedule.timezone is not None and body.startswith(("TZ=", "CRON_TZ=")):
        prefix, _, body = body.partition(" ")
        prefix += " "
    elif job.timezone not in (None, host_zone):
        prefix = f"CRON_TZ={job.timezone} "
    five = not body.startswith("@") and len(body.split()) == 5
    return f"{prefix}{'0 ' if five else ''}{body.strip()}"


def _unchanged(job: CronJob, known: Record, before: Sequence[CronRun], around: Surroundings) -> frozenset[str]:
    """The keys of which ours says what the original said."""
    draft, _ = draft_of(known, around.resumes(job.agent))
    draft = {"type": "light", "output_format": "text", "work_dir": "", "on_complete": "", "on_fail": ""} | draft
    draft["work_dir"] = around.resolve(draft["work_dir"]) if draft["work_dir"] else ""
    ours = job.model_dump(mode="json")
    same = {key for key in JOB_KEYS if key in draft and ours[key] == draft[key]} | {"created_at"}
    adapted = {"session_key": draft.get("session_key", ""), "output_schema": draft.get("output_schema", "")}
    same |= {key for key, value in adapted.items() if ours[key] == value}
    if _expression(job, around.host_zone) != _expression(job.model_copy(update={"timezone": None}), around.host_zone):
        same -= {"cron_expr"}
    if job.timeout_secs is not None:
        same -= {"timeout_mins"}
    counted = max(sum(run.started_at.year > 1 for run in before), int(str(known.get("run_count"))))
    if job.run_count == counted:
        same |= {"last_run", "last_error", "run_count"}
        if {"enabled", "cron_expr"} <= same:
            same |= {"next_run"}
    return frozenset(same)


def _missed(job: CronJob, around: Surroundings) -> Iterator[Note]:
    """What the original has no place for."""
    usual = type(job).model_fields
    given = [
        key
        for key, about in usual.items()
        if key not in JOB_KEYS and key not in _OURS_ALONE and getattr(job, key) != about.default
    ]
    if given:
        yield Note(job.label, f"the original has no place for: {', '.join(given)}.")
    if job.timeout_secs is not None and job.timeout_secs % 60:
        yield Note(job.label, "its timeout is rounded up to whole minutes.")
    if parse(job.cron_expr).timezone is None and job.timezone not in (None, around.host_zone):
        yield Note(job.label, f"its zone {job.timezone} is written before its expression.")


def _runs(runs: Mapping[str, Sequence[CronRun]], archive: Archive, notes: list[Note]) -> list[str]:
    """Those that were imported in their order, then ours, of each job the newest."""
    here = {run.id: run for of_job in runs.values() for run in of_job}
    was = {record.id: record for file in archive.runs for record in file.records}
    found: list[tuple[str, str]] = [(here[run_id].job_id, _as_it_was(was[run_id])) for run_id in was if run_id in here]
    new = sorted((run for run in here.values() if run.id not in was), key=lambda run: (run.finished_at, run.id))
    carried = [run for run in new if run.status.value in STATUSES]
    if len(carried) < len(new):
        text = f"{len(new) - len(carried)} that are not over, or were skipped or are unknown, are left out."
        notes.append(Note("runs", text))
    found += [(run.job_id, _run(run)) for run in carried]
    return list(_newest(found))


def _newest(found: Sequence[tuple[str, str]]) -> Iterable[str]:
    left: dict[str, int] = {}
    for job_id, _ in found:
        left[job_id] = left.get(job_id, 0) + 1
    for job_id, text in found:
        left[job_id] -= 1
        if left[job_id] < MOST_RUNS:
            yield text


def _as_it_was(record: Record) -> str:
    return go_object([(key, record.members[key].text) for key in RUN_KEYS if key in record.members], 2)


def _run(run: CronRun) -> str:
    values = {key: getattr(run, key) for key in RUN_KEYS} | {"status": run.status.value}
    values |= {key: go_time(values[key]) for key in ("started_at", "finished_at")}
    return go_object([(key, go_value(values[key])) for key in RUN_KEYS if values[key] or key not in OMITTED], 2)
