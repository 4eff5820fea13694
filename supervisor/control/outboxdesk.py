"""What people do with notifications: look at them, have one tried again now, give one up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from pydantic import AwareDatetime, BaseModel, ConfigDict

from shared.reasons import Reason
from supervisor.errors import InvalidError, NotFoundError, RefusedError, StoreError
from supervisor.models import NEVER
from supervisor.notifications.deliveries import Channel, Delivery, Letter, News, State
from supervisor.notifications.outbox import letter_about, letters
from supervisor.notifications.webhookurl import origin
from supervisor.sentences import shown
from supervisor.status import Status
from supervisor.stores.home import Home
from supervisor.stores.runs import PREFIX_CHARS, RunsStore

if TYPE_CHECKING:
    from supervisor.notifications.notify import Notifier

ALL = "all"
UNTOLD = frozenset(State) - {State.DELIVERED}


class DeliveryRecord(BaseModel):
    """A delivery as it is shown: of a URL, only whose it is, for the rest of it is often a secret."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    run_id: str
    job_id: str
    job_name: str
    status: Status
    reason: Reason | None
    channel: Channel
    to: str
    news: News
    state: State
    tries: int
    owed_since: AwareDatetime
    next_at: AwareDatetime | None
    expires_at: AwareDatetime
    settled_at: AwareDatetime | None
    error: str


Records = list[DeliveryRecord]  # inside the class, `list` is what people ask for
Letters = list[Letter]


def records_of(letter: Letter) -> Records:
    """Its deliveries."""
    return [_record(letter, each) for each in letter.deliveries]


def told_of(home: Home, run_id: str) -> Records:
    """Those of one run, for who only looks."""
    letter = letter_about(home, run_id)
    return records_of(letter) if letter is not None else []


def shown_records(found: Iterable[Letter], *, settled: bool) -> Records:
    """Those that wait or came to nothing, the oldest first; `settled`: those that were told as well."""
    records = (each for letter in found for each in records_of(letter))
    return [each for each in records if settled or each.state is not State.DELIVERED]


class OutboxDesk:
    """The outbox of one home."""

    def __init__(self, notifier: Notifier, home: Home) -> None:
        self._notifier, self._home = notifier, home

    def list(self, settled: bool = False) -> Records:
        """What waits or came to nothing, the oldest first; `settled`: also what was told."""
        return shown_records(letters(self._home), settled=settled)

    def retry(self, ref: str) -> Records:
        """Try what was not told again, now. `ref`: a run's id, the beginning of one, or `all`. Raises NotFoundError,
        InvalidError, RefusedError where all of it was told."""
        now, lasts = self._notifier.clock.now().wall, self._notifier.lasts
        found = list(self._change(ref, lambda each: each.again(now, lasts), lambda each: each.state in UNTOLD))
        self._notifier.wake(rested=True)
        return found

    def drop(self, ref: str) -> Records:
        """Give up what still waits. Raises as `retry` does."""
        now = self._notifier.clock.now().wall
        found = self._change(ref, lambda each: each.settled(State.DROPPED, now, each.error), lambda each: each.waits)
        dropped = list(found)
        self._notifier.wake()
        return dropped

    def _change(
        self, ref: str, after: Callable[[Delivery], Delivery], meant: Callable[[Delivery], bool]
    ) -> Iterator[DeliveryRecord]:
        found, runs = find(letters(self._home, "" if ref == ALL else ref), ref), RunsStore(self._home)
        # What tells of an end that is not on disk yet is nobody's to change.
        sealed = [letter for letter in found if status_of(runs, letter) in (None, letter.status)]
        wanted = [(letter, each) for letter in sealed for each in letter.deliveries if meant(each)]
        if not wanted and ref != ALL:
            raise RefusedError(f"Nothing of run {found[0].run_id} is still to be told. See: cronward outbox list --all")
        for letter, each in wanted:
            changed = after(each)
            # A thousand writes are not the scheduler's to wait for.
            self._notifier.outbox.change(letter.run_id, changed, anew=True, later=self._notifier.busy and ref == ALL)
            yield _record(letter, changed)


def find(found: Letters, ref: str) -> Letters:
    """The letter that is meant, or all. Raises NotFoundError, InvalidError."""
    if ref == ALL:
        return found
    named = [letter for letter in found if letter.run_id == ref]
    named = named or [each for each in found if len(ref) >= PREFIX_CHARS and each.run_id.startswith(ref)]
    if not named:
        raise NotFoundError(f"The outbox has nothing of a run {shown(ref)}. `cronward outbox list` shows what it has.")
    if len(named) > 1:
        ids = ", ".join(each.run_id for each in named[:5])
        raise InvalidError(f"{shown(ref)} may mean {ids}. Give more of the id.")
    return named


def status_of(runs: RunsStore, letter: Letter) -> Status | None:
    """How the run of a letter stands on disk; None where it is not kept, or cannot be read."""
    try:
        return runs.status_of(letter.job_id, letter.run_id)
    except StoreError:
        return None


def _record(letter: Letter, each: Delivery) -> DeliveryRecord:
    is_url = each.channel in (Channel.WEBHOOK, Channel.PING)
    return DeliveryRecord(
        id=each.id,
        run_id=letter.run_id,
        job_id=letter.job_id,
        job_name=letter.job_name,
        status=letter.status,
        reason=letter.reason,
        channel=each.channel,
        to=origin(each.to) if is_url else each.to,
        news=each.news,
        state=each.state,
        tries=each.tries,
        owed_since=letter.made_at,
        next_at=each.next_at if each.waits else None,
        expires_at=each.expires_at,
        settled_at=each.settled_at if each.settled_at != NEVER else None,
        error=each.error,
    )
