"""From words, exit code and status of a failure to a reason: the adapter's table first, then what is usually meant."""

from __future__ import annotations

import time

from runner.blame import asked_to_wait, reason
from shared.reading import Blame
from shared.reasons import Reason


def test_what_is_declared_comes_first_and_all_of_an_entry_must_agree() -> None:
    blames = (
        Blame(reason=Reason.QUOTA_WAIT, words="limit", codes=(7,)),
        Blame(reason=Reason.REFUSED, codes=(7, 8)),
        Blame(reason=Reason.BLOCKED_APPROVAL, words="^permission .*denied$"),
        Blame(reason=Reason.RUNNER_BROKE),
    )
    for words, code, status, found in (
        *(("A LIMIT", 7, 401, Reason.QUOTA_WAIT), ("a limit", 8, None, Reason.REFUSED), ("", 7, 500, Reason.REFUSED)),
        *(("Permission was denied", 1, 403, Reason.BLOCKED_APPROVAL), ("limit", 1, None, Reason.AGENT_ERROR)),
        *(("", None, None, Reason.AGENT_ERROR), ("x", 7 + 128, None, Reason.AGENT_ERROR)),
    ):
        assert reason(blames, words, code, status) is found, (words, code, status)


def test_a_status_says_whose_fault_it_is() -> None:
    for status, words, found in (
        *((401, "", Reason.AUTH_FAILED), (403, "", Reason.AUTH_FAILED), (429, "", Reason.RATE_LIMITED)),
        *((500, "", Reason.PROVIDER_ERROR), (529, "", Reason.PROVIDER_ERROR), (408, "", Reason.PROVIDER_ERROR)),
        *((429, "insufficient_quota", Reason.QUOTA_WAIT), (404, "", Reason.AGENT_ERROR), (400, "", Reason.AGENT_ERROR)),
        *((400, "API key not valid", Reason.AUTH_FAILED), (400, "at most 500 tools", Reason.AGENT_ERROR)),
    ):
        assert reason((), words, 1, status) is found, (status, words)


def test_usual_words_are_understood() -> None:
    for words, found in (
        *(("Invalid API key", Reason.AUTH_FAILED), ("Not logged in. Please run /login", Reason.AUTH_FAILED)),
        *(("Missing environment variable: `X_KEY`.", Reason.AUTH_FAILED), ("Error code: 401", Reason.AUTH_FAILED)),
        *(("Too Many Requests", Reason.RATE_LIMITED), ("rate_limit_error", Reason.RATE_LIMITED)),
        *(("Overloaded", Reason.PROVIDER_ERROR), ("connect ECONNREFUSED 127.0.0.1:1", Reason.PROVIDER_ERROR)),
        *(("stream disconnected before completion", Reason.PROVIDER_ERROR), ("HTTP 503", Reason.PROVIDER_ERROR)),
        *(("Request timed out.", Reason.PROVIDER_ERROR), ("usage limit reached", Reason.QUOTA_WAIT)),
        *(("No such file: 4291.txt", Reason.AGENT_ERROR), ("it took 15003 steps", Reason.AGENT_ERROR)),
    ):
        assert reason((), words, 1, None) is found, words


def test_a_pattern_that_takes_for_ever_does_not_fit() -> None:
    began = time.monotonic()
    found = reason((Blame(reason=Reason.REFUSED, words="(a+)+$"),), "a" * 60 + "!", 1, None, seconds=0.05)
    assert found is Reason.AGENT_ERROR
    assert time.monotonic() - began < 30


def test_words_that_ask_to_wait_are_understood() -> None:
    for words, seconds in (
        *(("Please try again in 11.054s.", 11.054), ("Please retry in 24.5s", 24.5), ("retry-after: 30", 30.0)),
        *(("Retry-After 2 minutes", 120.0), ("try again in 500ms", 0.5), ("retry after 1 hour", 3600.0)),
        *(("again in 5 min", 300.0), ("retry after 90 seconds", 90.0), ("retry", None), ("in 5 s", None)),
    ):
        assert asked_to_wait(words) == seconds, words
