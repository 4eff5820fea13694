"""What was imported of the original's files, kept as it was: `imported/` of the home."""

from __future__ import annotations

from pathlib import Path

from supervisor.errors import CronwardError
from supervisor.moving.departure import Archive
from supervisor.moving.original import read_jobs, read_runs
from supervisor.stores.home import Home
from supervisor.stores.store import DamagedError, read_json

FILE_BYTES = 512 << 20
VERSION = 1


def read_archives(home: Home) -> tuple[Archive, list[str]]:
    """What there is, the latest import last, and a sentence for each that cannot be read."""
    found: list[tuple[str, dict[str, str]]] = []
    problems: list[str] = []
    for path in sorted(home.imported.glob("*.json")) if home.imported.is_dir() else []:
        try:
            found.append(_read(path))
        except (CronwardError, OSError) as error:
            problems.append(f"What was imported is written anew, not as it was: {error}")
    files = [each for _, each in sorted(found, key=lambda each: each[0])]
    jobs = tuple(read_jobs(each["jobs"].encode()) for each in files if "jobs" in each)
    runs = tuple(read_runs(each["runs"].encode()) for each in files if "runs" in each)
    return Archive(jobs, runs), problems


def _read(path: Path) -> tuple[str, dict[str, str]]:
    record = read_json(path, FILE_BYTES, VERSION)
    at, files = record.get("imported_at"), record.get("files")
    if not isinstance(at, str) or not isinstance(files, dict) or not all(isinstance(t, str) for t in files.values()):
        raise DamagedError(f"{path} is damaged.")
    for kind, read in (("jobs", read_jobs), ("runs", read_runs)):
        if kind in files:
            read(files[kind].encode())
    return at, files
