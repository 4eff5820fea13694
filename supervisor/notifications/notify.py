"""Telling the owner that a run is over: owed on disk before its end is, told after it, outside its slot, never in the
scheduler's way. `deliveries` decides what is owed to whom, `outbox` keeps it, `courier` delivers it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

from supervisor.control.outboxdesk import OutboxDesk, status_of
from supervisor.models import CronJob, CronRun
from supervisor.notifications.courier import Claimed, Courier, Send
from supervisor.notifications.deliveries import Letter, letter_of, wanted
from supervisor.notifications.incident import Incident, Incidents, Verdict, judge
from supervisor.notifications.outbox import Outbox
from supervisor.notifications.sender import CronCallback, Sender
from supervisor.notifications.targets import Notify
from supervisor.scheduler import Scheduler
from supervisor.stores.disk import REAL, Disk
from supervisor.stores.home import Home
from supervisor.timing.clock import Clock

CLOSE_WITHIN = 5.0
LONGEST_WAIT = 300.0
"""Seconds after which it looks again in any case: a machine that slept, or whose clock was set, does not say so."""
_NOTHING = Verdict(news=None, since=None, after=None)

__all__ = ["CronCallback", "Notifier", "wanted"]


class Notifier:
    """What one home owes, and the thread that tells it. Only for who holds the home's lock."""

    def __init__(
        self,
        home: Home,
        callbacks: Sequence[CronCallback],
        notify: Callable[[], Notify],
        clock: Clock,
        logger: logging.Logger,
        send: Send | None = None,
        disk: Disk = REAL,
    ) -> None:
        """`notify`: the settings as they are now. `send`: how one try is made."""
        self.outbox, self._incidents = Outbox(home, disk), Incidents(home, disk)
        self._callbacks, self._notify, self._logger, self.clock = len(callbacks), notify, logger, clock
        self.courier = Courier(self.outbox, send or Sender(home, notify, clock, logger, callbacks), clock, logger)
        self._unsealed: dict[str, tuple[Letter, Incident | None]] = {}
        self._woken, self._open = threading.Event(), False
        self._thread: threading.Thread | None = None
        self.desk = OutboxDesk(self, home)

    def owe(self, job: CronJob, run: CronRun) -> None:
        """The run is about to end so: put what is owed then on disk. Raises StoreError; then it must not end yet."""
        verdict = _NOTHING
        if job.notify:
            verdict = judge(self._incidents.of(job.id), run, timedelta(hours=self._notify().remind_hours))
        letter = letter_of(job, run, self._notify(), verdict.news, verdict.since, self._callbacks)
        self.outbox.keep(letter)
        self._unsealed[run.id] = (letter, verdict.after)

    def tell(self, job: CronJob, run: CronRun) -> None:
        """The end that was owed is on disk: tell it. Returns at once."""
        letter, incident = self._unsealed.pop(run.id, (None, None))
        if letter is None:
            return
        if job.notify:
            self._incidents.note(job.id, incident)
        if letter.deliveries:
            self.outbox.seal(letter, self._notify().most_waiting)
            self.wake()

    def started(self, job: CronJob, run: CronRun) -> None:
        """A run begins. Returns at once."""
        if job.ping:
            self.courier.started(job.ping, run)
            self.wake()

    def begin(self, core: Scheduler) -> None:
        """Keep what the core's runs owe from now on, and take up what a former supervisor still did. Before the runs
        that it left open are closed."""
        core.live.owe, core.live.told_start = self.owe, self.started
        self._open, self.outbox.closed = True, False
        found = self.outbox.load(lambda letter: status_of(core.runs, letter))
        self._incidents.keep_only(
            {job.id for job in core.jobs.known()} | {lost.path.stem for lost in core.jobs.damaged}
        )
        if found:
            self._logger.info("the ends of %d runs are still to be told", found)
            self.wake()

    def wake(self, *, rested: bool = False) -> None:
        """Look for what is due, where time is kept. `rested`: also at those who failed just now."""
        if rested:
            self.courier.forget_rests()
        self._woken.set()
        if self._open and self._thread is None:
            self._start()

    def close(self) -> None:
        """Give what is due a moment; the rest is on disk, for the next supervisor."""
        self._open = False
        self._woken.set()
        if self._thread is not None:
            self._thread.join(CLOSE_WITHIN)
        self._thread, self.outbox.closed = None, True
        self._woken.set()

    @property
    def busy(self) -> bool:
        """Whether its thread is there to write and to tell."""
        return self._thread is not None

    @property
    def lasts(self) -> timedelta:
        """How long something is owed before it is given up."""
        return timedelta(hours=self._notify().expire_hours)

    def _start(self) -> None:
        thread = threading.Thread(target=self._deliver_all, name="cronward-notify", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the host has no thread left; the next end that is to be told tries again
            self._logger.error("Nothing can be told at the moment: %s.", error)
            return
        self._thread = thread

    def _deliver_all(self) -> None:
        while not self.outbox.closed:
            found = self.courier.claim()
            if isinstance(found, Claimed):
                self._send_off(found)
                continue
            if not self._open and not self.courier.under_way:
                return
            self._woken.wait(LONGEST_WAIT if found is None else min(found, LONGEST_WAIT))
            self._woken.clear()

    def _send_off(self, claimed: Claimed) -> None:
        """In a thread of its own, for a receiver may take its time; where the host has none left, here."""
        try:
            threading.Thread(target=self._carry_out, args=(claimed,), name="cronward-notify", daemon=True).start()
        except RuntimeError:
            self._carry_out(claimed)

    def _carry_out(self, claimed: Claimed) -> None:
        try:
            self.courier.carry_out(claimed)
        finally:
            self._woken.set()
