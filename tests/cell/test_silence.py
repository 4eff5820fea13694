"""An agent that says nothing for too long is ended, and the record says that it was silence."""

from __future__ import annotations

from pathlib import Path

from tests.driver import Driven, execute, limits, marker, request, survivors
from tests.lacks import need

pytestmark = need("cell")


def test_silence_ends_a_run_with_its_reason(log_dir: Path) -> None:
    mark = marker()
    wanted = request(log_dir, "sh", "-c", "echo hello; sleep $1", "sh", mark, limits=limits(idle_seconds=0.6))
    result = execute(wanted)
    assert (result["reason"], result["signal"]) == ("timeout_idle", 15)
    assert result["error"] == "It wrote nothing for 0.6 s."
    assert 0.6 <= result["usage"]["wall_seconds"] < 5
    assert (log_dir / "stdout").read_text() == "hello\n"
    assert survivors(mark) == []


def test_an_agent_that_never_says_a_word_is_silent_from_its_start_on(log_dir: Path) -> None:
    result = execute(request(log_dir, "sleep", marker(), limits=limits(idle_seconds=0.5)))
    assert result["reason"] == "timeout_idle"


def test_any_output_counts_as_a_sign_of_life(log_dir: Path) -> None:
    script = "for i in 1 2 3 4; do sleep 0.4; echo out; sleep 0.4; echo err >&2; done"
    result = execute(request(log_dir, "sh", "-c", script, limits=limits(idle_seconds=1.5)))
    assert (result["reason"], result["response"]) == ("ok", "out\n" * 4)
    assert result["usage"]["wall_seconds"] > 3


def test_where_no_silence_is_too_long_none_is(log_dir: Path) -> None:
    with Driven(request(log_dir, "sleep", "1.5", limits=limits(idle_seconds=None))) as driven:
        assert driven.result()["reason"] == "ok"
