"""Delivers what is owed: whatever is due first, a few tries at a time and at each place one. Whoever answers nothing
rests, and delays nobody else.

Whoever dispatches takes a try with `claim` and has it made with `carry_out`, which may wait for a receiver, in another
thread. It is told what time it is, so that a simulated day can be put through it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Container
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from supervisor.logs.logline import about
from supervisor.models import CronRun
from supervisor.notifications.deliveries import Channel, Delivery, Letter, News, State, delay_after, due_at
from supervisor.notifications.outbox import Outbox
from supervisor.notifications.posting import seconds_of
from supervisor.notifications.webhookurl import WebhookError
from supervisor.timing.clock import Clock, Moment

AT_ONCE = 4
"""How many tries may wait for their receivers: so many dead ones there can be before one that lives waits for them."""
STORE_AGAIN = 2.0
MOST_STARTS = 100
Send = Callable[[Letter, Delivery], None]
"""Makes one try. Raises WebhookError."""


@dataclass(frozen=True, slots=True)
class Rest:
    """How often in a row a place failed, and until when, monotonic, it is left alone."""

    failures: int
    until: float


@dataclass(frozen=True, slots=True)
class Claimed:
    """One try that is about to be made. Until it is over nobody else is at its place, so what is told there keeps its
    order."""

    letter: Letter
    delivery: Delivery


class Courier:
    """The deliveries of one outbox. One thread claims; of the others only those that carry out write here."""

    def __init__(self, outbox: Outbox, send: Send, clock: Clock, logger: logging.Logger) -> None:
        self._outbox, self._send, self._clock, self._logger = outbox, send, clock, logger
        self._rests: dict[str, Rest] = {}
        self._starts: deque[Claimed] = deque(maxlen=MOST_STARTS)
        self._at: set[str] = set()

    def started(self, url: str, run: CronRun) -> None:
        """Say that a run begins, once, now or never: later it would say nothing."""
        at = run.started_at
        letter = Letter(run_id=run.id, job_id=run.job_id, status=run.status, made_at=at)
        ping = Delivery(id="", channel=Channel.PING, to=url, news=News.START, next_at=at, expires_at=at)
        self._starts.append(Claimed(letter, ping))

    def forget_rests(self) -> None:
        """Whoever failed is asked again at once."""
        self._rests.clear()

    @property
    def under_way(self) -> int:
        """How many tries are being made."""
        return len(self._at)

    def turn(self) -> float | None:
        """Try what is due first, and wait for it. As `claim`, 0 after a try."""
        found = self.claim()
        if not isinstance(found, Claimed):
            return found
        self.carry_out(found)
        return 0.0

    def claim(self) -> Claimed | float | None:
        """What is due first, where nobody is at its place. Else the seconds until something will be, or None: nothing
        is owed, or who is under way has to come back first."""
        stored, now = self._outbox.store(), self._clock.now()
        # Before it is asked what is owed: whoever comes back after this has noted by then what became of its try.
        taken = frozenset(self._at)
        if len(taken) >= AT_ONCE:
            return None if stored else STORE_AGAIN
        start = self._next_start(taken)
        if start is not None:
            return self._begun(start)
        first = min(self._waits(now, taken), key=lambda found: found[0], default=None)
        if first is None:
            return None if stored else STORE_AGAIN
        seconds, letter, delivery = first
        if seconds > 0:
            return seconds if stored else min(seconds, STORE_AGAIN)
        return self._begun(Claimed(letter, delivery))

    def carry_out(self, claimed: Claimed) -> None:
        """Make the try, and note what became of it. May take as long as a receiver is given."""
        try:
            if claimed.delivery.news is News.START:
                self._say_start(claimed.letter, claimed.delivery)
            else:
                self._try(claimed.letter.run_id, claimed.delivery, self._clock.now())
        finally:
            self._at.discard(claimed.delivery.place)

    def _begun(self, claimed: Claimed) -> Claimed:
        self._at.add(claimed.delivery.place)
        return claimed

    def _next_start(self, taken: Container[str]) -> Claimed | None:
        """The first at whose place nobody is. Runs begin meanwhile, in another thread."""
        later: list[Claimed] = []
        found = None
        while found is None and self._starts:
            first = self._starts.popleft()
            if first.delivery.place in taken:
                later.append(first)
            else:
                found = first
        self._starts.extendleft(reversed(later))
        return found

    def _waits(self, now: Moment, taken: Container[str]) -> list[tuple[float, Letter, Delivery]]:
        return [
            (self._seconds(each, now), letter, each)
            for letter in self._outbox.waiting()
            for each in letter.deliveries
            if each.waits and each.place not in taken
        ]

    def _seconds(self, delivery: Delivery, now: Moment) -> float:
        """Until it may be tried, or is to be given up."""
        wait = (due_at(delivery, now.wall) - now.wall).total_seconds()
        rest = self._rests.get(delivery.place)  # its owner may forget all of them meanwhile
        if now.wall > delivery.expires_at or rest is None or rest.until <= now.mono:
            return wait
        left = (delivery.expires_at - now.wall) / timedelta(seconds=1) + 1
        return max(wait, min(left, rest.until - now.mono))

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
