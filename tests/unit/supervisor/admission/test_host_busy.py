"""A host without room: what is due waits, visibly, is asked about again and again, and is skipped for that reason."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from shared.reasons import Reason
from supervisor.admission.pressure import HOST_AGAIN
from tests.timeline import Timeline, timeline

BUSY = "the host is busy: 1MiB of memory are available, 512MiB must be"


@pytest.fixture
def line() -> Iterator[Timeline]:
    with timeline() as made:
        yield made


def due_in_a_minute(line: Timeline, name: str = "job", **fields: object) -> None:
    line.add(name, cron_expr="", at=line.clock.wall + timedelta(minutes=1), **fields)


def test_what_is_due_waits_and_says_why(line: Timeline) -> None:
    line.busy = BUSY
    due_in_a_minute(line)
    line.pass_by(61)
    assert line.ends() == ["queued"]
    assert [waiting.why for waiting in line.core.waiting] == [BUSY]
    assert line.attempts() == []


def test_it_starts_when_the_host_has_room_again_without_anybody_telling(line: Timeline) -> None:
    line.busy = BUSY
    due_in_a_minute(line)
    line.pass_by(65)
    assert line.wake.mono == line.clock.mono + HOST_AGAIN
    line.busy = ""
    line.pass_by(HOST_AGAIN)
    assert line.ends() == ["running"]
    assert line.wake.mono is not None
    assert line.wake.mono > line.clock.mono + 60  # nothing is asked about any more


def test_what_waits_beyond_its_grace_was_skipped_for_the_host(line: Timeline) -> None:
    line.busy = BUSY
    due_in_a_minute(line, grace_secs=30)
    line.pass_by(60 + 30 + 2 * HOST_AGAIN)
    assert line.ends() == ["skipped host_busy"]
    assert line.stored()[0].error == f"It waited for longer than its grace: {BUSY}."
    line.busy = ""
    line.pass_by(600)
    assert line.attempts() == []


def test_what_is_asked_for_by_hand_waits_too_and_never_expires(line: Timeline) -> None:
    line.busy = BUSY
    line.add()
    line.run()
    line.pass_by(1800)
    assert line.ends() == ["queued"]


def test_a_retry_waits_for_the_host_as_well(line: Timeline) -> None:
    due_in_a_minute(line, retries=1)
    line.pass_by(60)
    line.busy = BUSY
    line.end(Reason.AGENT_ERROR)
    line.pass_by(20)
    assert len(line.attempts()) == 1
    line.busy = ""
    line.pass_by(HOST_AGAIN)
    assert len(line.attempts()) == 2


def test_a_host_that_is_full_after_one_more_run_takes_no_second(line: Timeline) -> None:
    """Each start changes the answer, so it is asked for before each."""
    line.core._room.ask = lambda: BUSY if line.attempts() else ""
    due_in_a_minute(line, "one")
    due_in_a_minute(line, "two")
    line.pass_by(60)
    assert (line.ends("one"), line.ends("two")) == (["running"], ["queued"])


def test_a_busy_host_is_asked_once_a_turn(line: Timeline) -> None:
    asked = []
    line.core._room.ask = lambda: asked.append(1) or BUSY  # type: ignore[func-returns-value]
    for number in range(20):
        due_in_a_minute(line, f"job {number}")
    line.pass_by(60)
    asked.clear()
    line.turn()
    assert len(asked) == 1


def test_a_host_is_not_asked_while_there_is_no_slot_or_nothing_to_start(line: Timeline) -> None:
    asked = []
    line.core._room.ask = lambda: asked.append(1) or ""  # type: ignore[func-returns-value]
    for number in range(6):
        due_in_a_minute(line, f"job {number}")
    assert asked == []
    line.pass_by(60)
    assert len(asked) == 4
    line.pass_by(60)
    assert len(asked) == 4
