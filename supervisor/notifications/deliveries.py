"""What is owed to whom after a run, and what becomes of each delivery. Pure: decided from the run, the job, the time.

A letter is all that is to be told of one run's end: one delivery for each receiver, each with an id of its own that
stays the same in every try, so that a receiver can tell a repeat.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict

from shared.reasons import Reason
from supervisor.models import NEVER, CronJob, CronRun, Event, Identifier
from supervisor.notifications.targets import Notify
from supervisor.status import Status

VERSION = 1
WAITS = (0.5, 2.0, 8.0, 30.0, 120.0, 600.0, 1800.0, 3600.0, 7200.0)
"""Seconds between tries: first as the original waits, then over hours; the last one for ever."""
LONGEST = 4 * 3600.0
"""The most that a receiver's `Retry-After` is believed."""
PING_EXPIRES = timedelta(hours=1)
"""A sign of life that is older tells nothing."""
OUTBOX_FULL = "The outbox was full."
"""Why the oldest is dropped."""
_EVENTS = {
    Status.COMPLETED: Event.COMPLETED,
    Status.FAILED: Event.FAILED,
    Status.UNKNOWN: Event.FAILED,  # the supervisor died: who wants to hear of failures wants to hear of that
    Status.CANCELED: Event.CANCELED,
}


class Channel(StrEnum):
    """By which way it is told."""

    WEBHOOK = "webhook"
    TARGET = "target"
    PING = "ping"
    CALLBACK = "callback"


class News(StrEnum):
    """What is told: a start, an end like any other, or a step of an incident."""

    START = "start"
    END = "end"
    FAILURE = "failure"
    REMINDER = "reminder"
    RECOVERY = "recovery"
    TEST = "test"


class State(StrEnum):
    """Where a delivery stands. All but the first are final, until somebody retries it."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"
    DROPPED = "dropped"


class Delivery(BaseModel):
    """One receiver's part of a letter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    channel: Channel
    to: str
    """The URL of a webhook or ping, the name of a target, the number of a callback."""
    token: str = ""
    """The name of the secret that a webhook gets as its bearer token. Empty: none, or the target's own."""
    news: News = News.END
    since: AwareDatetime | None = None
    """When the incident began that it tells of."""
    state: State = State.WAITING
    tries: int = 0
    next_at: AwareDatetime
    expires_at: AwareDatetime
    error: str = ""
    """Why the last try was none; a sentence."""
    settled_at: AwareDatetime = NEVER

    @property
    def waits(self) -> bool:
        """Whether it is still owed."""
        return self.state is State.WAITING

    @property
    def lost(self) -> bool:
        """Whether it was given up, and not by its owner's word."""
        full = self.state is State.DROPPED and self.error == OUTBOX_FULL
        return full or self.state in (State.FAILED, State.EXPIRED)

    @property
    def place(self) -> str:
        """Whoever answers there: what rests when one try fails, so that a dead receiver is not asked for each run."""
        return f"{self.channel.value} {self.to}"

    def settled(self, state: State, now: datetime, error: str = "") -> Self:
        """With its end."""
        return self.model_copy(update={"state": state, "settled_at": now, "error": error})

    def postponed(self, error: str, delay: float, now: datetime) -> Self:
        """After a failure that may pass. The last try is when it expires, unless its receiver rests then."""
        if now >= self.expires_at:
            return self.settled(State.EXPIRED, now, error)
        at = min(now + timedelta(seconds=delay), self.expires_at)
        return self.model_copy(update={"next_at": at, "error": error})

    def again(self, now: datetime, lasts: timedelta) -> Self:
        """Owed once more, from now on, as its owner asked."""
        fresh = {"state": State.WAITING, "tries": 0, "next_at": now, "expires_at": now + lasts, "settled_at": NEVER}
        return self.model_copy(update=fresh)


class Letter(BaseModel):
    """All that is to be told of one run's end: one file of the outbox, named by the run's id."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = VERSION
    run_id: Identifier
    job_id: Identifier
    job_name: str = ""
    """Empty where the job is private."""
    status: Status
    reason: Reason | None = None
    made_at: AwareDatetime
    run: dict[str, Any] | None = None
    """The run's record, as it is told; None once all of it was."""
    deliveries: tuple[Delivery, ...] = ()

    @property
    def waits(self) -> bool:
        """Whether any of it is still owed."""
        return any(each.waits for each in self.deliveries)

    @property
    def told(self) -> bool:
        """Whether all of it was delivered: nobody will ever want to send it again."""
        return all(each.state is State.DELIVERED for each in self.deliveries)

    def takes(self, changed: Delivery, *, anew: bool = False) -> bool:
        """Whether this may become of a delivery: it is still owed, or its owner wants it `anew` and it was not told.

        Whoever changes it looked at it a while ago."""
        before = next((each.state for each in self.deliveries if each.id == changed.id), State.DELIVERED)
        return before is State.WAITING or (before is not State.DELIVERED and (anew or not changed.waits))

    def bare(self) -> Self:
        """Without what is told: what is remembered of it."""
        return self.model_copy(update={"run": None})

    def having(self, changed: Delivery) -> Self:
        """With this delivery in the place of the one of its id."""
        return self.model_copy(
            update={"deliveries": tuple(changed if each.id == changed.id else each for each in self.deliveries)}
        )

    def record(self) -> dict[str, Any]:
        """What is stored, ready for JSON."""
        return {**self.model_dump(mode="json", exclude={"run"}), "run": self.run}


