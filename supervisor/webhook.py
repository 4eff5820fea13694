"""The original's webhook: one POST of the run as JSON, tried again while that may help."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from supervisor.errors import CronwardError
from supervisor.models import CronRun

WAITS = (0.5, 2.0, 8.0)
"""Seconds between tries, as the original waits."""
_PASSING = frozenset({408, 425, 429})


class WebhookError(CronwardError):
    """The receiver did not take it. `permanent`: trying again cannot help."""

    def __init__(self, sentence: str, permanent: bool) -> None:
        super().__init__(sentence)
        self.permanent = permanent


def check_url(url: str) -> None:
    """Raise WebhookError, a sentence that does not repeat the URL (it may hold a secret), unless it can be called."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not parts.username
    except ValueError:  # brackets that do not match, a port that is no number
        usable = False
    if not usable or not (url.isascii() and url.isprintable()) or " " in url:
        raise WebhookError("The webhook is no http or https URL in plain ASCII, without a user's name.", permanent=True)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A receiver that points elsewhere would have the token sent there."""

    def redirect_request(self, *_args: object, **_named: object) -> None:
        return None


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
        check_url(self.url)
        if not (self.token.isascii() and self.token.isprintable()):  # else http.client would put it into its error
            raise WebhookError("The token of the webhook holds what no header can carry.", permanent=True)
        for attempt in range(self.retry + 1):
            try:
                self._post(run)
                return
            except WebhookError as error:
                if error.permanent or attempt == self.retry:
                    raise
                self.sleep(WAITS[min(attempt, len(WAITS) - 1)])

    def _post(self, run: CronRun) -> None:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        headers |= {"X-CronRun-ID": run.id, "X-CronEvent": run.status.value}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        body = json.dumps(run.record()).encode("ascii")
        request = urllib.request.Request(self.url, body, headers, method="POST")  # noqa: S310  # scheme checked above
        # No proxies from the environment: what is sent where is in the job, or it is not sent.
        opener = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=self.timeout) as response:
                response.read(1024)
        except urllib.error.HTTPError as error:
            error.close()
            permanent = error.code < 500 and error.code not in _PASSING
            raise WebhookError(f"The webhook answered {error.code}.", permanent) from None
        except (OSError, http.client.HTTPException) as error:
            why = str(error) or type(error).__name__
            raise WebhookError(f"The webhook cannot be reached: {why}.", permanent=False) from None
