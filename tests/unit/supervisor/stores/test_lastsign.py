"""Since when nothing has kept time."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from supervisor.stores import lastsign
from supervisor.stores.home import Home
from supervisor.stores.lastsign import LastSign
from tests.fakes import NOON, make_job


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def touched(path: Path, hours: float) -> None:
    path.touch()
    at = (NOON + timedelta(hours=hours)).timestamp()
    os.utime(path, (at, at))


def test_the_latest_sign_counts_and_says_whether_it_was_the_end(home: Home) -> None:
    assert lastsign.of(home) is None
    touched(home.last_info, 0)
    assert lastsign.of(home) == LastSign(NOON, orderly=True)
    touched(home.info, 1)
    assert lastsign.of(home) == LastSign(NOON + timedelta(hours=1), orderly=False)
    touched(home.last_info, 2)
    assert lastsign.of(home) == LastSign(NOON + timedelta(hours=2), orderly=True)


def test_whoever_ends_leaves_the_time_of_its_end_and_nobody_to_be_believed(home: Home) -> None:
    lastsign.give(home)  # where there is nothing, nothing is made
    lastsign.leave(home)
    assert list(home.root.iterdir()) == []
    touched(home.info, -1000)
    lastsign.give(home)
    given = home.info.stat().st_mtime
    assert given > (NOON - timedelta(hours=999)).timestamp()
    touched(home.info, -1000)
    lastsign.leave(home)
    assert not home.info.exists()
    assert home.last_info.stat().st_mtime >= given


def test_what_was_due_meanwhile_is_counted_by_jobs() -> None:
    def due(**fields: object) -> int:
        return lastsign.due_since([make_job(**fields)], NOON, NOON + timedelta(hours=2))

    rows = {
        "every hour": (due(cron_expr="0 * * * *"), 1),
        "no expression": (due(cron_expr="61 * * * *"), 0),
        "tomorrow": (due(cron_expr="0 7 * * *"), 0),
        "paused": (due(cron_expr="0 * * * *", enabled=False), 0),
        "resumed only now": (due(cron_expr="0 * * * *", changed_at=NOON + timedelta(hours=1, minutes=30)), 1),
        "resumed after it": (due(cron_expr="0 13 * * *", changed_at=NOON + timedelta(hours=1, minutes=30)), 0),
    }
    assert {name: found for name, (found, _) in rows.items()} == {name: wanted for name, (_, wanted) in rows.items()}
