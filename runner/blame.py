"""Whose doing is it that an agent failed: from its own words, its exit code and its provider's status to a reason.

What its adapter declares comes first, then what any program of this kind means by such words. Only the agent's words on
its failure are looked at, never what its tools wrote.
"""

from __future__ import annotations

import re

from runner.answers import alarm
from shared.reasons import Reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.reading import Blame

SECONDS = 2.0
"""A pattern that takes longer over words that are hostile does not fit them."""
STATUSES = {401: Reason.AUTH_FAILED, 403: Reason.AUTH_FAILED, 429: Reason.RATE_LIMITED}
STATUSES |= {408: Reason.PROVIDER_ERROR, 409: Reason.PROVIDER_ERROR, 425: Reason.PROVIDER_ERROR}
QUOTA = r"insufficient_quota|quota (is )?(exhausted|used up)|usage limit reached"
USUAL = (
    (QUOTA, Reason.QUOTA_WAIT),
    (
        r"\b401\b|unauthori[sz]ed|authentication[_ ](error|failed)|not logged in|please (run )?/?log ?in"
        r"|(invalid|incorrect|missing|expired|no) (x-)?api[ _-]?key"
        r"|api[ _-]?key (is )?(not (valid|set)|invalid|missing|expired)"
        r"|(invalid|expired) (auth|token|credential)|permission_error|missing environment variable",
        Reason.AUTH_FAILED,
    ),
    (r"\b429\b|rate[ _-]?limit|too many requests|resource_exhausted", Reason.RATE_LIMITED),
    (
        r"\b5(00|02|03|04|20|29)\b|overloaded|internal (server )?error|bad gateway|service unavailable|server_error"
        r"|econn(refused|reset)|connection (error|refused|reset|closed|lost)|socket hang up|fetch failed"
        r"|stream (was |is )?(disconnected|closed|cut|ended|interrupted)|unable to connect|network error|timed? ?out",
        Reason.PROVIDER_ERROR,
    ),
)
ASKED = re.compile(
    r"(?:retry|again)[\s_-]*(?:after|in)[\s:=\"']*(\d{1,9}(?:\.\d{1,9})?)"
    r"\s*(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)?\b",
    re.IGNORECASE,
)
LIMITS = frozenset({Reason.RATE_LIMITED, Reason.QUOTA_WAIT, Reason.PROVIDER_ERROR})


def reason(
    blames: Sequence[Blame], words: str, code: int | None, status: int | None, seconds: float = SECONDS
) -> Reason:
    """Of a failure. `code`: the exit code as it is: above 128 it says nothing of signals."""
    try:
        with alarm(seconds):
            declared = next((blame.reason for blame in blames if fits(blame, words, code)), None)
    except TimeoutError:
        declared = None
    return declared or by_status(words, status) or by_words(words, status)


def by_status(words: str, status: int | None) -> Reason | None:
    if status == 429 and re.search(QUOTA, words, re.IGNORECASE):
        return Reason.QUOTA_WAIT
    if status is not None and status >= 500:
        return Reason.PROVIDER_ERROR
    return STATUSES.get(status or 0)


def by_words(words: str, status: int | None) -> Reason:
    """What was asked wrongly (400) is no fault of the provider's, whatever figures its words hold."""
    meant = (each for pattern, each in USUAL if re.search(pattern, words, re.IGNORECASE))
    found = next(meant, Reason.AGENT_ERROR)
    return Reason.AGENT_ERROR if status is not None and found is Reason.PROVIDER_ERROR else found


def fits(blame: Blame, words: str, code: int | None) -> bool:
    if not blame.words and not blame.codes:
        return False
    if blame.codes and code not in blame.codes:
        return False
    return not blame.words or re.search(blame.words, words, re.IGNORECASE) is not None


def asked_to_wait(words: str) -> float | None:
    """Seconds that the words tell to wait."""
    found = ASKED.search(words)
    if found is None:
        return None
    unit = (found[2] or "s").lower()
    milli = unit == "ms" or unit.startswith("milli")
    return float(found[1]) * (0.001 if milli else {"m": 60.0, "h": 3600.0}.get(unit[0], 1.0))
