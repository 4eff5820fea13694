"""The runs that are not over: claimed, spawned, listened to, told to stop, tried again, ended.

The order of every step is the promise: the claim is on disk before the spawn; the end of an attempt before the next
one; the end of a run before anybody is told. A step that cannot be stored is not taken, or waits until it can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import ceil
from typing import Protocol

from shared.messages import ExecuteRequest, ExecuteResult, Ready, Started
from shared.reasons import Reason
from shared.wire import ProtocolError
from supervisor.admission import attempts
from supervisor.admission.gate import Gate
from supervisor.admission.quota import Quotas, back_at, why_no_wait
from supervisor.budgets import charge
from supervisor.definitions.prompts import taints
from supervisor.errors import InvalidError, StoreError
from supervisor.logs.runlog import RunLog
from supervisor.models import SECOND, CronJob, CronRun, JobType
from supervisor.spawning.launcher import Gone, News, SpawnError, broken, slug_of
from supervisor.status import EndedError, Status, final_status
from supervisor.stores.runs import RunsStore
from supervisor.timing.clock import Moment

KILL_MARGIN = 5.0
"""Seconds that a runner gets beyond the grace of its agent before it is killed itself."""
SAVE_AGAIN = 2.0
"""Seconds until a store that could not be written is tried again."""


class LiveRunner(Protocol):
    """One live attempt, as `launcher.Runner` offers it."""

    pid: int

    def stop(self, reason: Reason) -> None: ...
    def kill(self) -> None: ...


class Spawn(Protocol):
    """Starts an attempt; its news arrive later. Raises SpawnError or ProtocolError, and then nothing lives."""

    def __call__(self, request: ExecuteRequest, slug: str) -> LiveRunner: ...


class Prepare(Protocol):
    """Makes the request of a run's current attempt and its directory. Raises InvalidError or StoreError."""

    def __call__(self, job: CronJob, run: CronRun, seconds_left: float) -> ExecuteRequest: ...


@dataclass(slots=True)
class LiveRun:
    """A run that is not over, with the definition it started with. Clock readings are monotonic seconds."""

    job: CronJob
    run: CronRun
    started: float
    deadline: float
    runner: LiveRunner | None = None
    request: ExecuteRequest | None = None
    kill_at: float | None = None
    retry_at: float | None = None
    overdue: bool = False
    """Whether its runner was killed because it did not end in time."""
    ended: CronRun | None = None
    """How it ended, while that is not on disk yet."""
    save_at: float = 0.0

    @property
    def holds_slot(self) -> bool:
        """A run that waits out a back-off, or for a full disk, keeps nobody from starting."""
        return self.runner is not None

    def wakes(self, now: float) -> Iterator[float]:
        """When it wants to be looked at."""
        if self.ended is not None:
            yield self.save_at
        elif self.runner is not None:
            yield self.deadline if self.kill_at is None else self.kill_at
        else:
            yield self.deadline
            # A back-off that is over waits for a slot, and whoever frees one brings a turn: no spinning until then.
            if self.retry_at is not None and self.retry_at > now:
                yield self.retry_at


