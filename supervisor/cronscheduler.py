"""The scheduler as programs use it: the seed's operations, for the daemon, for a CLI without one, and as a library.

`CronScheduler(store, executor)` answers every operation on the stores at once. `start()` makes it keep time in a thread
of its own (`keep_time()`: on a running loop), until `stop()`. Threads may share one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from shared.messages import ExecuteRequest
from supervisor.admission import pressure
from supervisor.budgets.purse import Purse
from supervisor.config import Config
from supervisor.control.secretdesk import SecretDesk
from supervisor.control.sessiondesk import SessionDesk
from supervisor.definitions import edits
from supervisor.definitions.batch import Batch, Outcome, read_batch
from supervisor.definitions.definition import JobDraft, check_reason, define, setting_of
from supervisor.definitions.revision import revise
from supervisor.definitions.together import carry_out
from supervisor.errors import CronwardError, NotFoundError, RefusedError, UnreachableError
from supervisor.logs.logline import about
from supervisor.loop import Pulse, Turns
from supervisor.models import CronJob, CronRun
from supervisor.notifications.notify import CronCallback, Notifier
from supervisor.reports.shown import with_runs
from supervisor.scheduler import Scheduler, Wake
from supervisor.spawning.aftermath import Aftermath
from supervisor.spawning.identity import Identity
from supervisor.spawning.launcher import Executor, Gone, News
from supervisor.spawning.preparation import make_executor, prepare
from supervisor.spawning.recovery import clear_leavings, kill_runners, recover
from supervisor.status import Status
from supervisor.stores.host import Host
from supervisor.stores.jobs import CronStore, new_id
from supervisor.stores.lock import HomeLock
from supervisor.stores.pruning import Pruning
from supervisor.stores.runs import RunsStore
from supervisor.timing.clock import Clock, Moment, SystemClock
from supervisor.timing.hostzone import host_zone
from supervisor.timing.timethread import keep_in_thread

LOCK_WAIT = 5.0
"""Seconds to wait for a CLI that is in the middle of an edit."""
STOP_MARGIN = 15.0


class CronScheduler:
    """Manages scheduled jobs: their definitions, their timing, their runs."""

    def __init__(
        self,
        store: CronStore,
        executor: Executor | None = None,
        logger: logging.Logger | None = None,
        max_concurrent: int | None = None,
        *,
        runs: RunsStore | None = None,
        config: Config | None = None,
        clock: Clock | None = None,
        callbacks: Sequence[CronCallback] = (),
        load: Callable[[], Config] | None = None,
    ) -> None:
        """`max_concurrent`: at once (0 or negative: 4; None: as the config says). `load`: where `reload` reads it."""
        config = config or Config()
        if max_concurrent is not None:
            config = Config.model_validate({**dict(config), "max_concurrent": max_concurrent})
        self.home, self.config, self.store = store.home, config, store
        self.logger = logger or logging.getLogger("cronward")
        self._executor, self._load = executor, load
        self.secrets = SecretDesk(self.home, store, lambda: self.config.notify)
        self.sessions = SessionDesk(self.home, store, lambda job_id: bool(self._core.live.of_job(job_id)))
        self.clock = clock or SystemClock()
        self._host = Host.here()
        self._mutex = threading.RLock()
        self._notifier = Notifier(self.home, callbacks, lambda: self.config.notify, self.clock, self.logger)
        self.outbox = self._notifier.desk
        self._identity = Identity(self.home, self.logger)
        self._core = Scheduler(
            store,
            runs or RunsStore(self.home, keep=config.history),
            config,
            self._host,
            new_id=new_id,
            prepare=self._prepare,
            told_end=self._told_end,
            host_busy=self._host_busy,
            short_of_disk=lambda place: pressure.short_of_disk(place, self.config),
            purse=Purse(host_zone),
            cpus=len(os.sched_getaffinity(0)),
            logger=self.logger,
        )
        self._aftermath = Aftermath(self.home, self._identity, self.clock, self.logger)
        self._pruning = Pruning(self._core, self._mutex, self.clock, self.logger)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turns: Turns | None = None
        self._drained: asyncio.Future[None] | None = None
        self._thread: threading.Thread | None = None

    # ---- the seed's operations; a job is named by its id, an unambiguous beginning of it, or its name

    def add_job(self, job: CronJob | JobDraft) -> CronJob:
        """Check a definition whole, store it and schedule it. Raises InvalidError, RefusedError, StoreError."""
        draft = job if isinstance(job, dict) else job.model_dump(exclude_unset=True, mode="json")
        with self._changing() as now:
            defined = define(draft, setting_of(self.home, self.config), now.wall)
            return self._shown(edits.add(self._core, defined, now), now)

    def get_job(self, job_id: str) -> CronJob | None:
        """The job of this id; None if there is none."""
        with self._mutex:
            job = self.store.get(job_id)
            return None if job is None else self._shown(job, self.clock.now())

    def list_jobs(self) -> list[CronJob]:
        """Every job, with what is derived from its runs."""
        with self._mutex:
            now = self.clock.now()
            return [self._shown(job, now) for job in self.store.list()]

    def list_runs(self, job_id: str) -> list[CronRun]:
        """A job's runs, newest first."""
        return self._core.runs.get_runs(job_id)

    def edit_job(self, ref: str, changes: JobDraft) -> CronJob:
        """Change a job, checked whole as a new one is. Live runs keep what they started with. Raises as `add_job`."""
        with self._changing() as now:
            job = self.store.find(ref)
            ran, settled = self._core.runs.summary(job.id).run_count, self._core.settled(job, now.wall)
            revised = revise(job, changes, setting_of(self.home, self.config), now.wall, ran, settled)
            return self._shown(edits.edit(self._core, revised, now), now)

    def pause_job(self, ref: str, reason: str = "", cancel: bool = False) -> CronJob:
        """Disable a job without removing it; a live run goes on, unless `cancel`. Again: nothing more changes."""
        with self._changing() as now:
            job = self.store.find(ref)
            check_reason(job, reason)
            return self._shown(edits.pause(self._core, job, now, reason, cancel), now)

    def resume_job(self, ref: str) -> CronJob:
        """Enable a paused job; what fell due meanwhile is not owed. Again: nothing more changes."""
        with self._changing() as now:
            return self._shown(edits.resume(self._core, self.store.find(ref), now), now)

    def remove_job(self, ref: str) -> CronJob:
        """Delete a job and end its live runs; its history stays."""
        with self._changing() as now:
            job = self.store.find(ref)
            shown_last = self._shown(job, now)
            edits.remove(self._core, job, now)
            self._reclaim()
            return shown_last

    def change_jobs(self, batch: Batch | dict[str, Any]) -> Outcome:
        """Add, change and remove jobs together: all of it or nothing. Raises InvalidError, StoreError."""
        with self._changing() as now:
            done = carry_out(self._core, read_batch(batch), setting_of(self.home, self.config), now)
            self._reclaim()
            return done

    def set_runs_store(self, runs: RunsStore) -> None:
        """Use this store of runs. Only before the scheduler is started."""
        self._core.runs = self._core.live.runs = runs

    # ---- ours

    def find_job(self, ref: str) -> CronJob:
        """The job of this id, beginning of an id, or name. Raises NotFoundError, InvalidError if several match."""
        with self._mutex:
            return self._shown(self.store.find(ref), self.clock.now())

    def find_run(self, ref: str) -> CronRun:
        """The run of this id or unambiguous beginning of one; a live one as it stands this moment."""
        with self._mutex:
            run = self._core.runs.get(ref)
            live = self._core.live.get(run.id)
            return run if live is None else live.run

    def find_runs(self, ref: str | None, last: int | None, status: Status | None) -> Sequence[CronRun]:
        """Runs of one job or all, newest first."""
        if ref is None:
            return self._core.runs.all_runs(last, status)
        try:
            return self._core.runs.get_runs(self.store.find(ref).id, last, status)
        except NotFoundError:  # it may have been removed: its history stays
            return self._core.runs.runs_of(ref, last, status)

    def run_job(self, ref: str) -> CronRun:
        """Run a job now; the occurrence is on disk when this returns. Raises RefusedError, UnreachableError."""
        self._need_time()
        with self._changing() as now:
            return self._core.run(self.store.find(ref), now)

    def cancel_run(self, ref: str) -> CronRun:
        """End a run, or take it out of the queue. Raises NotFoundError, RefusedError, UnreachableError."""
        self._need_time()
        with self._changing() as now:
            return self._core.cancel(self._core.runs.get(ref).id, now)

    def live(self) -> list[dict[str, Any]]:
        """The runs that are not over, with the pid of each runner."""
        self._need_time()
        with self._mutex:
            return [live.run.record() for live in self._core.live]

    def status(self) -> dict[str, Any]:
        """How it stands, ready for JSON."""
        with self._mutex:
            due = self._core.agenda.earliest()
            queue = [
                {"run_id": w.run.id, "job_id": w.job.id, "job_name": w.job.name, "why": w.why}
                | {"scheduled_at": w.run.scheduled_at.isoformat()}
                for w in self._core.waiting
            ]
            enabled = [job.enabled for job in self.store.known()]
            return {
                "keeping_time": self._turns is not None,
                "stopping": self._core.draining,
                "pid": os.getpid(),
                "home": str(self.home.root),
                "jobs": len(enabled),
                "enabled": sum(enabled),
                "running": self._core.live.holding(),
                "max_concurrent": self.config.max_concurrent,
                "queue": queue,
                "next_due": None if due is None else due.isoformat(),
                "damaged": [str(damage) for damage in (*self.store.damaged, *self._core.runs.damaged)],
            }

    def prune(self) -> dict[str, Any]:
        """Clear old logs and records now. While time is kept a thread does it, and this returns at once."""
        if self._turns is not None:
            self._pruning.soon()
            return {"pruning": True}
        return self._pruning.all_at_once().record()

    def reload(self) -> list[str]:
        """Take the configuration anew, whole or not at all; which settings changed. Raises InvalidError, RefusedError.

        Runs that go on keep what they started with.
        """
        if self._load is None:
            raise RefusedError("The configuration was given by a program: there is no file to read again.")
        try:
            config = self._load()
        except CronwardError as error:
            self.logger.error("The configuration stays as it is: %s", error, extra=about("config.refused"))
            raise
        with self._changing():
            changed = [name for name in Config.model_fields if getattr(config, name) != getattr(self.config, name)]
            self.config = config
            self._core.configure(config)
        said = ", ".join(changed) or "nothing"
        self.logger.info("the configuration was read again; changed: %s", said, extra=about("config.read"))
        return changed

    # ---- keeping time

    def start(self) -> None:
        """Begin to keep time, in a thread that lasts until `stop`. Raises RefusedError if another supervisor does."""
        if self._thread is not None:
            return
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=keep_in_thread, args=(self.keep_time, ready), name="cronward", daemon=True
        )
        self._thread.start()
        try:
            ready.result()
        except BaseException:
            self._thread.join()
            self._thread = None
            raise

    def stop(self, now: bool = False) -> None:
        """Start nothing more; let what runs end within `drain_seconds` (now: at once), then end it.

        Called from another thread than the scheduler's own it returns when that is done; else at once.
        """
        with self._changing() as moment:
            self._core.drain(moment, 0.0 if now else self.config.drain_seconds)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(self.config.drain_seconds + self.config.grace_seconds + STOP_MARGIN)
            self._thread = None

    @contextlib.asynccontextmanager
    async def keep_time(self, pulse: Pulse | None = None) -> AsyncIterator[asyncio.Future[None]]:
        """Keep time on the running loop; the future is done when it was stopped and nothing runs any more.

        It fails if a turn does: better no supervisor, which is noticed and started again, than one that is deaf.

        Holds the home's lock meanwhile. Raises RefusedError if another process does.
        """
        with self._holding_home():
            self._loop = asyncio.get_running_loop()
            self._drained = self._loop.create_future()
            executor = self._executor or make_executor(self.home.root)
            loop, tell = self._loop, self._tell
            self._core.live.spawn = lambda request, slug: executor.spawn(request, tell, loop, slug)
            self._take_up()
            self._turns = Turns(self._tick, self.clock, self._loop, pulse)
            self._turns.soon()
            self._reclaim()
            self._pruning.start()
            try:
                yield self._drained
            finally:
                self._pruning.close()
                turns, self._turns = self._turns, None
                turns.close()
                self._notifier.close()
                self._identity.close()

    def _take_up(self) -> None:
        """Where a former supervisor left off."""
        with self._mutex:
            now = self.clock.now()
            self._core.reset()
            for damage in (*self.store.quarantine(), *self._core.runs.quarantine()):
                self.logger.error("%s", damage, extra=about("store.damaged"))
            left_open = list(self._core.runs.unfinished())
            undead = kill_runners(left_open, self._host)
            clear_leavings(left_open, self._host)
            self._aftermath.of_all()
            self._notifier.begin(self._core)
            for words in recover(self._core, now, undead):
                self.logger.warning("%s", words)
            self._core.load(now.wall)

    @contextlib.contextmanager
    def _holding_home(self) -> Iterator[None]:
        lock = HomeLock(self.home)
        if lock.held:  # it nests within a process, so acquiring it would not tell
            raise RefusedError(f"This process keeps time in {self.home.root} already; stop that scheduler first.")
        lock.acquire(LOCK_WAIT)
        try:
            yield
        finally:
            lock.release()

    def _tick(self, now: Moment) -> Wake:
        assert self._drained is not None  # there are turns only while time is kept
        with self._mutex:
            try:
                wake = self._core.tick(now)
            except BaseException as defect:
                if not self._drained.done():
                    self._drained.set_exception(defect)
                raise
            if self._core.drained() and not self._drained.done():
                self._drained.set_result(None)
            return wake

    def _tell(self, news: News) -> None:
        if isinstance(news, Gone):
            self._aftermath.of(news)
        self._core.inbox.append(news)
        if self._turns is not None:
            self._turns.soon()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[Moment]:
        """One request of a person: alone, with the time read once, and a turn after it."""
        with self._mutex:
            try:
                yield self.clock.now()
            finally:
                if self._turns is not None and self._loop is not None:
                    self._loop.call_soon_threadsafe(self._turns.soon)

    def _need_time(self) -> None:
        if self._turns is None:
            raise UnreachableError("Nothing keeps time in this home; start it with `cronward supervise`.")

    def _host_busy(self) -> str:
        busy = pressure.busy(pressure.read(self.config), self.config)
        return busy or pressure.short_of_disk(str(self.home.root), self.config)

    def _shown(self, job: CronJob, now: Moment) -> CronJob:
        return with_runs(job, self._core.runs, now.wall)

    def _prepare(self, job: CronJob, run: CronRun, seconds_left: float) -> ExecuteRequest:
        return prepare(self.home, self._identity, self.config, self._core.runs, job, run, seconds_left)

    def _told_end(self, job: CronJob, run: CronRun) -> None:
        self._notifier.tell(job, run)
        self._pruning.ended()
        self._reclaim(job.id)

    def _reclaim(self, ended: str = "") -> None:
        if self._turns is not None and self._aftermath.is_wanted(ended, self.store):
            self._aftermath.of_jobs(self.store, {live.job.id for live in self._core.live})
