"""A home with very many jobs, written at once: as the stores would have written it one by one, but for the syncs."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from shared.reasons import Reason
from supervisor.models import CronJob, CronRun
from supervisor.status import Status
from supervisor.stores import jobfile, sums
from supervisor.stores.asciijson import to_ascii_json
from supervisor.stores.history import encoded, first_line
from supervisor.stores.home import Home
from supervisor.stores.summary import NOTHING

SCHEDULES = 1440
_ADDED = datetime(2026, 1, 1, tzinfo=UTC)
_PROMPT = "Read what is new in the repository since yesterday, and say in three sentences what matters. " * 4


@contextmanager
def folder(*, smoke: bool) -> Iterator[Path]:
    """Where a benchmark's homes lie: in TMPDIR, whose disk counts; in memory where nothing is measured."""
    fast = "/dev/shm" if smoke and os.access("/dev/shm", os.W_OK) else None
    name = tempfile.mkdtemp(prefix="cronward-bench-", dir=fast)
    try:
        yield Path(name)
    finally:
        subprocess.run(["rm", "-rf", "--", name], check=True)  # shutil takes four times as long for so many files


def id_of(number: int) -> str:
    """Of this one of a crowd."""
    return f"{number:08x}-0000-4000-8000-{number:012x}"


def schedule_of(number: int, month: int | None) -> str:
    """Once a day of the month, or of all months, at one of so many times."""
    at = number * 7 % SCHEDULES
    return f"{at % 60} {at // 60} * {month or '*'} *"


def job_of(number: int, now: datetime, month: int | None = None) -> CronJob:
    """A job as people have them."""
    return CronJob(
        id=id_of(number),
        name=f"job {number}",
        cron_expr=schedule_of(number, month),
        timezone="Europe/Berlin",
        prompt=_PROMPT,
        agent="command",
        command="/usr/bin/true",
        search_path="/usr/local/bin:/usr/bin:/bin",
        created_at=_ADDED,
        changed_at=now,
    )


def definitions(count: int, now: datetime, month: int | None) -> Iterator[tuple[str, bytes]]:
    """The ids of so many jobs, and what their files hold."""
    pattern, _ = jobfile.encoded(job_of(0, now, month))
    first = {b"id": id_of(0), b"name": "job 0", b"cron_expr": schedule_of(0, month)}
    for number in range(count):
        data = pattern
        for key, new in (
            (b"id", id_of(number)),
            (b"name", f"job {number}"),
            (b"cron_expr", schedule_of(number, month)),
        ):
            data = data.replace(b'"%s": "%s"' % (key, first[key].encode()), b'"%s": "%s"' % (key, new.encode()), 1)
        yield id_of(number), data


def add_jobs(home: Home, count: int, now: datetime, month: int | None = None) -> bytes:
    """Add so many. Returns one JSON text that holds them all."""
    home.create()
    whole = []
    for job_id, data in definitions(count, now, month):
        _write(jobfile.path_of(home, job_id), data)
        whole.append(data)
    return b"[" + b",".join(whole) + b"]"


def add_runs(home: Home, count: int, now: datetime) -> None:
    """One run that is over for each of so many jobs, and the note that whoever wrote it left."""
    claim = claimed(id_of(0), id_of(0), now)
    end = ended(claim, now)
    pattern = first_line(NOTHING, folded=0) + encoded(claim.record()) + encoded(end.record())
    summary = NOTHING.after(claim, counted=False, ended=False).after(end, counted=True, ended=False)
    note = to_ascii_json(summary)
    for number in range(count):
        job_id = id_of(number)
        path = home.runs / f"{job_id}.jsonl"
        _write(path, pattern.replace(id_of(0).encode(), job_id.encode()))
        sums.write(home.sums / job_id, sums.state_of(path.stat()), note, (), sums.Size(2, 1, 0))


def claimed(job_id: str, run_id: str, now: datetime) -> CronRun:
    """A run that has just been claimed."""
    queued = CronRun(id=run_id, job_id=job_id, job_name="job", status=Status.QUEUED, scheduled_at=now, queued_at=now)
    facts = {"attempt": 1, "agent": "command", "log_dir": f"/var/lib/cronward/logs/{run_id}/1", "host": "here"}
    return queued.moved(Status.RUNNING, started_at=now, **facts, boot_id="11111111-0000-4000-8000-000000000001")


def ended(run: CronRun, now: datetime) -> CronRun:
    """The same when it is over."""
    answer = {"response": "All is well. " * 20, "answer_bytes": 260, "exit_code": 0, "duration": 1_000_000_000}
    return run.moved(Status.COMPLETED, reason=Reason.OK, finished_at=now, **answer)


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
