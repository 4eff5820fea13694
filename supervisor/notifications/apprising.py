"""Telling by Apprise, which knows a hundred services: in a child process of a bounded life, so that its imports, its
threads and its bugs stay out of the supervisor. The URL, which is a secret, goes through the child's standard input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from supervisor.notifications.webhookurl import WebhookError

CHILD = Path(__file__).with_name("apprisechild.py")
START_SECONDS = 20.0
"""What its imports may take on a busy host, beyond what the receiver may."""
NOT_INSTALLED, NOT_A_URL, NOT_TOLD = 3, 4, 5
_SAID = {
    NOT_INSTALLED: "Apprise is not installed: install cronward with its extra `apprise`.",
    NOT_A_URL: "What the secret of the target holds is no Apprise URL.",
    NOT_TOLD: "Apprise could not tell it.",
}


def tell_by_apprise(url: str, title: str, text: str, timeout: float) -> None:
    """Send it, in at most `timeout` seconds after the child's start. Raises WebhookError; all of it may pass."""
    seconds = START_SECONDS + timeout
    given = {"url": url, "title": title, "text": text, "seconds": round(seconds) + 1}
    argv = [sys.executable, "-I", str(CHILD)]
    try:
        # A directory of nobody's: Apprise looks for plugins and configuration where it stands.
        done = subprocess.run(
            argv,
            input=json.dumps(given).encode("ascii"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"},
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise WebhookError("Apprise took too long and was ended.", permanent=False) from None
    except OSError as error:
        raise WebhookError(f"Apprise cannot be started: {error.strerror}.", permanent=False) from None
    if done.returncode:
        raise WebhookError(_SAID.get(done.returncode, "Apprise broke."), permanent=False)
