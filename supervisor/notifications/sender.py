"""One try at one delivery, by whichever way it goes. What it may use is looked up at each try, so that a repair of the
configuration or of a secret repairs what waits, too."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from supervisor.definitions.secrets import SecretStore
from supervisor.errors import InvalidError, NotFoundError, StoreError
from supervisor.models import CronRun
from supervisor.notifications import signature, wording
from supervisor.notifications.apprising import tell_by_apprise
from supervisor.notifications.deliveries import Channel, Delivery, Letter, News
from supervisor.notifications.targets import Notify, Target
from supervisor.notifications.webhook import bearer, event_headers, send
from supervisor.notifications.webhookurl import WebhookError
from supervisor.status import Status
from supervisor.stores.home import Home
from supervisor.timing.clock import Clock

_PINGS = {News.START: "/start", News.END: "", News.FAILURE: "/fail"}


class CronCallback(Protocol):
    """What a program that embeds the scheduler is told. Called in a thread of its own; may block; errors are logged."""

    def on_complete(self, run: CronRun) -> None:
        """The run completed."""

    def on_fail(self, run: CronRun) -> None:
        """The run failed, was canceled, or nobody knows how it ended."""


class Sender:
    """Makes one try. Called with a letter that has its run, but for a start."""

    def __init__(
        self,
        home: Home,
        notify: Callable[[], Notify],
        clock: Clock,
        logger: logging.Logger,
        callbacks: Sequence[CronCallback] = (),
    ) -> None:
        self._secrets, self._notify, self._clock, self._logger = SecretStore(home), notify, clock, logger
        self._callbacks = tuple(callbacks)

    def __call__(self, letter: Letter, delivery: Delivery) -> None:
        """Raises WebhookError."""
        if delivery.channel is Channel.CALLBACK:
            self._call(letter.run or {}, int(delivery.to))
        elif delivery.channel is Channel.PING:
            self._ping(letter, delivery)
        elif delivery.channel is Channel.WEBHOOK:
            run = letter.run or {}
            headers = event_headers(run) | (bearer(self._secret(delivery.token)) if delivery.token else {})
            self._post(delivery.to, headers, run, delivery.id, self._notify().key)
        else:
            self._target(letter, delivery)

    def _target(self, letter: Letter, delivery: Delivery) -> None:
        notify = self._notify()
        target = notify.targets.get(delivery.to)
        if target is None:
            raise WebhookError(f"There is no target {delivery.to!r} in [notify.targets].", permanent=False)
        if target.apprise:
            words = wording.title(letter, delivery), wording.text(letter, delivery, answer=target.answer)
            tell_by_apprise(self._secret(target.apprise), *words, notify.timeout_seconds)
        else:
            self._post_to(target, letter, delivery, notify)

    def _post_to(self, target: Target, letter: Letter, delivery: Delivery, notify: Notify) -> None:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        headers |= bearer(self._secret(target.token)) if target.token else {}
        body = wording.message(letter, delivery, answer=target.answer)
        self._post(target.url, headers, body, delivery.id, target.key or notify.key)

    def _post(self, url: str, headers: dict[str, str], record: dict[str, Any], delivery_id: str, key: str) -> None:
        notify, body = self._notify(), json.dumps(record).encode("ascii")
        signed = signature.headers(delivery_id, round(self._clock.now().wall.timestamp()), body, self._key(key))
        send(url, headers | signed, body, notify.timeout_seconds, notify.private_hosts)

    def _ping(self, letter: Letter, delivery: Delivery) -> None:
        notify, parts = self._notify(), urlsplit(delivery.to)
        path = parts.path.rstrip("/") + _PINGS.get(delivery.news, "")
        query = "&".join(part for part in (parts.query, f"rid={letter.run_id}") if part)
        why = letter.reason.value if letter.reason is not None else ""
        body = f"{letter.status.value} {why}".strip().encode("ascii")
        url = urlunsplit((parts.scheme, parts.netloc, path, query, ""))
        send(url, {"Content-Type": "text/plain"}, body, notify.timeout_seconds, notify.private_hosts)

    def _call(self, record: dict[str, Any], number: int) -> None:
        if number >= len(self._callbacks):
            raise WebhookError("The program that was to be told is not running.", permanent=False)
        # What of an answer is no text is no matter for a program that gets it as text.
        run = CronRun.model_validate_json(json.dumps(record, ensure_ascii=False).encode("utf-8", "replace"))
        callback = self._callbacks[number]
        try:
            (callback.on_complete if run.status is Status.COMPLETED else callback.on_fail)(run)
        except WebhookError:
            raise
        except Exception as error:  # a callback is the embedding program's code
            self._logger.exception("A callback broke on run %s.", run.id)
            raise WebhookError(f"A callback broke: {type(error).__name__}.", permanent=True) from None

    def _key(self, name: str) -> bytes | None:
        try:
            return signature.key_of(self._secret(name)) if name else None
        except InvalidError as error:  # it can be set anew
            raise WebhookError(str(error), permanent=False) from None

    def _secret(self, name: str) -> str:
        try:
            return self._secrets.read(name).strip()
        except (NotFoundError, InvalidError, StoreError) as error:
            raise WebhookError(str(error), permanent=False) from None


def test_of(target: str, made_up: str, now: datetime) -> Letter:
    """What is sent to try a target. `made_up`: an id, of no run."""
    trial = Delivery(
        id=f"msg_{made_up}_test", channel=Channel.TARGET, to=target, news=News.TEST, next_at=now, expires_at=now
    )
    return Letter(
        run_id=made_up, job_id=made_up, job_name="test", status=Status.COMPLETED, made_at=now, deliveries=(trial,)
    )
