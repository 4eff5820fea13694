"""The scheduler: when and whether to run. Decides; waiting, spawning, storing and telling are others' work.

One turn, `tick`, takes in what happened, settles everything that is due by now, and says when it wants to be called
again. It never waits. People's requests come between two turns and use the same steps.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.reasons import Reason
from supervisor.admission import exclusion
from supervisor.admission.admission import Load, Replace, Skip, Start, Verdict, Wait, admit
from supervisor.admission.attempts import TOLD
from supervisor.admission.gate import Gate
from supervisor.admission.pressure import HOST_AGAIN, Room
from supervisor.admission.waiting import Queue, Waiting
from supervisor.agents.logins import LoginStore
from supervisor.budgets.purse import Purse
from supervisor.config import Config
from supervisor.definitions import edits
from supervisor.errors import InvalidError, NotFoundError, RefusedError, StoreError
from supervisor.logs.complaints import Complaints
from supervisor.logs.runlog import RunLog
from supervisor.models import CatchUp, CronJob, CronRun, Trigger
from supervisor.spawning.firstrecords import FirstRecords
from supervisor.spawning.launcher import News
from supervisor.spawning.liveruns import SAVE_AGAIN, LiveRun, LiveRuns, Prepare, Spawn
from supervisor.status import Status
from supervisor.stores.host import Host
from supervisor.stores.jobs import CronStore
from supervisor.stores.runs import RunsStore
from supervisor.timing import occurrences
from supervisor.timing.agenda import Agenda, Entry
from supervisor.timing.clock import Moment
from supervisor.timing.planning import plan_all
from supervisor.timing.settled import StepBack, settled_until
from supervisor.timing.timed import Timed

DUE_A_TURN = 32
"""Jobs whose occurrences are settled in one turn. Each may cost several fsyncs, 10 ms and more on a slow disk, and
whoever asks for something, or ends, waits for the turn to be over."""


@dataclass(frozen=True, slots=True)
class Wake:
    """When the next turn is wanted, whichever comes first: an instant, or a reading of the monotonic clock."""

    wall: datetime | None
    mono: float | None


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
        host_busy: Callable[[], str] = lambda: "",
        short_of_disk: Callable[[str], str] = lambda _place: "",
        purse: Purse = Purse(),  # noqa: B008 - frozen
        cpus: int = 4,
        logger: logging.Logger | None = None,
    ) -> None:
        self.jobs, self.runs, self.config = jobs, runs, config
        self.logger = logger or logging.getLogger("cronward")
        gate, log = Gate(config.starting(cpus)), RunLog(self.logger)
        self.live = LiveRuns(runs, spawn, prepare, config.grace_seconds, self._ended, log, gate)
        self.waiting = Queue()
        self.agenda = Agenda()
        self.inbox: deque[News] = deque()
        self.failed: set[str] = set()
        self.draining = False
        self._drained_by, self._drain_is_over = 0.0, False
        self._unstored = Complaints(log)
        self.host, self._first, self._told_end, self._cpus = host, FirstRecords(new_id, host), told_end, cpus
        self._logins, self.purse = LoginStore(jobs.home), purse
        self._room, self._step_back = Room(host_busy, short_of_disk, self._logins.on_trial), StepBack()

    # ---- one turn

    def tick(self, now: Moment) -> Wake:
        """What happened -> what is over time -> what may start -> what is due. Returns when to come again."""
        self._unstored.begin_turn(now.mono)
        self._room.begin_turn()
        self._hear(now)
        if self._step_back.happened(now):
            self.load(now.wall)
        self.live.enforce(now, self._may_retry)
        edits.pause_failing(self, now)
        self._admit_waiting(now)  # before what is only due now: who waits longest has the next slot
        self._enqueue_due(now)
        edits.follow_hand(self, now)
        self._end_drain(now)
        return self._next_wake(now)

    def reset(self) -> None:
        """Forget everything that is not on disk, to begin again after a drain."""
        self.waiting.take_all()
        self.live.forget()
        self.inbox.clear()
        self.agenda, self.draining, self._drain_is_over = Agenda(), False, False

    def load(self, now: datetime) -> None:
        """Put every enabled job on the agenda, counting from what was claimed last."""
        self._step_back.pending = not plan_all(self, now)

    def drain(self, now: Moment, seconds: float) -> None:
        """Start nothing more; runs that are not over after `seconds` are told to end. Again: the sooner one counts."""
        by = now.mono + seconds
        self._drained_by = min(self._drained_by, by) if self.draining else by
        self.draining = True

    def configure(self, config: Config) -> None:
        """Go by these settings from now on. Live runs keep what they started with."""
        self.config, self.live.grace_seconds = config, config.grace_seconds
        self.live.gate.most = config.starting(self._cpus)
        self.runs.keep_only(config.history)

    def drained(self) -> bool:
        """Whether a drain has come to its end: nothing lives, and every end is on disk or had its time to get there."""
        return self.draining and not any(live.holds_slot or not self._drain_is_over for live in self.live)

    # ---- what people ask for; `edits` has what they change about jobs

    def run(self, job: CronJob, now: Moment) -> CronRun:
        """Make an occurrence by hand; on disk before this returns. Raises RefusedError if it could not run."""
        if self.draining:
            raise RefusedError("The supervisor is stopping and starts nothing more. Ask the next one.")
        run = self._first.queued(job, now.wall, Trigger.MANUAL, now.wall)
        waiting = Waiting(job, run)
        verdict = self._ask(waiting, now)
        if isinstance(verdict, Skip):
            repair = " Wait for it, or cancel it." if verdict.reason is Reason.OVERLAP else ""
            raise RefusedError(f"Job {job.label} is not run now. {verdict.why}{repair}")
        self.runs.record(run)
        self.waiting.put(waiting)
        return run

    def cancel(self, run_id: str, now: Moment) -> CronRun:
        """End a run that is not over, or take it out of the queue. Raises NotFoundError, RefusedError."""
        live = self.live.get(run_id)
        if live is not None:
            return self.live.stop(live, Reason.CANCELED_BY_USER, now)
        waiting = self.waiting.get(run_id)
        if waiting is not None:
            return self._cancel(waiting, Reason.CANCELED_BY_USER, now)
        run = self.runs.get(run_id)
        if run.status.final:
            raise RefusedError(f"Run {run_id} is over already: {run.status.value}.")
        raise NotFoundError(f"Run {run_id} is not one of this supervisor's. `cronward ps` shows those that live.")

    # ---- the steps of a turn

    def _hear(self, now: Moment) -> None:
        while self.inbox:
            self.live.heard(self.inbox.popleft(), now)

    def _admit_waiting(self, now: Moment) -> None:
        if self.draining:
            return
        free = self._is_free()
        if not free and not any(waiting.is_urgent(now.wall) for waiting in self.waiting):
            return  # the answer to who was asked already stays the same: a herd is not asked again
        for waiting in self.waiting.take_all():
            if not free and not waiting.is_urgent(now.wall):
                self.waiting.put(waiting)
                continue
            try:
                settled = self._settle_waiting(waiting, now)
            except StoreError as error:
                waiting.why, settled = "the disk cannot be written", False
                self.note_unstored(waiting.job.id, error)
            if not settled:
                self.waiting.put(waiting)
            free = self._is_free()

    def _is_free(self) -> bool:
        return not self.live.gate.closed and self.live.holding() < self.config.max_concurrent

    def _settle_waiting(self, waiting: Waiting, now: Moment) -> bool:
        if waiting.canceled is not None:
            self._end_waiting(waiting, waiting.canceled, now)
            return True
        return self._settle(waiting, now)

    def _enqueue_due(self, now: Moment) -> None:
        if self.draining:  # it stays owed, and whoever keeps time next finds it
            return
        self.agenda.notice(now)
        for entry, noticed in self.agenda.take_due(DUE_A_TURN):
            try:
                self._settle_due(entry, noticed, now)
            except StoreError as error:
                # Nothing later of the job may get on disk before this: a crash would then hide that it is owed.
                self.note_unstored(entry.job_id, error)  # and tried again at once with all others, not each by itself
                self.agenda.set_aside(entry, self.agenda.next_again() or now.mono + SAVE_AGAIN)
            except InvalidError as error:
                self.live.log.unscheduled(entry.job_id, error)

    def _settle_due(self, entry: Entry, noticed: datetime, now: Moment) -> None:
        job = self.jobs.get(entry.job_id)
        if job is None or not job.enabled or job.id in self.jobs.changed_by_hand:
            return
        if entry.occurrence <= self.settled(job, now.wall):  # what is on disk decides, not the agenda
            self.plan(job, now.wall)
            return
        owed = occurrences.owed(job, entry.occurrence, now.wall, self._runs_so_far(job))
        if owed.missed:  # one record for all of them
            self.runs.record(self._first.missed(job, owed, now.wall))
        for at in owed.late:
            self._offer(self._first.queued(job, at, Trigger.CATCH_UP, noticed), job, now)
        for at in owed.due:
            self._offer(self._first.queued(job, at, Trigger.SCHEDULE, noticed), job, now)
        if job.max_runs is None:
            self._put(job, owed.following)
        else:  # these may have been its last
            self.plan(job, now.wall)

    def _offer(self, run: CronRun, job: CronJob, now: Moment) -> None:
        """Settle a new occurrence: on return it is on disk, whatever became of it. Raises StoreError."""
        at = run.scheduled_at
        self.live.log.due(run)
        # Looked up only where it is needed: it costs a search in the schedule.
        waiting = Waiting(job, run, occurrences.last_start(job, at) if self._quota_back(job, now) else None)
        if not self._settle(waiting, now):
            waiting.expires = occurrences.last_start(job, at)
            self.runs.record(run)
            self.waiting.put(waiting)

    def _settle(self, waiting: Waiting, now: Moment) -> bool:
        """Start it, or store that it is skipped. False: it waits. Raises StoreError; then nothing happened."""
        verdict = self._ask(waiting, now)
        if isinstance(verdict, Start):
            self.live.start(waiting.job, self.purse.reserved(self, waiting.job, waiting.run, now.wall), now)
            return True
        if isinstance(verdict, Skip):
            skip = waiting.run.moved(Status.SKIPPED, reason=verdict.reason, error=verdict.why, finished_at=now.wall)
            self.live.record_skip(waiting.job, skip)
            self._replan(waiting.job, now.wall)
            return True
        if isinstance(verdict, Replace):
            for earlier in verdict.runs:
                live = self.live.get(earlier.id)
                if live is not None:
                    self.live.stop(live, Reason.REPLACED, now)
        waiting.verdict = verdict if isinstance(verdict, Wait) else None
        waiting.why = "the run that it replaces is ending" if isinstance(verdict, Replace) else verdict.why
        return False

    def _ask(self, waiting: Waiting, now: Moment) -> Verdict:
        job = waiting.job
        load = Load(
            running=self.live.holding(),
            cap=self.config.max_concurrent,
            running_of_type=self.live.holding(job.type),
            cap_of_type=self.config.at_once(job.type),
            same_job=self.live.of_job(job.id),
            same_job_waiting=self.waiting.count(job.id),
            host_busy=self._room.look(job.work_dir) if self._has_slot(job) else "",
            in_the_way=self._in_the_way(job),
            quota_back=self._quota_back(job, now),
            over=self.purse.over(self, job, now.wall),
            latest=waiting.expires,
            gate=self.live.gate.most if self.live.gate.closed else None,
            catching_up=waiting.run.trigger is Trigger.CATCH_UP and job.catch_up is CatchUp.ALL,
        )
        return admit(job, load, waiting.expires is not None and now.wall > waiting.expires, waiting.verdict)

    def _has_slot(self, job: CronJob) -> bool:
        cap = self.config.at_once(job.type)
        return self._is_free() and (cap is None or self.live.holding(job.type) < cap)

    def _in_the_way(self, job: CronJob) -> exclusion.InTheWay | None:
        others = ((live.job, live.run) for live in self.live if live.holds_slot)
        where, login = (lambda each: exclusion.places(each, self.config)), self._logins.renewed_by
        return exclusion.in_the_way(job, others, where, login, self._room.on_trial)

    def _quota_back(self, job: CronJob, now: Moment) -> datetime | None:
        return self.live.quotas.rest(job.agent, now)

    def _may_retry(self, live: LiveRun) -> bool:
        if self.draining or not self._has_slot(live.job) or self._in_the_way(live.job) is not None:
            return False
        return not self._room.look(live.job.work_dir)

    def _end_drain(self, now: Moment) -> None:
        if not self.draining:
            return
        self._drain_is_over = now.mono >= self._drained_by
        for live in self.live:
            if self._drain_is_over or not live.holds_slot:  # a back-off can bring no other attempt any more
                self.live.stop(live, Reason.SUPERVISOR_STOPPED, now)

    def _next_wake(self, now: Moment) -> Wake:
        again = None if self.draining else self.agenda.next_again()
        monos = [self.live.next_wake(now.mono), self.live.quotas.next_end(now.mono), again]
        if self._unstored.any:
            monos.append(now.mono + SAVE_AGAIN)
        if self._room.ask_again:  # nothing tells when that is over
            monos.append(now.mono + HOST_AGAIN)
        if self.draining and self._drained_by > now.mono:
            monos.append(self._drained_by)
        walls = [] if self.draining else [self.agenda.next_due(), self.purse.next_renewal(self, now.wall)]
        earliest = min((at for at in walls if at is not None), default=None)
        return Wake(earliest, min((at for at in monos if at is not None), default=None))

    # ---- occurrences

    def settled(self, job: Timed, now: datetime) -> datetime:
        """Up to which instant nothing of it is owed any more. Raises StoreError."""
        latest = self.runs.summary(job.id).last_scheduled
        return settled_until(latest, lambda: self.runs.get_runs(job.id), now)

    def plan(self, job: Timed, now: datetime, *, ran: bool = True) -> None:
        """Put the job's next unsettled occurrence on the agenda; it may be past. `ran`: it may have a history."""
        if not job.enabled:
            return
        try:
            after = max(self.settled(job, now), job.changed_at) if ran else job.changed_at
            self._put(job, occurrences.next_occurrence(job, after, self._runs_so_far(job)))
        except (InvalidError, StoreError) as error:  # a file that somebody changed by hand must not stop the others
            self.live.log.unscheduled(job.id, error)

    def _put(self, job: Timed, occurrence: datetime | None) -> None:
        if occurrence is None:
            self.agenda.drop(job.id)
        else:
            due = occurrences.starts(job, occurrence) if job.jitter_secs else occurrence
            self.agenda.put(Entry(due, job.id, occurrence))

    def _replan(self, job: CronJob, now: datetime) -> None:
        """A run that was counted may not count after all: whether the job's life is over is asked anew."""
        if job.max_runs is None:
            return
        try:
            current = self.jobs.timing(job.id)
        except StoreError as error:
            self.live.log.unscheduled(job.id, error)
        else:
            if current is not None:
                self.plan(current, now)

    def _runs_so_far(self, job: Timed) -> int:
        if job.max_runs is None:
            return 0
        return self.runs.summary(job.id).run_count + self.waiting.count(job.id)

    # ---- ends

    def _ended(self, job: CronJob, run: CronRun) -> None:
        self._replan(job, run.finished_at)
        if run.status is Status.FAILED:
            self.failed.add(job.id)
        self._told_end(job, run)

    def cancel_waiting(self, job_id: str, reason: Reason, now: Moment) -> None:
        """End what waits of this job. What cannot be stored now is tried again at each turn, and does not start."""
        for waiting in self.waiting:
            if waiting.job.id == job_id:
                waiting.canceled = waiting.canceled or reason
                try:
                    self._cancel(waiting, waiting.canceled, now)
                except StoreError as error:
                    self.note_unstored(job_id, error)

    def _cancel(self, waiting: Waiting, reason: Reason, now: Moment) -> CronRun:
        """Take it out of the queue. Raises StoreError; then it is still there."""
        self.waiting.drop(waiting)
        try:
            return self._end_waiting(waiting, reason, now)
        except StoreError:
            self.waiting.put(waiting)
            raise

    def _end_waiting(self, waiting: Waiting, reason: Reason, now: Moment) -> CronRun:
        why = {"reason": reason, "stop_reason": reason, "error": TOLD[reason]}
        run = waiting.run.moved(Status.CANCELED, **why, finished_at=now.wall)
        run = self.live.record_end(waiting.job, run)
        self._ended(waiting.job, run)
        return run

    def note_unstored(self, job_id: str, error: StoreError) -> None:
        """Say so, if not just said, and come again soon."""
        self._unstored.of(job_id, error)