def wanted(job: CronJob, run: CronRun) -> bool:
    """Whether the owner asked to hear of this end. `notify_on` empty: of all three. An unknown end is a failure; of
    skips nobody is told."""
    event = _EVENTS.get(run.status)
    return event is not None and not job.silent and (not job.notify_on or event in job.notify_on)


def letter_of(
    job: CronJob,
    run: CronRun,
    notify: Notify,
    news: News | None = None,
    since: datetime | None = None,
    callbacks: int = 0,
) -> Letter:
    """What is owed after this end. `news`: what it means for the job's incident, None where that is nothing new.
    `callbacks`: how many the program has that embeds us."""
    at = run.finished_at
    owed = (
        *_webhooks(job, run),
        *_targets(job, run, notify, news),
        *_pings(job, run),
        *((Channel.CALLBACK, str(number), News.END) for number in range(callbacks if wanted(job, run) else 0)),
    )
    lasts = timedelta(hours=notify.expire_hours)
    return Letter(
        run_id=run.id,
        job_id=job.id,
        job_name="" if job.private else job.name,
        status=run.status,
        reason=run.reason,
        made_at=at,
        run=run.record() if owed else None,
        deliveries=tuple(
            Delivery(
                id=_id(run.id, channel, to),
                channel=channel,
                to=to,
                token=job.webhook_token if channel is Channel.WEBHOOK else "",
                news=each,
                since=since if channel is Channel.TARGET else None,
                next_at=at,
                expires_at=at + (PING_EXPIRES if channel is Channel.PING else lasts),
            )
            for channel, to, each in owed
        ),
    )


def delay_after(tries: int, asked: float = 0.0) -> float:
    """Seconds to wait after so many tries that failed. `asked`: by the receiver, believed up to a bound."""
    return max(WAITS[min(tries, len(WAITS)) - 1], min(asked, LONGEST))


def due_at(delivery: Delivery, now: datetime) -> datetime:
    """When it is to be tried; at once where the clock was set back so far that it would wait for no reason."""
    return delivery.next_at if delivery.next_at - now <= timedelta(seconds=LONGEST) else now


Owed = tuple[Channel, str, News]


def _webhooks(job: CronJob, run: CronRun) -> Iterator[Owed]:
    url = job.on_complete if run.status is Status.COMPLETED else job.on_fail
    if url and wanted(job, run):
        yield Channel.WEBHOOK, url, News.END


def _targets(job: CronJob, run: CronRun, notify: Notify, news: News | None) -> Iterator[Owed]:
    for name in dict.fromkeys(job.notify):
        target = notify.targets.get(name)
        if target is not None and target.every_run:
            if wanted(job, run):
                yield Channel.TARGET, name, News.END
        elif news is not None and not job.silent and (not job.notify_on or Event.FAILED in job.notify_on):
            yield Channel.TARGET, name, news
        elif _asked_for(job, run):
            yield Channel.TARGET, name, News.END


def _asked_for(job: CronJob, run: CronRun) -> bool:
    """Of an end that is no failure, who gets alerts is told only where the job's owner wrote that down."""
    event = _EVENTS.get(run.status)
    return event in (Event.COMPLETED, Event.CANCELED) and event in job.notify_on and not job.silent


def _pings(job: CronJob, run: CronRun) -> Iterator[Owed]:
    """A gate that found nothing to do is a sign of life; a cancel is neither life nor death."""
    if not job.ping:
        return
    if run.status is Status.COMPLETED or run.reason is Reason.NOTHING_TO_DO:
        yield Channel.PING, job.ping, News.END
    elif run.status in (Status.FAILED, Status.UNKNOWN):
        yield Channel.PING, job.ping, News.FAILURE


def _id(run_id: str, channel: Channel, to: str) -> str:
    """Without a dot: one would stand between the parts that are signed."""
    which = f"_{to}" if channel in (Channel.TARGET, Channel.CALLBACK) else ""
    return f"msg_{run_id.replace('.', '-')}_{channel.value}{which}"
