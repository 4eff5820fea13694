"""Telling the owner that a run is over: after its end is on disk, outside its slot, never in the scheduler's way.

Not durable yet: what is still to be told when the supervisor ends is lost (docs/promises.md, P11).
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Sequence
from typing import Protocol

from supervisor.models import CronJob, CronRun, Event
from supervisor.status import Status
from supervisor.webhook import WebhookCallback, WebhookError

MAX_WAITING = 1000
CLOSE_WITHIN = 5.0
_EVENTS = {Status.COMPLETED: Event.COMPLETED, Status.FAILED: Event.FAILED, Status.CANCELED: Event.CANCELED}


class CronCallback(Protocol):
    """What a program that embeds the scheduler is told. Called in a thread of its own; may block; errors are logged."""

    def on_complete(self, run: CronRun) -> None:
        """The run completed."""

    def on_fail(self, run: CronRun) -> None:
        """The run failed, or was canceled."""


def wanted(job: CronJob, run: CronRun) -> bool:
    """Whether the owner asked to hear of this end. `notify_on` empty: of all three; never of skips and unknowns."""
    event = _EVENTS.get(run.status)
    return event is not None and not job.silent and (not job.notify_on or event in job.notify_on)


class Notifier:
    """One thread that tells, in order; the queue is bounded, and what does not fit is logged and dropped."""

    def __init__(self, callbacks: Sequence[CronCallback], logger: logging.Logger) -> None:
        self._callbacks = tuple(callbacks)
        self._logger = logger
        self._queue: queue.Queue[tuple[tuple[CronCallback, ...], CronRun] | None] = queue.Queue(MAX_WAITING)
        self._thread: threading.Thread | None = None

    def tell(self, job: CronJob, run: CronRun) -> None:
        """Put it in the queue; returns at once."""
        url = job.on_complete if run.status is Status.COMPLETED else job.on_fail
        callbacks = (*self._callbacks, *([WebhookCallback(url)] if url else []))
        if not callbacks or not wanted(job, run):
            return
        try:
            self._queue.put_nowait((callbacks, run))
        except queue.Full:
            self._logger.error("The end of run %s is not told: %d others are still to be.", run.id, MAX_WAITING)
        if self._thread is None:
            self._start()

    def close(self) -> None:
        """Give what is in the queue a moment."""
        if self._thread is not None:
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=CLOSE_WITHIN)
            self._thread.join(CLOSE_WITHIN)

    def _start(self) -> None:
        thread = threading.Thread(target=self._deliver_all, name="cronward-notify", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the host has no thread left; the next end that is to be told tries again
            self._logger.error("Nothing can be told at the moment: %s.", error)
            return
        self._thread = thread

    def _deliver_all(self) -> None:
        while (item := self._queue.get()) is not None:
            callbacks, run = item
            for callback in callbacks:
                self._deliver(callback, run)

    def _deliver(self, callback: CronCallback, run: CronRun) -> None:
        try:
            (callback.on_complete if run.status is Status.COMPLETED else callback.on_fail)(run)
        except WebhookError as error:
            self._logger.error("The end of run %s was not told: %s", run.id, error)
        except Exception:  # a callback is the embedding program's code
            self._logger.exception("A callback broke on run %s.", run.id)
