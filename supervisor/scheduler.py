"""The scheduler: when and whether to run. Decides; waiting, spawning, storing and telling are others' work.

One turn, `tick`, takes in what happened, settles everything that is due by now, and says when it wants to be called
again. It never waits. People's requests come between two turns and use the same steps.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.reasons import Reason
from supervisor import occurrences
from supervisor.admission import Load, Replace, Skip, Start, Wait, admit
from supervisor.agenda import Agenda, Entry
from supervisor.attempts import TOLD
from supervisor.clock import Moment
from supervisor.config import Config
from supervisor.errors import NotFoundError, RefusedError, StoreError
from supervisor.host import Host
from supervisor.jobs import CronStore
from supervisor.launcher import News
from supervisor.liveruns import SAVE_AGAIN, LiveRun, LiveRuns, Prepare, Spawn
from supervisor.models import CronJob, CronRun, Status, Trigger
from supervisor.runs import RunsStore


@dataclass(frozen=True, slots=True)
class Wake:
    """When the next turn is wanted, whichever comes first: an instant, or a reading of the monotonic clock."""

    wall: datetime | None
    mono: float | None


@dataclass(slots=True)
class Waiting:
    """An occurrence in the queue, and why it waits."""

    job: CronJob
    run: CronRun
    why: str
    stored: bool


class Scheduler:
    """The deterministic core: state, `tick(now)`, and the requests of people."""

    def __init__(
        self,
        jobs: CronStore,
        runs: RunsStore,
        config: Config,
        host: Host,
        *,
        new_id: Callable[[], str],
        prepare: Prepare,
        spawn: Spawn | None = None,
        told_end: Callable[[CronJob, CronRun], None] = lambda _job, _run: None,
        logger: logging.Logger | None = None,
    ) -> None:
        self.jobs, self.runs, self.config = jobs, runs, config
        self.logger = logger or logging.getLogger("cronward")
        self.live = LiveRuns(runs, spawn, prepare, config.grace_seconds, told_end, self.logger)
        self.waiting: list[Waiting] = []
        self.agenda = Agenda()
        self.inbox: deque[News] = deque()
        self.draining = False
        self._drained_by: float | None = None
        self._unstored = False
        self._new_id, self._host = new_id, host

    # ---- one turn

    def tick(self, now: Moment) -> Wake:
        """What happened -> what is due -> what may start -> what is over time. Returns when to come again."""
        self._hear(now)
        self._enqueue_due(now)
        self._admit_waiting(now)
        self.live.enforce(now, self._may_retry)
        self._end_drain(now)
        return self._next_wake(now)

    def load(self) -> None:
        """Put every enabled job on the agenda, counting from what was claimed last."""
        for job in self.jobs.list():
            self._plan(job)

    def drain(self, now: Moment, seconds: float) -> None:
        """Start nothing more; runs that are not over after `seconds` are told to end."""
        self.draining = True
        self._drained_by = now.mono + seconds

    def drained(self) -> bool:
        """Whether a drain has come to its end."""
        return self.draining and not len(self.live)

    # ---- what people ask for

    def add(self, job: CronJob) -> CronJob:
        """Store a checked definition and schedule it."""
        added = self.jobs.add(job)
        self._plan(added)
        return added

    def pause(self, job: CronJob, now: Moment) -> CronJob:
        """No more occurrences. A live run goes on, one in the queue is canceled. Paused already: nothing changes."""
        if not job.enabled:
            return job
        paused = job.model_copy(update={"enabled": False})
        self.jobs.update(paused)
        self.agenda.drop(job.id)
        self._cancel_waiting(job.id, Reason.JOB_DISABLED, now)
        return paused

    def resume(self, job: CronJob, now: Moment) -> CronJob:
        """Owed again from now on; what fell due while it was paused is not. Enabled already: nothing changes."""
        if job.enabled:
            return job
        resumed = job.model_copy(update={"enabled": True, "changed_at": now.wall})
        self.jobs.update(resumed)
        self._plan(resumed)
        return resumed

    def remove(self, job: CronJob, now: Moment) -> CronJob:
        """Delete the definition, end its live runs; its history stays."""
        self.jobs.delete(job.id)
        self.agenda.drop(job.id)
        self._cancel_waiting(job.id, Reason.JOB_REMOVED, now)
        for live in self.live:
            if live.job.id == job.id:
                self.live.stop(live, Reason.JOB_REMOVED, now)
        return job

    def run(self, job: CronJob, now: Moment) -> CronRun:
        """Make an occurrence by hand; on disk before this returns. Raises RefusedError if it could not run."""
        if self.draining:
            raise RefusedError("The supervisor is stopping and starts nothing more.")
        run = self._occurrence(job, now.wall, Trigger.MANUAL, now)
        verdict = self._ask(job, run, now)
        if isinstance(verdict, Skip):
            raise RefusedError(f"Job {job.label} is not run now. {verdict.why} Wait for it, or cancel it.")
        self.runs.record(run)
        self.waiting.append(Waiting(job, run, "just asked for", stored=True))
        return run

    def cancel(self, run_id: str, now: Moment) -> CronRun:
        """End a run that is not over, or take it out of the queue. Raises NotFoundError, RefusedError."""
        live = self.live.get(run_id)
        if live is not None:
            return self.live.stop(live, Reason.CANCELED_BY_USER, now)
        for waiting in self.waiting:
            if waiting.run.id == run_id:
                return self._drop_waiting(waiting, Reason.CANCELED_BY_USER, "It was canceled.", now)
        run = self.runs.get(run_id)
        if run.status.final:
            raise RefusedError(f"Run {run_id} is over already: {run.status.value}.")
        raise NotFoundError(f"Run {run_id} is not one of this supervisor's.")

    # ---- the steps of a turn

    def _hear(self, now: Moment) -> None:
        while self.inbox:
            self.live.heard(self.inbox.popleft(), now)

    def _enqueue_due(self, now: Moment) -> None:
        for entry in self.agenda.take_due(now.wall):
            job = self.jobs.get(entry.job_id)
            if job is None or not job.enabled:
                continue
            owed = occurrences.owed(job, entry.occurrence, now.wall, self.runs.summary(job.id).run_count)
            if not self._note_missed(job, owed, now):
                self.agenda.put(Entry(now.wall + timedelta(seconds=SAVE_AGAIN), job.id, entry.occurrence))
                continue
            for at in owed.late:
                self._offer(job, self._occurrence(job, at, Trigger.CATCH_UP, now), now)
            for at in owed.due:
                self._offer(job, self._occurrence(job, at, Trigger.SCHEDULE, now), now)
            self._plan_after(job, now.wall)

    def _admit_waiting(self, now: Moment) -> None:
        queue, self.waiting, self._unstored = self.waiting, [], False
        for waiting in queue:
            self._offer(waiting.job, waiting.run, now, stored=waiting.stored)

    def _offer(self, job: CronJob, run: CronRun, now: Moment, stored: bool = False) -> None:
        """Start it, queue it, or store that it is skipped."""
        if not stored:
            self.logger.info("run %s: due, occurrence %s of job %s", run.id, run.scheduled_at.isoformat(), job.id)
        verdict = Wait("the supervisor is stopping") if self.draining else self._ask(job, run, now)
        if isinstance(verdict, Skip):
            skipped = run.moved(Status.SKIPPED, reason=verdict.reason, error=verdict.why, finished_at=now.wall)
            if not self._store(skipped):
                self._wait(job, run, "the disk cannot be written", stored)
            return
        if isinstance(verdict, Start):
            if self.live.start(job, run, now):
                return
            verdict = Wait("the disk cannot be written")
        if isinstance(verdict, Replace):
            for earlier in verdict.runs:
                live = self.live.get(earlier.id)
                if live is not None:
                    self.live.stop(live, Reason.REPLACED, now)
            verdict = Wait("the run that it replaces is ending")
        self._wait(job, run, verdict.why, stored)

    def _wait(self, job: CronJob, run: CronRun, why: str, stored: bool) -> None:
        # On disk before anything later of the job is: a crash must find it, not only the one after it.
        stored = stored or self._store(run)
        self._unstored |= not stored
        self.waiting.append(Waiting(job, run, why, stored))

    def _ask(self, job: CronJob, run: CronRun, now: Moment) -> Start | Wait | Skip | Replace:
        load = Load(
            running=self.live.holding(),
            cap=self.config.max_concurrent,
            running_of_type=self.live.holding(job.type),
            cap_of_type=self.config.at_once(job.type),
            same_job=self.live.of_job(job.id),
            same_job_waiting=sum(1 for waiting in self.waiting if waiting.job.id == job.id),
        )
        return admit(job, run, load, now.wall)

    def _may_retry(self, live: LiveRun) -> bool:
        if self.draining:
            return False
        cap = self.config.at_once(live.job.type)
        free = self.live.holding() < self.config.max_concurrent
        return free and (cap is None or self.live.holding(live.job.type) < cap)

    def _end_drain(self, now: Moment) -> None:
        if self._drained_by is not None and now.mono >= self._drained_by:
            for live in self.live:
                self.live.stop(live, Reason.SUPERVISOR_STOPPED, now)

    def _next_wake(self, now: Moment) -> Wake:
        monos = [self.live.next_wake(), self._drained_by if self._drained_by and self._drained_by > now.mono else None]
        if self._unstored:
            monos.append(now.mono + SAVE_AGAIN)
        return Wake(self.agenda.next_due(), min((at for at in monos if at is not None), default=None))

    # ---- occurrences

    def _occurrence(self, job: CronJob, at: datetime, trigger: Trigger, now: Moment) -> CronRun:
        return CronRun(
            id=self._new_id(),
            job_id=job.id,
            job_name=job.name,
            status=Status.QUEUED,
            trigger=trigger,
            scheduled_at=at,
            queued_at=now.wall,
            agent=job.agent,
            host=self._host.name,
            boot_id=self._host.boot_id,
        )

    def _plan(self, job: CronJob) -> None:
        """Put the job's next unclaimed occurrence on the agenda; it may lie in the past."""
        if not job.enabled:
            return
        summary = self.runs.summary(job.id)
        self._put(job, max(summary.last_scheduled, job.changed_at), summary.run_count)

    def _plan_after(self, job: CronJob, at: datetime) -> None:
        self._put(job, at, self.runs.summary(job.id).run_count)

    def _put(self, job: CronJob, after: datetime, runs_so_far: int) -> None:
        occurrence = occurrences.next_occurrence(job, after, runs_so_far)
        if occurrence is not None:
            self.agenda.put(Entry(occurrence + occurrences.jitter(job, occurrence), job.id, occurrence))

    def _note_missed(self, job: CronJob, owed: occurrences.Owed, now: Moment) -> bool:
        """One record for all that were missed. False: it could not be stored."""
        if not owed.missed:
            return True
        run = self._occurrence(job, owed.missed_last, Trigger.SCHEDULE, now)
        span = f"from {owed.missed_first.isoformat()} to {owed.missed_last.isoformat()}"
        words = f"{owed.missed} occurrences were missed, {span}." if owed.missed > 1 else "It was missed."
        return self._store(run.moved(Status.SKIPPED, reason=Reason.MISSED, error=words, finished_at=now.wall))

    def _cancel_waiting(self, job_id: str, reason: Reason, now: Moment) -> None:
        for waiting in [waiting for waiting in self.waiting if waiting.job.id == job_id]:
            self._drop_waiting(waiting, reason, TOLD[reason], now)

    def _drop_waiting(self, waiting: Waiting, reason: Reason, words: str, now: Moment) -> CronRun:
        run = waiting.run.moved(Status.CANCELED, reason=reason, stop_reason=reason, error=words, finished_at=now.wall)
        self.runs.record(run)
        self.waiting.remove(waiting)
        return run

    def _store(self, run: CronRun) -> bool:
        try:
            self.runs.record(run)
        except StoreError as error:
            self.logger.error("Run %s of job %s cannot be stored: %s", run.id, run.job_id, error)
            return False
        return True
