"""The child that speaks to Apprise: a script of its own, with nothing of ours imported. Its exit code says the rest."""

from __future__ import annotations

import json
import signal
import sys

NOT_INSTALLED, NOT_A_URL, NOT_TOLD = 3, 4, 5


def main() -> int:
    """Read one message from standard input and send it."""
    given = json.load(sys.stdin)
    signal.alarm(given["seconds"])  # whoever started us may be dead by then
    try:
        import apprise
    except ImportError:
        return NOT_INSTALLED
    teller = apprise.Apprise()
    if not teller.add(given["url"]):
        return NOT_A_URL
    sent = teller.notify(title=given["title"], body=given["text"], body_format=apprise.NotifyFormat.TEXT)
    return 0 if sent else NOT_TOLD


if __name__ == "__main__":
    sys.exit(main())
