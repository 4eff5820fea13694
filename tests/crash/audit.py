"""What must hold after any history of crashes: the records of the supervisor against the ledgers of the jobs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.crash.sown import Sown

Record = dict[str, Any]
Attempt = tuple[str, int]
FINAL = ("completed", "failed", "canceled", "skipped", "unknown")


@dataclass
class Audit:
    """The verdict. `violations` are sentences; empty is what everybody hopes for."""

    violations: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    occurrences: int = 0
    records: list[Record] = field(default_factory=list)

    def must(self, holds: object, words: str) -> None:
        if not holds:
            self.violations.append(words)


def newest(path: Path) -> list[Record]:
    """The newest record of each run in a history, read from the file itself."""
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    found: dict[str, Record] = {}
    for line in lines[1:-1]:
        run = json.loads(line)
        found[run["id"]] = run
    return list(found.values())


def audit(home: Path, jobs: Iterable[Sown], until: datetime) -> Audit:
    """Hold everything to account. `until`: everything due by then has its record. The supervisor has ended well."""
    verdict = Audit()
    left = [path.name for path in (home / "damaged").glob("*")] if (home / "damaged").exists() else []
    verdict.must(not left, f"damaged: {left}")
    for job in jobs:
        path = home / "runs" / f"{job.job_id}.jsonl"
        data = path.read_bytes() if path.exists() else b"\n"
        verdict.must(data.endswith(b"\n"), f"{job.name}: its history ends in a torn line")
        runs = newest(path)
        verdict.records += runs
        _account(verdict, job, runs, until)
        _compare(verdict, job, {run["id"]: run for run in runs})
    for run in verdict.records:
        end = run["status"] if run["status"] == "completed" else f"{run['status']} ({run['reason']})"
        verdict.ends[end] += 1
        verdict.must(run["status"] in FINAL, f"{run['id']} of {run['job_name']} is still {run['status']}")
    return verdict


def covered(run: Record, job: Sown, verdict: Audit) -> set[datetime]:
    """The occurrences that a record stands for: one, or a range of missed ones that it names in words."""
    last = datetime.fromisoformat(run["scheduled_at"])
    words = run["error"].split()
    if run["reason"] != "missed" or len(words) < 8:
        return {last}
    count, first = int(words[0]), datetime.fromisoformat(words[5])
    found = set(job.rhythm.due(first, last, job.anchor))
    verdict.must(len(found) == count, f"{run['id']}: {count} missed from {first} to {last} were {len(found)}")
    return found


def _account(verdict: Audit, job: Sown, runs: list[Record], until: datetime) -> None:
    """One record for each occurrence: none twice, none missing, none that never was due."""
    seen: set[datetime] = set()
    for run in runs:
        if run["trigger"] == "manual":
            continue
        instants = covered(run, job, verdict)
        twice = seen & instants
        verdict.must(not twice, f"{job.name}: {sorted(twice)[:3]} twice, the second as {run['id']}")
        seen |= instants
    verdict.occurrences += len(seen)
    if not seen:
        verdict.must(not any(True for _ in job.due(until)), f"{job.name}: nothing was ever due")
        return
    ever = set(job.rhythm.due(job.owed_from, max(seen), job.anchor))
    verdict.must(seen <= ever, f"{job.name}: never due: {[str(at) for at in sorted(seen - ever)[:3]]}")
    lost = [str(at) for at in job.due(until) if at not in seen]
    verdict.must(not lost, f"{job.name}: {len(lost)} lost: {lost[:3]}")


def entries(job: Sown, name: str = "ledger") -> Iterator[tuple[Attempt, str]]:
    """The lines that the job's own command wrote, as (run, attempt) and the scheduled instant."""
    for line in (job.work / name).read_text().splitlines():
        run_id, attempt, at = line.split()
        yield (run_id, int(attempt)), at


def _compare(verdict: Audit, job: Sown, runs: dict[str, Record]) -> None:
    """Records against the ledger: what is completed happened once, what is skipped never, nothing happened twice."""
    lines = Counter[Attempt]()
    for (run_id, attempt), at in entries(job):
        lines[run_id, attempt] += 1
        run = runs.get(run_id)
        verdict.must(run, f"{job.name}: {run_id} happened and has no record")
        if run is not None:
            same = datetime.fromisoformat(run["scheduled_at"]) == datetime.fromisoformat(at)
            verdict.must(same, f"{run_id} is of {run['scheduled_at']}, and its command was told {at}")
            verdict.must(1 <= attempt <= run["attempt"], f"{run_id}: attempt {attempt} of {run['attempt']} happened")
            verdict.must(run["status"] != "skipped", f"{run_id} is skipped, and it happened")
            verdict.must(run["status"] != "canceled" or run["attempt"], f"{run_id} never started, and it happened")
    for (run_id, attempt), count in lines.items():
        verdict.must(count == 1, f"{job.name}: attempt {attempt} of {run_id} happened {count} times")
    for run in runs.values():
        if run["status"] == "completed":
            verdict.must(lines[run["id"], run["attempt"]] == 1, f"{run['id']} is completed and never happened")
    beside = [run_id for (run_id, _), _ in entries(job, "beside")]
    verdict.must(not beside, f"{job.name}: these ran beside another of the job: {beside[:3]}")
