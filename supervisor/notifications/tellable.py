"""Whom a job may tell: URLs that can be called, and targets that the configuration has."""

from __future__ import annotations

from collections.abc import Collection

from supervisor.definitions.secrets import NAME
from supervisor.errors import InvalidError
from supervisor.models import CronJob
from supervisor.notifications.webhookurl import WebhookError, check_url
from supervisor.sentences import shown, suggestion


def check_told(job: CronJob, targets: Collection[str]) -> None:
    """Raise InvalidError, a sentence that repeats no URL."""
    for name in ("on_complete", "on_fail", "ping"):
        if url := getattr(job, name):
            try:
                check_url(url)
            except WebhookError as error:
                raise InvalidError(f"The field {name} cannot be used. {error}") from None
    if job.webhook_token and not NAME.fullmatch(job.webhook_token):  # not repeated: it may be the value
        raise InvalidError(
            "The field webhook_token is the name of a secret, of A-Z, 0-9 and _; its value is given to: "
            "cronward secret set NAME"
        )
    if job.webhook_token and not (job.on_complete or job.on_fail):
        raise InvalidError(
            "The field webhook_token names what is sent to on_complete and on_fail, and the job has neither."
        )
    for target in job.notify:
        if target not in targets:
            known = f" There are: {', '.join(sorted(targets))}." if targets else ""
            raise InvalidError(
                f"There is no target {shown(target)} to be told.{suggestion(target, targets)}{known} Targets are "
                "tables [notify.targets.NAME] of the configuration; `cronward reload` after a change."
            )
