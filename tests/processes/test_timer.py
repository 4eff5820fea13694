"""The kernel's timer and the turns that it calls, in real time. Nothing here sets the machine's clock."""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from supervisor.loop import Pulse, Turns
from supervisor.models import NEVER
from supervisor.scheduler import Wake
from supervisor.timing.clock import Moment, SystemClock
from supervisor.timing.timerfd import WallTimer

SOON = 0.5
"""How late it may be, in seconds, on a busy host: one wake-up of a thousand was 160 ms late there. How late it is
otherwise, `benchmarks/ontime.py` measures."""
A_WHILE = 1.0
"""Seconds in which whatever is wanted has come."""
NOTHING = Wake(None, None)


def in_seconds(number: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=number)


@pytest.fixture
def timer() -> Iterator[WallTimer]:
    made = WallTimer()
    yield made
    made.close()


def waited(timer: WallTimer, at_most: float) -> float | None:
    """How long it took to fire; None: it did not."""
    began = time.monotonic()
    ready, _, _ = select.select([timer], [], [], at_most)
    return time.monotonic() - began if ready else None


def test_it_fires_at_its_instant_and_not_before(timer: WallTimer) -> None:
    at = in_seconds(0.1)
    timer.set(at)
    assert waited(timer, 5.0) is not None
    late = (datetime.now(UTC) - at).total_seconds()
    assert 0 <= late < SOON


@pytest.mark.parametrize("at", [NEVER, datetime(1970, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)])
def test_it_fires_at_once_for_what_is_past(timer: WallTimer, at: datetime) -> None:
    timer.set(at)
    took = waited(timer, 5.0)
    assert took is not None
    assert took < SOON


def test_it_never_fires_for_nothing(timer: WallTimer) -> None:
    timer.set(in_seconds(0.02))
    timer.set(None)
    assert waited(timer, 0.05) is None


def test_a_later_setting_replaces_an_earlier_one(timer: WallTimer) -> None:
    timer.set(in_seconds(-1))
    timer.set(in_seconds(3600))
    assert waited(timer, 0.02) is None


def test_it_is_silent_again_when_its_firing_was_taken(timer: WallTimer) -> None:
    timer.set(in_seconds(-1))
    assert waited(timer, 5.0) is not None
    assert timer.read() is False
    assert waited(timer, 0.02) is None
    assert timer.read() is False  # nothing there is no error


@pytest.mark.parametrize("year", [2038, 2243, 9999])
def test_far_instants_can_be_set(timer: WallTimer, year: int) -> None:
    timer.set(datetime(year, 12, 31, tzinfo=UTC))
    assert waited(timer, 0.01) is None


def test_no_child_inherits_it(timer: WallTimer) -> None:
    assert not os.get_inheritable(timer.fileno())
    assert not os.get_blocking(timer.fileno())


# ---- turns


class Ticks:
    """Notes when a turn came, and answers as it is told."""

    def __init__(self, *answers: Callable[[Moment], Wake]) -> None:
        self.at: list[Moment] = []
        self._answers = list(answers)

    def __call__(self, now: Moment) -> Wake:
        self.at.append(now)
        return self._answers.pop(0)(now) if self._answers else NOTHING


def turned(ticks: Ticks, during: float, soon: int = 1) -> list[Moment]:
    async def run() -> None:
        turns = Turns(ticks, SystemClock(), asyncio.get_running_loop())
        for _ in range(soon):
            turns.soon()
        await asyncio.sleep(during)
        turns.close()

    asyncio.run(run())
    return ticks.at


def test_without_being_asked_there_is_no_turn() -> None:
    assert turned(Ticks(), 0.02, soon=0) == []


def test_asking_often_is_asking_once() -> None:
    assert len(turned(Ticks(), 0.02, soon=100)) == 1


def test_a_turn_comes_at_the_instant_it_was_wanted() -> None:
    ticks = Ticks(lambda now: Wake(now.wall + timedelta(seconds=0.1), None))
    first, second = turned(ticks, A_WHILE)
    assert 0.1 <= (second.wall - first.wall).total_seconds() < 0.1 + SOON


def test_a_turn_comes_at_the_reading_it_was_wanted() -> None:
    ticks = Ticks(lambda now: Wake(None, now.mono + 0.1))
    first, second = turned(ticks, A_WHILE)
    assert 0.1 - 0.001 <= second.mono - first.mono < 0.1 + SOON


def test_the_earlier_of_two_wishes_counts_and_the_other_is_forgotten() -> None:
    ticks = Ticks(lambda now: Wake(now.wall + timedelta(seconds=0.15), now.mono + 0.05))
    assert len(turned(ticks, A_WHILE)) == 2


def test_a_wish_that_is_past_is_a_turn_at_once_and_one_only() -> None:
    ticks = Ticks(lambda now: Wake(now.wall - timedelta(days=1), now.mono - 1))
    first, second = turned(ticks, A_WHILE)
    assert second.mono - first.mono < SOON


def test_a_turn_that_was_asked_for_before_the_end_does_not_come_after_it() -> None:
    ticks = Ticks()

    async def run() -> None:
        turns = Turns(ticks, SystemClock(), asyncio.get_running_loop())
        turns.soon()
        turns.close()
        await asyncio.sleep(0.01)

    asyncio.run(run())
    assert ticks.at == []


def test_a_pulse_is_felt_at_the_end_of_whole_turns_only_and_wants_one_in_time() -> None:
    beats: list[float] = []

    async def run(ticks: Ticks, during: float) -> float:
        """Returns how many beats there is time for."""
        began, loop = time.monotonic(), asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, _about: None)
        clock = SystemClock()
        turns = Turns(ticks, clock, loop, Pulse(0.1, lambda: beats.append(clock.now().mono)))
        turns.soon()
        await asyncio.sleep(during)
        turns.close()
        return (time.monotonic() - began) / 0.1 + 1

    def fail(_now: Moment) -> Wake:
        raise ValueError

    ticks = Ticks()
    most = asyncio.run(run(ticks, 0.55))
    assert 2 <= len(beats) <= most
    assert len(ticks.at) == len(beats)  # nothing else was to be done
    beats.clear()
    busy = Ticks(*(lambda now: Wake(None, now.mono + 0.001) for _ in range(1000)))
    most = asyncio.run(run(busy, 0.25))
    assert len(busy.at) > 10
    assert 1 <= len(beats) <= most
    beats.clear()
    asyncio.run(run(Ticks(fail), 0.05))
    assert beats == []
