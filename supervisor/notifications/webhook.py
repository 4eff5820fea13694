"""The original's webhook: one POST of the run as JSON, tried again while that may help."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any

import h11

from supervisor.models import CronRun
from supervisor.notifications.posting import Posted, RefusedAddressError, post
from supervisor.notifications.webhookurl import WebhookError, check_url

WAITS = (0.5, 2.0, 8.0)
"""Seconds between tries, as the original waits."""
_PASSING = frozenset({408, 425, 429})


def send(url: str, headers: Mapping[str, str], body: bytes, timeout: float, named: Container[str] = ()) -> None:
    """One try: any answer of 2xx is success. Raises WebhookError. `named`: hosts that may lie at private addresses."""
    check_url(url)
    # Else a library would put it into its error, and so a token into a log.
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise WebhookError("The token of the webhook holds what no header can carry.", permanent=True)
    try:
        answer = post(url, headers, body, timeout, named)
    except RefusedAddressError as error:  # what a name means may change
        raise WebhookError(f"The webhook is not called: {error}.", permanent=False) from None
    except h11.RemoteProtocolError:  # its words would quote what was sent
        raise WebhookError("The webhook cannot be reached: it does not speak HTTP.", permanent=False) from None
    except (OSError, UnicodeError) as error:
        why = (error.strerror if isinstance(error, socket.gaierror) else str(error)) or type(error).__name__
        raise WebhookError(f"The webhook cannot be reached: {why}.", permanent=False) from None
    _judge(answer)


def event_headers(run: Mapping[str, Any]) -> dict[str, str]:
    """What the original sends with a run, besides the token."""
    return {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "X-CronRun-ID": str(run["id"]),
        "X-CronEvent": str(run["status"]),
    }


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token; none where it is empty."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def _judge(answer: Posted) -> None:
    if 200 <= answer.status < 300:
        return
    permanent = answer.status < 500 and answer.status not in _PASSING
    raise WebhookError(f"The webhook answered {answer.status}.", permanent, answer.retry_after)


@dataclass(frozen=True, slots=True)
class WebhookCallback:
    """Calls a URL when a run ends. An empty URL is a no-op. `timeout` in seconds; `retry`: tries after the first."""

    url: str
    token: str = field(default="", repr=False)
    timeout: float = 10.0
    retry: int = 2
    sleep: Callable[[float], None] = time.sleep

    def on_complete(self, run: CronRun) -> None:
        """Tell of a completed run. Raises WebhookError when it could not be told."""
        self._send(run)

    def on_fail(self, run: CronRun) -> None:
        """Tell of any other end. Raises WebhookError when it could not be told."""
        self._send(run)

    def _send(self, run: CronRun) -> None:
        if not self.url:
            return
        record = run.record()
        body = json.dumps(record).encode("ascii")
        for attempt in range(self.retry + 1):
            try:
                send(self.url, event_headers(record) | bearer(self.token), body, self.timeout)
                return
            except WebhookError as error:
                if error.permanent or attempt == self.retry:
                    raise
                self.sleep(WAITS[min(attempt, len(WAITS) - 1)])
