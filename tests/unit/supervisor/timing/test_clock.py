"""The clocks as the machine has them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from supervisor.timing.clock import SystemClock


def test_the_wall_clock_is_aware_and_in_utc() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now().wall
    assert now.utcoffset() == timedelta(0)
    assert before <= now <= datetime.now(UTC)


def test_the_other_clock_counts_seconds_since_boot_and_never_goes_back() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    readings = [SystemClock().now().mono for _ in range(100)]
    assert [before, *readings] == sorted([before, *readings])
    assert readings[-1] <= time.clock_gettime(time.CLOCK_BOOTTIME)
