"""Since when a look shows what happened, and what is remembered of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from supervisor.errors import StoreError
from supervisor.stores.home import Home
from supervisor.stores.looked import FIRST, SAME_LOOK, Look, look, note, read
from tests.fakes import NOON

HOUR = timedelta(hours=1)


def test_the_first_look_goes_back_a_day_and_a_next_one_to_the_look_before() -> None:
    first = look(None, NOON)
    assert first == Look(NOON - FIRST, NOON, first=True)
    assert look(first, NOON + 9 * HOUR) == Look(NOON, NOON + 9 * HOUR)


def test_who_looks_again_at_once_sees_it_again_and_is_not_kept_there_for_ever() -> None:
    first = look(None, NOON)
    again = look(Look(first.since, first.looked_at), NOON + SAME_LOOK - timedelta(seconds=1))
    assert again == first
    assert look(again, NOON + SAME_LOOK) == Look(NOON, NOON + SAME_LOOK)
    later = look(Look(NOON, NOON + HOUR), NOON + HOUR + timedelta(minutes=1))
    assert later == Look(NOON, NOON + HOUR)


def test_a_look_of_the_future_is_none() -> None:
    for wrong in (Look(NOON, NOON + HOUR), Look(NOON + HOUR, NOON - HOUR)):
        assert look(wrong, NOON) == look(None, NOON)


def test_it_is_remembered_as_a_file_of_the_owners_and_what_is_no_look_is_none(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert read(home) is None
    note(home, Look(NOON, NOON + HOUR))
    assert read(home) == Look(NOON, NOON + HOUR)
    assert home.looked.stat().st_mode & 0o777 == 0o600
    for text in (
        "",
        "{",
        "[]",
        '{"version": 1}',
        '{"version": 2, "since": "x"}',
        '{"version": 1, "since": 1}',
        "\x00" * 9000,
    ):
        home.looked.write_text(text)
        assert read(home) is None, text
    assert read(Home(tmp_path / "none")) is None
    with pytest.raises(StoreError):
        note(Home(tmp_path / "none"), Look(NOON, NOON))
