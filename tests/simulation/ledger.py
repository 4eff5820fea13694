"""What must hold whatever happens: the promises, checked against everything that gets on disk or is started.

It hears of each durable line, of each start and of each true end, and shares no code with what it checks but the
tables of states and reasons. `BrokenError` says which promise, at which instant.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import isfinite
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from shared.reasons import Reason
from supervisor.models import NEVER, CatchUp, CronJob, Overlap
from supervisor.status import ALLOWED, Status
from tests.simulation import oracle
from tests.simulation.accounts import Accounts
from tests.simulation.actors import Key, SimRunner

Record = dict[str, Any]
DAY = timedelta(days=1)
LATE_WINDOW = 12 * DAY
EPSILON = 0.001


class BrokenError(AssertionError):
    """A promise does not hold."""


def must(holds: object, promise: str, words: str) -> None:
    if not holds:
        raise BrokenError(f"{promise}: {words}")


@dataclass
class Span:
    """A job with the definition it had for a while: occurrences in (after, until] are owed. None: until now."""

    job: CronJob
    after: datetime
    until: datetime | None = None
    redated: bool = False
    """Whether the clock was ahead by more than a day when it began, and what was settled then may come again."""
    attended: int = 0
    """How many of its occurrences are known to have been seen to."""
    _due: tuple[datetime, ...] | None = None

    def occurrences(self) -> tuple[datetime, ...]:
        """All of them within a few days, jitter left out."""
        if self._due is None:
            self._due = tuple(at for at in _due(self.job, self.after) if at > self.after and _within(self.job, at))
        return self._due


def _may_follow(was: Status, status: Status, run: Record) -> bool:
    if was is Status.RUNNING and run["stop_reason"] is not None:
        # On a full disk nobody waits to store that a run is told to stop; what follows stands for both steps.
        return status in (Status.STOPPING, *ALLOWED[Status.STOPPING])
    return status is was or status in ALLOWED[was]


def _due(job: CronJob, after: datetime) -> tuple[datetime, ...]:
    if job.at is not None:
        return (job.at,)
    if job.cron_expr.startswith("@every "):
        every = timedelta(minutes=int(job.cron_expr.removeprefix("@every ").rstrip("m")))
        anchor = job.created_at if job.anchor == NEVER else job.anchor
        return tuple(oracle.grid(anchor, every, after, after + LATE_WINDOW))
    first = (after - timedelta(days=1)).date()
    return oracle.due(job.cron_expr, job.timezone or "UTC", job.dst, first, LATE_WINDOW.days)


def _within(job: CronJob, at: datetime) -> bool:
    return (job.start is None or at >= job.start) and (job.until is None or at <= job.until)


@dataclass
class Ledger:
    """Everything that was seen so far."""

    records: dict[str, Record] = field(default_factory=dict)
    runners: dict[Key, SimRunner] = field(default_factory=dict)
    spans: dict[str, list[Span]] = field(default_factory=lambda: defaultdict(list))
    accounted: dict[str, set[datetime]] = field(default_factory=lambda: defaultdict(set))
    died_with: dict[str, Reason | None] = field(default_factory=dict)
    """Runs that lived when the supervisor was killed, with the result that their runner had synced."""
    unproven: set[Key] = field(default_factory=set)
    """Attempts that were claimed when the supervisor was killed, and left no result."""
    rests: dict[str, float] = field(default_factory=dict)
    """Until when, monotonic, the quota of each agent is used up, as this supervisor heard."""
    accounts: Accounts = field(default_factory=lambda: Accounts(ZoneInfo("UTC")))
    _not_before: dict[Key, float] = field(default_factory=dict)
    """When, monotonic, an attempt may be started, after what the one before it was told by its provider."""
    _waited: set[str] = field(default_factory=set)
    _restated: set[str] = field(default_factory=set)
    """Runs whose agent was asked to put its answer right."""
    _keys: dict[tuple[str, datetime], str] = field(default_factory=dict)
    _alive: list[SimRunner] = field(default_factory=list)
    _going_on: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The runs of each job that the disk knows as claimed and not over."""
    _catching_up: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    # ---- what gets on disk

    def stored(self, path: Path, line: bytes) -> None:
        """A line of a history is durable."""
        must(line.endswith(b"\n") and line.isascii(), "P13", f"a line of {path.name} is no ASCII line")
        run = json.loads(line)
        before = self.records.get(run["id"])
        self._follows(before, run)
        self.records[run["id"]] = run
        going_on = self._going_on[run["job_id"]]
        (going_on.add if run["status"] in ("running", "stopping") else going_on.discard)(run["id"])
        if before is None:
            self._first_heard_of(run)
        if Status(run["status"]).final and (before is None or not Status(before["status"]).final):
            self._ended(run, before)
        if run["retry_at"] is not None:
            must(not self.living(run["id"]), "P1", f"a back-off of {run['id']} began while its attempt lived")

    def _follows(self, before: Record | None, run: Record) -> None:
        status = Status(run["status"])
        if before is not None:
            was = Status(before["status"])
            must(_may_follow(was, status, run), "states", f"{run['id']}: {was} became {status}")
            must(not was.final or before == run, "P2", f"{run['id']} was over and changed")
            must(run["attempt"] >= before["attempt"], "P1", f"the attempts of {run['id']} count backwards")
        must(status.final == (run["reason"] is not None), "P2", f"{run['id']} is {status}, reason {run['reason']}")
        must(run["error"] or not status.final or status is Status.COMPLETED, "P2", f"{run['id']}: no word why")

    def _first_heard_of(self, run: Record) -> None:
        if run["trigger"] == "manual":
            return
        job_id, at = run["job_id"], datetime.fromisoformat(run["scheduled_at"])
        key = job_id, at
        must(key not in self._keys, "P1", f"{at} of {job_id} became {run['id']} and {self._keys.get(key)}")
        self._keys[key] = run["id"]
        # Later a clock may be set back under one that waits.
        must(datetime.fromisoformat(run["queued_at"]) >= at, "P5", f"{run['id']} was due before {at}")
        span = self._span_of(job_id, at)
        must(span, "P5", f"{at} is no occurrence of {job_id}")
        assert span is not None
        if run["reason"] == "missed":
            self._missed(span, run, at)
        else:
            self.accounted[job_id].add(at)
        if run["trigger"] == "catch-up":
            self._caught_up(span.job, run)

    def _missed(self, span: Span, run: Record, last: datetime) -> None:
        """One record for a range, whose words say how many there are and from when to when."""
        words = run["error"].split()
        first, count = (datetime.fromisoformat(words[5]), int(words[0])) if len(words) > 3 else (last, 1)
        found = [at for at in span.occurrences() if first <= at <= last]
        must(len(found) == count, "P2", f"{run['id']} says {count} missed from {first} to {last}; it was {len(found)}")
        self.accounted[span.job.id].update(found)

    def _caught_up(self, job: CronJob, run: Record) -> None:
        burst = run["job_id"], run["queued_at"]
        self._catching_up[burst] += 1
        most = {CatchUp.ONCE: 1, CatchUp.SKIP: 0, CatchUp.ALL: 24}[job.catch_up]
        must(
            self._catching_up[burst] <= most,
            "P5",
            f"a burst of more than {most} late runs, with {run['id']}",
        )

    def _ended(self, run: Record, before: Record | None) -> None:
        must(not self.living(run["id"]), "P3", f"{run['id']} was stored as {run['status']} while its attempt lived")
        runner = self.runners.get((run["id"], run["attempt"]))
        if run["status"] == "completed":
            must(runner and runner.result is Reason.OK, "P4", f"{run['id']} is completed, and its agent was not")
        if run["reason"] == "budget_exceeded":
            unfounded = self.accounts.unfounded(run, self.records)
            must(not unfounded, "budget", f"{run['id']} was skipped, and fits: {run['error']}")
        if run["status"] == "unknown":
            known = runner is not None and self.died_with.get(run["id"], Reason.OK)
            must(not known, "P2", f"{run['id']} is unknown, and it was known: {known}")
            waived = before is not None and before["stop_reason"] is None and self._waived(run)
            must(not waived, "waiver", f"{run['id']} is unknown, and its owner wants it tried again")

    def _waived(self, run: Record) -> bool:
        """Whether the owner's waiver surely holds for a run that is found unknown."""
        span = self.spans[run["job_id"]][-1]
        job, due = span.job, datetime.fromisoformat(run["scheduled_at"])
        if span.until is not None or not job.rerun_unknown or run["retry_count"] >= job.retries:
            return False
        if run["caps"]["tokens"] is not None or run["caps"]["cost_usd"] is not None:  # nobody knows what is left
            return False
        found, began = datetime.fromisoformat(run["finished_at"]), datetime.fromisoformat(run["started_at"])
        in_grace = run["trigger"] == "manual" or found <= due + timedelta(minutes=5)
        return in_grace and found < began + timedelta(seconds=job.timeout_seconds)

    def living(self, run_id: str) -> bool:
        """Whether an attempt of this run lives, in truth."""
        return any(runner.key[0] == run_id for runner in self.alive())

    def alive(self) -> list[SimRunner]:
        """All attempts that live, in truth."""
        self._alive = [runner for runner in self._alive if runner.alive]
        return self._alive

    def _span_of(self, job_id: str, at: datetime) -> Span | None:
        return next((span for span in reversed(self.spans[job_id]) if at in span.occurrences()), None)

    # ---- what is started

    def supervisor_died(self) -> None:
        """Of what was claimed, and left no result, nobody will know how it ended; nor whether it was ever started."""
        for run in self.records.values():
            if run["status"] == "running" and run["retry_at"] is None:
                runner = self.runners.get((run["id"], run["attempt"]))
                if runner is None or runner.result is None:
                    self.unproven.add((run["id"], run["attempt"]))
        self.rests.clear()  # what the next one knows of them, it has from records

    def heard_end(self, runner: SimRunner, mono: float) -> None:
        """The supervisor hears of a true end, and of what the provider said."""
        asked = runner.said["retry_after_seconds"]
        if asked is None or not isfinite(asked):
            return
        run_id, attempt = runner.key
        self._not_before[run_id, attempt + 1] = mono + asked
        if runner.result is Reason.QUOTA_WAIT:
            self.rests[runner.agent] = max(mono + asked, self.rests.get(runner.agent, 0.0))

    def clock_was_set(self) -> None:
        """A back-off that a restart takes up is counted by the wall clock, so it may be wrong from here on."""
        self._not_before.clear()

    def started(self, runner: SimRunner, job: CronJob | None, cap: int, mono: float) -> None:
        """A runner was spawned."""
        run_id, attempt = runner.key
        claim = self.records.get(run_id)
        must(claim, "P1", f"{run_id} was started and nothing of it is on disk")
        assert claim is not None
        claimed = (claim["status"], claim["attempt"], claim["retry_at"]) == ("running", attempt, None)
        must(claimed, "P1", f"attempt {attempt} of {run_id} was started, and the disk says {claim['status']}")
        must(runner.key not in self.runners, "P1", f"attempt {attempt} of {run_id} was started twice")
        must(not self.living(run_id), "P1", f"attempt {attempt} of {run_id} was started before the last one was dead")
        runner.agent = claim["agent"]
        must(mono > self.rests.get(runner.agent, 0.0) - EPSILON, "quota", f"{run_id} was started while its agent rests")
        must(mono > self._not_before.get(runner.key, 0.0) - EPSILON, "Retry-After", f"{run_id} was started too early")
        if attempt > 1:
            self._retried(claim, attempt, job)
        else:
            self._allowed(claim, job)
        self.runners[runner.key] = runner
        self._alive.append(runner)
        self.accounts.began(runner, claim)
        wrong = self.accounts.broken(runner, claim, job) if job is not None else ""
        must(not wrong, "budget", f"{run_id}, attempt {attempt}: {wrong}")
        alive = len(self.alive())
        must(alive <= cap, "admission", f"{alive} attempts live where {cap} may")

    def _retried(self, claim: Record, attempt: int, job: CronJob | None) -> None:
        run_id = claim["id"]
        last = self.runners.get((run_id, attempt - 1))
        unproven = (run_id, attempt - 1) in self.unproven
        must(last or unproven, "P1", f"attempt {attempt} of {run_id} had none before it")
        must(job, "life", f"{run_id} was tried again though its job is removed")
        assert job is not None
        proven = not unproven or job.rerun_unknown
        must(proven, "P1", f"{run_id} was tried again, and nobody knows how it ended")
        if last is None:
            return
        if claim["repair_of"] == attempt - 1:
            self._asked_to_restate(run_id, last)
            return
        harmless = last.result is None or not last.tool_called or job.repeatable
        must(harmless, "P1", f"{run_id} was tried again after it had called a tool")
        worth = last.result is None or last.result.retry_helps
        if last.result is Reason.QUOTA_WAIT:
            worth = run_id not in self._waited
            self._waited.add(run_id)
        must(worth, "P1", f"{run_id} was tried again after {last.result}")
        given_up = last.result is Reason.INVALID_OUTPUT and run_id in self._restated
        must(not given_up, "P1", f"{run_id} was tried again though it could not put its answer right")

    def _asked_to_restate(self, run_id: str, last: SimRunner) -> None:
        """Another attempt that does nothing again, and so may follow one that called a tool."""
        must(last.result is Reason.INVALID_OUTPUT, "P1", f"{run_id} is to put right what was {last.result}")
        must(run_id not in self._restated, "P1", f"{run_id} is to put its answer right a second time")
        self._restated.add(run_id)

    def _allowed(self, claim: Record, job: CronJob | None) -> None:
        must(job, "life", f"{claim['id']} was started though its job is removed")
        assert job is not None
        must(job.enabled or claim["trigger"] == "manual", "life", f"{claim['id']} was started though its job is paused")
        others = self._going_on[job.id] - {claim["id"]}
        must(not others or job.overlap is Overlap.ALLOW, "overlap", f"{claim['id']} was started beside {others}")

    # ---- what is owed

    def attended(self, now: datetime, slack: timedelta) -> None:
        """Everything that was due `slack` ago has a record by now."""
        for job_id, spans in self.spans.items():
            for span in spans[-1:]:
                if span.until is not None:
                    continue
                self._attended(job_id, span, now - slack - timedelta(seconds=span.job.jitter_secs))

    def _attended(self, job_id: str, span: Span, by: datetime) -> None:
        due = span.occurrences()
        settled = max(self.accounted[job_id], default=NEVER) if span.redated else NEVER
        while span.attended < len(due) and due[span.attended] <= by:
            at = due[span.attended]
            known = at in self.accounted[job_id] or at <= settled
            must(known, "P2", f"nothing became of the occurrence {at} of {job_id}")
            span.attended += 1

    def end(self, job_id: str, now: datetime) -> None:
        """Nothing of this definition is owed from here on."""
        spans = self.spans[job_id]
        if spans and spans[-1].until is None:
            spans[-1].until = now

    def redated(self, job: CronJob) -> None:
        """A definition from a future that is more than a day off is owed from the instant at which it was noticed."""
        spans = self.spans[job.id]
        if spans and spans[-1].until is None:
            spans[-1] = Span(job, job.changed_at, redated=True)

    def begin(self, job: CronJob, now: datetime) -> None:
        """From here on this is what is owed, but for what was settled while the clock was ahead by up to a day."""
        settled = (at for at in self.accounted[job.id] if at <= now + DAY)
        self.spans[job.id].append(Span(job, max(job.changed_at, *settled, NEVER)))