@dataclass
class LiveRuns:
    """All of them, by run id."""

    runs: RunsStore
    spawn: Spawn | None
    prepare: Prepare
    grace_seconds: float
    told_end: Callable[[CronJob, CronRun], None]
    log: RunLog
    gate: Gate
    quotas: Quotas = field(default_factory=Quotas)
    owe: Callable[[CronJob, CronRun], None] = lambda _job, _run: None
    """Puts on disk what is to be told of an end, before it is. Raises StoreError."""
    told_start: Callable[[CronJob, CronRun], None] = lambda _job, _run: None
    _live: dict[str, LiveRun] = field(default_factory=dict)

    def __iter__(self) -> Iterator[LiveRun]:
        return iter(tuple(self._live.values()))

    def __len__(self) -> int:
        return len(self._live)

    def of_job(self, job_id: str) -> tuple[CronRun, ...]:
        """The job's runs that are not over."""
        return tuple(live.run for live in self if live.job.id == job_id)

    def holding(self, job_type: JobType | None = None) -> int:
        """How many attempts live, of one type or in all."""
        return sum(live.holds_slot for live in self if job_type is None or live.job.type is job_type)

    def get(self, run_id: str) -> LiveRun | None:
        """The live run of this id."""
        return self._live.get(run_id)

    def forget(self) -> None:
        """Nothing of them lives any more; what is on disk is for a recovery."""
        assert not self.holding()
        self._live.clear()

    def start(self, job: CronJob, run: CronRun, now: Moment) -> None:
        """Claim a queued run and spawn its first attempt. Raises StoreError; then nothing happened."""
        live = LiveRun(job, run, started=now.mono, deadline=now.mono + job.timeout_seconds)
        try:
            claimed = self._attempt(live, run.noted(started_at=now.wall, attempt=1, agent=job.agent), now)
        except InvalidError as error:
            failed = run.moved(Status.FAILED, reason=Reason.BAD_DEFINITION, error=str(error), finished_at=now.wall)
            self.told_end(job, self.record_end(job, failed))
        else:
            if claimed:
                self.told_start(job, live.run)

    def record_end(self, job: CronJob, run: CronRun) -> CronRun:
        """Store an end, after what is to be told of it. Returns the one that counts: somebody may have written another
        by hand. Raises StoreError; then the run has not ended."""
        self.owe(job, run)
        try:
            self.runs.record(run)
        except EndedError:
            return self._other_end(job, run)
        self.log.ended(run)
        return run

    def record_skip(self, job: CronJob, run: CronRun) -> None:
        """Store that a run does not start; nobody is told. Raises StoreError."""
        try:
            self.runs.record(run)
        except EndedError:
            self.told_end(job, self._other_end(job, run))
        else:
            self.log.ended(run)

    def _other_end(self, job: CronJob, run: CronRun) -> CronRun:
        """The end that stands on disk already, to be told like any. Raises StoreError."""
        end = next((kept for kept in self.runs.get_runs(run.job_id) if kept.id == run.id), run)
        self.log.overruled(end)
        self.owe(job, end)
        return end

    def resume(self, job: CronJob, run: CronRun, now: Moment) -> None:
        """Take up a back-off that a former supervisor was waiting out; that attempt's end is on disk."""
        assert run.retry_at is not None
        passed = max(0.0, (now.wall - run.started_at).total_seconds())
        deadline = now.mono - passed + job.timeout_seconds + run.rested_secs
        live = LiveRun(job, run, started=now.mono - passed, deadline=deadline)
        # The clock may have been set meanwhile: no back-off is longer than the longest there is.
        longest = max(attempts.MAX_BACKOFF_SECONDS, run.rested_secs)
        left = min((run.retry_at - now.wall).total_seconds(), longest)
        if run.rest_until is not None:
            self.quotas.spent(run.agent, run.rest_until, now, timedelta(seconds=run.rested_secs))
        live.retry_at = now.mono + max(0.0, left)
        self._live[run.id] = live

    def heard(self, news: News, now: Moment) -> None:
        """Take in what a runner said, or that its attempt is over."""
        live = self._live.get(news.run_id)
        if live is None or live.runner is None or live.run.attempt != news.attempt:
            return  # of an attempt that is settled already
        if isinstance(news, Gone):
            self._over(live, news, now)
        elif isinstance(news.message, Ready):
            self.gate.leave(live.run.id)
            live.run = live.run.noted(runner_pid=news.message.pid)
        elif isinstance(news.message, Started):
            live.run = live.run.noted(layers=news.message.layers)
            self.log.started(live.run)

    def stop(self, live: LiveRun, reason: Reason, now: Moment) -> CronRun:
        """Tell it to end. The first cause wins; told again, it changes nothing."""
        if live.ended is not None or live.run.status is Status.STOPPING:
            return live.ended or live.run
        # `retry_at` stays: by it a recovery knows that no attempt lived.
        live.run = live.run.moved(Status.STOPPING, stop_reason=reason)
        try:
            self.runs.record(live.run)
        except (StoreError, EndedError) as error:  # neither a full disk nor anybody's pen must keep a run alive
            self.log.unstored("That run %s was told to stop cannot be stored: %s", live.run, error)
        if live.runner is None:
            return self._end(live, attempts.stopped(live.run), now)
        live.runner.stop(reason)
        live.kill_at = now.mono + self.grace_seconds + KILL_MARGIN
        return live.run

    def enforce(self, now: Moment, may_start: Callable[[LiveRun], bool]) -> None:
        """Whatever time alone brings about: ends to be stored, runners that do not stop, deadlines, back-offs over."""
        self.gate.expire(now.mono)
        for live in self:
            if live.ended is not None:
                if now.mono >= live.save_at:
                    self._save_end(live, now)
            elif live.runner is not None:
                self._enforce_deadline(live, live.runner, now)
            elif now.mono >= live.deadline:
                end = attempts.End(Status.FAILED, Reason.TIMEOUT_WALL, "Its time was over.")
                self._end(live, attempts.not_put_right(live.run, end), now)
            elif self._may_be_tried(live, now) and may_start(live):
                self._try_again(live, now)

    def _may_be_tried(self, live: LiveRun, now: Moment) -> bool:
        """Whether its back-off is over, and its agent's quota not used up."""
        waited = live.retry_at is not None and now.mono >= live.retry_at
        return waited and self.quotas.rest(live.run.agent, now) is None

    def next_wake(self, now: float) -> float | None:
        """The next monotonic instant at which `enforce` has work."""
        opens = self.gate.opens()
        wakes = [at for live in self for at in live.wakes(now)]
        return min(wakes if opens is None else [*wakes, opens], default=None)

    def _enforce_deadline(self, live: LiveRun, runner: LiveRunner, now: Moment) -> None:
        """The runner keeps its own time; this is for one that does not."""
        if live.kill_at is None:
            if now.mono >= live.deadline:
                live.kill_at = live.deadline + self.grace_seconds + KILL_MARGIN
        elif now.mono >= live.kill_at:
            self.log.overdue(live.run)
            live.kill_at, live.overdue = now.mono + KILL_MARGIN, True
            runner.kill()

    def _attempt(self, live: LiveRun, run: CronRun, now: Moment) -> bool:
        """Claim, then spawn. Raises InvalidError or StoreError before anything is claimed. False: it is over."""
        assert self.spawn is not None
        request = self.prepare(live.job, run, max(live.deadline - now.mono, 1.0))
        facts = {"program": request.agent.program, "tainted": taints(live.job.prompt), **charge.claimed(run)}
        run = run.noted(log_dir=request.log_dir, retry_at=None, **facts)
        claimed = run.moved(Status.RUNNING) if run.status is Status.QUEUED else run
        try:
            self.runs.record(claimed)
        except EndedError:
            end = self._other_end(live.job, claimed)
            self._live.pop(run.id, None)
            self.told_end(live.job, end)
            return False
        self.log.claimed(claimed)
        live.run, live.request, live.retry_at = claimed, request, None
        self._live[run.id] = live
        try:
            live.runner = self.spawn(request, "" if live.job.private else slug_of(live.job.label))
            self.gate.enter(run.id, now.mono)
        except (SpawnError, ProtocolError) as error:
            nothing = replace(broken(run.id, run.attempt, str(error)), spending=charge.NOTHING)
            self._over(live, Gone(run.id, run.attempt, nothing), now)
        return True

    def _try_again(self, live: LiveRun, now: Moment) -> None:
        retries = live.run.retry_count + (live.run.attempt != live.run.repair_of)
        run = live.run.noted(attempt=live.run.attempt + 1, retry_count=retries)
        try:
            self._attempt(live, run, now)
        except InvalidError as error:
            end = attempts.End(Status.FAILED, Reason.BAD_DEFINITION, str(error))
            self._end(live, attempts.not_put_right(run, end), now)
        except StoreError as error:
            self.log.unstored("The next attempt of run %s cannot be claimed: %s", run, error)
            live.retry_at = now.mono + SAVE_AGAIN

    def _over(self, live: LiveRun, gone: Gone, now: Moment) -> None:
        live.runner, live.kill_at = None, None
        self.gate.leave(live.run.id)
        fault = "The runner did not end in time and was killed." if live.overdue else gone.fault
        result = gone.result or broken(gone.run_id, gone.attempt, fault)
        live.run = attempts.with_result(live.run, result)
        what = self._after(live, result, now)
        if isinstance(what, attempts.End):
            self._end(live, what, now)
        else:
            self._back_off(live, result, what, now)

    def _after(self, live: LiveRun, result: ExecuteResult, now: Moment) -> attempts.Retry | attempts.End:
        """What becomes of the run. Where a quota is used up, its agent rests, and the run may wait for it once."""
        what = attempts.after(live.run, live.job, result, live.deadline - now.mono)
        back = back_at(result, now.wall)
        if back is None:
            return what
        self.quotas.spent(live.run.agent, back, now)
        live.run = live.run.noted(rest_until=back)
        why_not = why_no_wait(live.run, live.job, result, back)
        if why_not is not None:
            return attempts.because(what, why_not) if isinstance(what, attempts.End) else what
        delay = (back - now.wall).total_seconds()
        live.run = live.run.noted(rested_secs=ceil(delay))
        live.deadline += live.run.rested_secs
        return attempts.Retry(delay)

    def _back_off(self, live: LiveRun, result: ExecuteResult, what: attempts.Retry, now: Moment) -> None:
        self.log.retried(live.run, result.reason, what.delay, repair=what.repair)
        live.retry_at = now.mono + what.delay
        repaired = live.run.attempt if what.repair else live.run.repair_of
        live.run = live.run.noted(retry_at=now.wall + timedelta(seconds=what.delay), repair_of=repaired)
        try:
            self.runs.record(live.run)
        except (StoreError, EndedError) as error:
            # Without its end on disk no other attempt may follow: a crash now would make it a second first one.
            self.log.unstored("The end of an attempt of run %s cannot be stored: %s", live.run, error)
            self._end(live, attempts.End(final_status(result.reason), result.reason, result.error), now)

    def _end(self, live: LiveRun, end: attempts.End, now: Moment) -> CronRun:
        live.ended = live.run.moved(
            end.status,
            reason=end.reason,
            error=end.error,
            retry_at=None,
            finished_at=now.wall,
            duration=max(0, round((now.mono - live.started) * SECOND)),
        )
        self._save_end(live, now)
        return live.ended

    def _save_end(self, live: LiveRun, now: Moment) -> None:
        assert live.ended is not None
        try:
            live.ended = self.record_end(live.job, live.ended)
        except StoreError as error:
            self.log.unstored("The end of run %s cannot be stored and is tried again: %s", live.run, error)
            live.save_at = now.mono + SAVE_AGAIN
            return
        del self._live[live.run.id]
        self.told_end(live.job, live.ended)
