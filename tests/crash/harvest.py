"""The end of a trial: everything due has its record, everything going on ends, and all is held to account."""

from __future__ import annotations

from datetime import UTC, datetime

from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.runs import RunsStore
from tests.crash.audit import Audit, audit, newest
from tests.crash.reign import Reign
from tests.crash.sown import Sown
from tests.driver import eventually

SETTLE_WITHIN = 120.0
ENDED_WITHIN = 120.0
GONE_WITHIN = 30.0
STOP_WITHIN = 90.0


def harvest(reign: Reign, jobs: list[Sown]) -> Audit:
    """With a supervisor that keeps time, and well: what it is owed by now is seen to, then it stops."""
    due_by = datetime.now(UTC)
    eventually(lambda: all(_settled(reign, job, due_by) for job in jobs), SETTLE_WITHIN)
    for job in jobs:
        reign.client.pause_job(job.job_id)
    eventually(lambda: not reign.client.live(), ENDED_WITHIN)
    code = reign.stop(STOP_WITHIN)
    eventually(reign.nothing_lives, GONE_WITHIN)
    verdict = audit(reign.root, jobs, due_by)
    verdict.must(code == 0, f"it did not stop well, but with {code}")
    _open(verdict, reign, jobs)
    return verdict


def _settled(reign: Reign, job: Sown, due_by: datetime) -> bool:
    last = max(job.due(due_by), default=None)
    runs = newest(reign.root / "runs" / f"{job.job_id}.jsonl")
    return last is None or any(
        run["trigger"] != "manual" and datetime.fromisoformat(run["scheduled_at"]) >= last for run in runs
    )


def _open(verdict: Audit, reign: Reign, jobs: list[Sown]) -> None:
    """The stores say what the files say, and find nothing wrong with them."""
    home = Home(reign.root)
    definitions, runs = CronStore(home), RunsStore(home, keep=100_000)
    found = {job.id for job in definitions.list()}
    verdict.must(found == {job.job_id for job in jobs}, f"{len(found)} definitions of {len(jobs)} are there")
    verdict.must(runs.unfinished() == [], "a run is left open")
    verdict.must(not runs.damaged, f"damaged: {runs.damaged}")
    counted = len(runs.all_runs())
    verdict.must(counted == len(verdict.records), f"the store says {counted} runs, its files {len(verdict.records)}")
