"""The proxy's log becomes figures and, where an agent failed by itself, a hint."""

from __future__ import annotations

import json

import pytest

from runner.output import Verdict
from runner.traffic import seen
from shared.findings import Traffic
from shared.reasons import Reason

FAILED = Verdict(Reason.AGENT_ERROR, "The agent ended with exit code 1.")


def line(verdict: str, host: str = "a.example", port: int = 443, up: int = 0, down: int = 0) -> bytes:
    entry = {"verdict": verdict, "host": host, "port": port, "up": up, "down": down}
    return json.dumps(entry).encode() + b"\n"


def test_connections_and_bytes_are_added_up() -> None:
    found = seen(line("allowed", up=10, down=20) + line("denied") + line("cut", up=1, down=2) + line("failed"))
    assert found.traffic == Traffic(connections=4, denied=1, bytes_up=11, bytes_down=22)


def test_a_line_that_was_cut_is_no_connection() -> None:
    assert seen(line("allowed") + line("denied")[:-1]).traffic.connections == 1
    assert seen(b"").traffic == Traffic(connections=0, denied=0, bytes_up=0, bytes_down=0)


def test_an_agent_that_was_let_through_nowhere_was_denied_the_network() -> None:
    found = seen(line("denied") + line("denied") + line("denied", "b.example", 80)).judged(FAILED)
    assert found.reason is Reason.NETWORK_DENIED
    assert found.error.startswith(FAILED.error)
    assert "a.example:443, b.example:80." in found.error


def test_what_an_agent_says_of_a_provider_that_it_never_reached_is_about_our_proxy() -> None:
    for reason in (Reason.PROVIDER_ERROR, Reason.AUTH_FAILED):
        said = FAILED._replace(reason=reason)
        assert seen(line("denied") + line("denied")).judged(said).reason is Reason.NETWORK_DENIED
        assert seen(line("denied") + line("allowed")).judged(said).reason is reason
    for reason in (Reason.RATE_LIMITED, Reason.REFUSED):
        assert seen(line("denied")).judged(FAILED._replace(reason=reason)).reason is reason


def test_an_agent_that_got_somewhere_failed_by_itself() -> None:
    for other in ("allowed", "failed", "cut"):
        found = seen(line("denied") + line(other)).judged(FAILED)
        assert found.reason is Reason.AGENT_ERROR
        assert "a.example:443" in found.error


@pytest.mark.parametrize("reason", [Reason.OK, Reason.TIMEOUT_WALL, Reason.OUTPUT_LIMIT, Reason.CANCELED_BY_USER])
def test_other_causes_stay_as_they_are(reason: Reason) -> None:
    assert seen(line("denied")).judged(Verdict(reason, "x")) == Verdict(reason, "x")


def test_without_a_denial_nothing_is_added() -> None:
    assert seen(line("failed")).judged(FAILED) == FAILED


def test_many_hosts_are_counted_and_odd_ones_written_out() -> None:
    lines = b"".join(line("denied", f"{number}.example") for number in range(9)) + line("denied", "")
    error = seen(lines).judged(FAILED._replace(reason=Reason.EMPTY_ANSWER)).error
    assert "4.example:443 and 4 more" in error
    assert "5.example" not in error
