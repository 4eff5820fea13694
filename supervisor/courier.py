"""Delivers what is owed: one try a turn, whatever is due first. Whoever answers nothing rests, and delays nobody else.

It runs in a thread of its own and is told what time it is, so that a simulated day can be put through it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from supervisor.clock import Clock, Moment
from supervisor.deliveries import Channel, Delivery, Letter, News, State, delay_after, due_at
from supervisor.logline import about
from supervisor.models import CronRun
from supervisor.outbox import Outbox
from supervisor.posting import seconds_of
from supervisor.webhookurl import WebhookError

STORE_AGAIN = 2.0
MOST_STARTS = 100
Send = Callable[[Letter, Delivery], None]
"""Makes one try. Raises WebhookError."""


@dataclass(frozen=True, slots=True)
class Rest:
    """How often in a row a place failed, and until when, monotonic, it is left alone."""

    failures: int
    until: float


class Courier:
    """The deliveries of one outbox."""

    def __init__(self, outbox: Outbox, send: Send, clock: Clock, logger: logging.Logger) -> None:
        self._outbox, self._send, self._clock, self._logger = outbox, send, clock, logger
        self._rests: dict[str, Rest] = {}
        self._starts: deque[tuple[Letter, Delivery]] = deque(maxlen=MOST_STARTS)

    def started(self, url: str, run: CronRun) -> None:
        """Say that a run begins, once, now or never: later it would say nothing."""
        at = run.started_at
        letter = Letter(run_id=run.id, job_id=run.job_id, status=run.status, made_at=at)
        ping = Delivery(id="", channel=Channel.PING, to=url, news=News.START, next_at=at, expires_at=at)
        self._starts.append((letter, ping))

    def forget_rests(self) -> None:
        """Whoever failed is asked again at once."""
        self._rests.clear()

    def turn(self) -> float | None:
        """Try what is due first. Seconds until the next turn is wanted, 0: now; None: nothing is owed."""
        if self._starts:
            self._say_start(*self._starts.popleft())
            return 0.0
        stored, now = self._outbox.store(), self._clock.now()
        first = min(self._waits(now), key=lambda found: found[0], default=None)
        if first is None:
            return None if stored else STORE_AGAIN
        seconds, letter, delivery = first
        if seconds > 0:
            return seconds if stored else min(seconds, STORE_AGAIN)
        self._try(letter.run_id, delivery, now)
        return 0.0

    def _waits(self, now: Moment) -> list[tuple[float, Letter, Delivery]]:
        return [
            (self._seconds(each, now), letter, each)
            for letter in self._outbox.waiting()
            for each in letter.deliveries
            if each.waits
        ]

    def _seconds(self, delivery: Delivery, now: Moment) -> float:
        """Until it may be tried, or is to be given up."""
        wait = (due_at(delivery, now.wall) - now.wall).total_seconds()
        if now.wall > delivery.expires_at or not self._resting(delivery, now):
            return wait
        left = (delivery.expires_at - now.wall) / timedelta(seconds=1) + 1
        return max(wait, min(left, self._rests[delivery.place].until - now.mono))

    def _resting(self, delivery: Delivery, now: Moment) -> bool:
        rest = self._rests.get(delivery.place)
        return rest is not None and rest.until > now.mono

    def _try(self, run_id: str, delivery: Delivery, now: Moment) -> None:
        if now.wall > delivery.expires_at and self._resting(delivery, now):
            self._note(run_id, delivery.settled(State.EXPIRED, now.wall, delivery.error or "Nobody answered in time."))
            return
        tried = delivery.model_copy(update={"tries": delivery.tries + 1})
        try:
            whole = self._outbox.read(run_id)
            if whole is None or whole.run is None:
                raise WebhookError("What was to be told cannot be read.", permanent=False)
            self._send(whole, tried)
        except WebhookError as error:
            self._note(run_id, self._after(tried, error))
        except Exception as defect:  # one of ours; it must not end the telling of all others
            self._logger.exception("Telling the end of run %s broke.", run_id)
            self._note(run_id, self._after(tried, WebhookError(f"It broke: {type(defect).__name__}.", permanent=False)))
        else:
            self._rests.pop(delivery.place, None)
            self._note(run_id, tried.settled(State.DELIVERED, self._clock.now().wall))

    def _after(self, tried: Delivery, error: WebhookError) -> Delivery:
        now = self._clock.now()
        if error.permanent:
            return tried.settled(State.FAILED, now.wall, str(error))
        asked = seconds_of(error.retry_after, now.wall.timestamp()) if error.retry_after else 0.0
        self._let_rest(tried.place, asked, now)
        return tried.postponed(str(error), delay_after(tried.tries, asked), now.wall)

    def _let_rest(self, place: str, asked: float, now: Moment) -> None:
        before = self._rests.get(place)
        failures = 1 + (before.failures if before else 0)
        self._rests[place] = Rest(failures, now.mono + delay_after(failures, asked))

    def _note(self, run_id: str, delivery: Delivery) -> None:
        self._outbox.change(run_id, delivery)
        channel, tries, state = delivery.channel.value, delivery.tries, delivery.state.value
        about_it = partial(about, run=run_id, channel=channel, tries=tries, status=state)
        if delivery.state is State.DELIVERED:
            self._logger.info("run %s: told (%s)", run_id, channel, extra=about_it("told"))
        elif delivery.waits:
            words = "The end of run %s was not told by %s yet, try %d: %s"
            self._logger.warning(words, run_id, channel, tries, delivery.error, extra=about_it("told.later"))
        else:
            words = "The end of run %s was not told by %s (%s): %s"
            self._logger.error(words, run_id, channel, state, delivery.error, extra=about_it("told.never"))

    def _say_start(self, letter: Letter, ping: Delivery) -> None:
        now = self._clock.now()
        if self._resting(ping, now):
            return
        try:
            self._send(letter, ping)
        except WebhookError as error:
            self._let_rest(ping.place, 0.0, now)
            self._logger.warning("The start of run %s was not told: %s", letter.run_id, error)
