"""When a limit of the whole run is passed, and how often that is looked at."""

from __future__ import annotations

from itertools import count

import pytest

from runner.ending import Used
from runner.kill import Rung
from runner.meter import Sample
from runner.watchdog import PERIOD, REST, Watchdog, breach
from shared.reasons import Reason
from tests.driver import limits

MIB = 1 << 20
LIMITS = limits(memory_bytes=100 * MIB, cpu_seconds=10)


@pytest.mark.parametrize(
    ("found", "reason", "rung"),
    [
        (Sample(100 * MIB, 5, 9.9), None, None),
        (Sample(100 * MIB + 1, 5, 9.9), Reason.OUT_OF_MEMORY, Rung.KILL),
        (Sample(0, 5, 10.0), Reason.CPU_LIMIT, Rung.TERM),
        (Sample(200 * MIB, 5, 10.0), Reason.OUT_OF_MEMORY, Rung.KILL),
        (Sample(0, 5000, 0.0), None, None),  # which the kernel limits
    ],
)
def test_a_limit_is_passed_or_not(found: Sample, reason: Reason | None, rung: Rung | None) -> None:
    passed = breach(found, LIMITS, counts_memory=True)
    assert (passed and passed.cause.reason, passed and passed.rung) == (reason, rung)


def test_where_a_cgroup_counts_memory_the_kernel_decides() -> None:
    assert breach(Sample(200 * MIB, 5, 0.0), LIMITS, counts_memory=False) is None


def test_without_a_limit_of_cpu_time_none_is_passed() -> None:
    assert breach(Sample(0, 5, 1e9), limits(cpu_seconds=None), counts_memory=True) is None


def test_the_sentence_names_limit_and_measure() -> None:
    passed = breach(Sample(150 * MIB, 5, 0.0), LIMITS, counts_memory=True)
    assert passed is not None
    assert "150 MiB of memory; 100 MiB is the limit" in passed.cause.error


def test_peaks_are_kept_each_for_itself() -> None:
    samples = iter([Sample(5, 1, 0.1), Sample(9, 4, 0.2), Sample(3, 2, 0.3)])
    clock = count(1.0)
    dog = Watchdog(LIMITS, lambda _enough: next(samples), counts_memory=True)
    for _ in range(3):
        dog.due = 0.0
        dog.look(lambda: next(clock))
    assert dog.used == Used(memory=9, processes=4, cpu_seconds=0.3)


def test_looks_are_a_period_apart_and_a_dear_one_is_rested_from() -> None:
    now = [100.0]
    asked: list[float] = []

    def sample(enough: int) -> Sample:
        assert enough == LIMITS.memory_bytes
        asked.append(now[0])
        now[0] += cost
        return Sample(0, 1, 0.0)

    dog, cost = Watchdog(LIMITS, sample, counts_memory=True), 0.001
    dog.look(lambda: now[0])
    assert dog.due == 100.0 + PERIOD
    dog.look(lambda: now[0])
    assert asked == [100.0]
    now[0], cost = dog.due, 0.2
    dog.look(lambda: now[0])
    assert dog.due == pytest.approx(100.0 + PERIOD + 0.2 * (1 + REST))


def test_processes_are_a_limit_only_where_nothing_else_counts_them() -> None:
    found = Sample(memory=0, processes=11, cpu_seconds=0.0)
    limit = limits(processes=10)
    assert breach(found, limit, True) is None
    assert breach(found, limit, True, 11) is None
    passed = breach(found, limit, True, 10)
    assert passed is not None
    assert (passed.cause.reason, passed.rung) == (Reason.PROCESS_LIMIT, Rung.KILL)
