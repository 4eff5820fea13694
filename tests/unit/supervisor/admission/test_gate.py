"""The gate of starts: what counts as starting, what a burst waits for, and that one that hangs delays nobody."""

from __future__ import annotations

from datetime import timedelta

from shared.messages import Ready
from shared.reasons import Reason
from supervisor.admission.gate import SECONDS, Gate
from supervisor.config import Config
from supervisor.models import SECOND
from supervisor.spawning.launcher import Spoke
from tests.timeline import Timeline, timeline


def test_so_many_are_starting_until_they_are_ready_gone_or_hang() -> None:
    gate = Gate(2)
    gate.enter("first", 0)
    assert (gate.closed, gate.opens()) == (False, None)
    gate.enter("second", 3)
    assert (gate.closed, gate.opens()) == (True, SECONDS)
    gate.leave("first")
    gate.leave("first")
    assert not gate.closed
    gate.enter("third", 4)
    gate.expire(2 + SECONDS)
    assert (gate.closed, gate.opens()) == (True, 3 + SECONDS)
    gate.expire(3 + SECONDS)
    assert not gate.closed


def test_two_for_each_cpu_unless_the_owner_says_otherwise() -> None:
    assert (Config().starting(cpus=3), Config(max_starting=1).starting(cpus=3)) == (6, 1)


def burst(line: Timeline, jobs: int) -> None:
    at = line.clock.wall + timedelta(minutes=1)
    for number in range(jobs):
        line.add(f"job{number}", cron_expr="", at=at, retries=1, retry_delay=5 * SECOND)
    line.until(at)


def ready(line: Timeline, number: int) -> None:
    request = line.spawn.runners[number].request
    line.core.inbox.append(Spoke(request.run_id, request.attempt, Ready(pid=1)))
    line.turn()


def test_a_burst_starts_no_more_at_once_than_the_gate_lets_through() -> None:
    with timeline(Config(max_concurrent=5, max_starting=2)) as line:
        burst(line, 7)
        assert len(line.spawn.runners) == 2
        why = "its turn comes: at most 5 runs go on at once, and 2 of them start"
        assert {waiting.why for waiting in line.core.waiting} == {why}
        ready(line, 0)
        assert len(line.spawn.runners) == 3
        ready(line, 0)  # said again, it opens nothing more
        assert len(line.spawn.runners) == 3
        line.end(number=1)
        assert len(line.spawn.runners) == 4
        for number in (2, 3):
            ready(line, number)
        # The first, three more that are ready or starting: five go on, and only an end makes room.
        assert len(line.spawn.runners) == 6
        ready(line, 4)
        assert len(line.spawn.runners) == 6


def test_runners_that_never_say_that_they_are_ready_delay_the_others_for_seconds() -> None:
    with timeline(Config(max_concurrent=6, max_starting=2)) as line:
        burst(line, 6)
        assert line.wake.mono == line.clock.mono + SECONDS  # nobody else would tell
        line.pass_by(SECONDS)
        assert len(line.spawn.runners) == 4
        line.pass_by(SECONDS)
        assert len(line.spawn.runners) == 6


def test_a_retry_passes_the_gate_too() -> None:
    with timeline(Config(max_concurrent=4, max_starting=1)) as line:
        burst(line, 2)
        ready(line, 0)
        line.end(Reason.RATE_LIMITED, number=0)
        line.pass_by(SECONDS - 1)  # the second one hangs, and the back-off of the first is over
        assert len(line.spawn.runners) == 2
        ready(line, 1)
        assert [runner.request.attempt for runner in line.spawn.runners] == [1, 1, 2]


def test_a_new_limit_holds_at_once() -> None:
    with timeline(Config(max_concurrent=4, max_starting=1)) as line:
        burst(line, 3)
        line.core.configure(Config(max_concurrent=4, max_starting=2))
        line.turn()
        assert len(line.spawn.runners) == 2
