"""What a webhook's URL may be, and what is said of one that cannot be called."""

from __future__ import annotations

from urllib.parse import urlsplit

from supervisor.errors import CronwardError
from supervisor.notifications.reach import refusal, written


class WebhookError(CronwardError):
    """The receiver did not take it. `permanent`: trying again cannot help. `retry_after`: as it was answered."""

    def __init__(self, sentence: str, permanent: bool, retry_after: str = "") -> None:
        super().__init__(sentence)
        self.permanent = permanent
        self.retry_after = retry_after


def check_url(url: str) -> None:
    """Raise WebhookError, a sentence that does not repeat the URL (it may hold a secret), unless it can be called."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not parts.username
    except ValueError:  # brackets that do not match, a port that is no number
        usable = False
    if not usable or not (url.isascii() and url.isprintable()) or " " in url:
        raise WebhookError("The webhook is no http or https URL in plain ASCII, without a user's name.", permanent=True)
    address = written(parts.hostname or "")
    if address is not None and (why := refusal(parts.hostname or "", address)):
        raise WebhookError(f"The webhook cannot be called: {why}.", permanent=True)


def origin(url: str) -> str:
    """What of a URL may be shown: paths and queries of webhooks are often secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
