"""Thousands of seeded histories of the real scheduling core, each held to the promises, and planted bugs found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from supervisor.timing import schedule
from tests.simulation.history import Act, folders, play
from tests.simulation.ledger import BrokenError
from tests.simulation.plants import PLANTS, Plant
from tests.simulation.world import World

FULL = os.environ.get("CRONWARD_TESTS") == "full"
SEEDS = int(os.environ.get("CRONWARD_HISTORIES", "10000" if FULL else "2000"))
PARTS = 49
"""Odd, so that each part has as many long histories as the others."""
FOUND_WITHIN = 1000


@pytest.mark.parametrize("part", range(PARTS))
def test_the_promises_hold_in_every_history(part: int) -> None:
    with folders() as fresh:
        for seed in range(part, SEEDS, PARTS):
            try:
                play(seed, fresh())
            except AssertionError as error:
                pytest.fail(f"{error}\nPlay it again: python -m tests.simulation {seed}", pytrace=False)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(world: World) -> None:
        plant(world, monkeypatch)

    try:
        with folders() as fresh:
            assert any(_broken(seed, fresh(), prepare) for seed in range(FOUND_WITHIN)), "nobody noticed"
    finally:
        schedule._parse.cache_clear()


def test_a_history_is_the_same_each_time_it_is_played() -> None:
    with folders() as fresh:
        once, again = play(11, fresh()), play(11, fresh())
    assert _told(once) == _told(again)


def _broken(seed: int, root: Path, prepare: Act) -> bool:
    try:
        play(seed, root, prepare)
    except BrokenError:
        return True
    return False


def _told(world: World) -> list[object]:
    """Everything but where it lies."""
    return [{**run, "log_dir": ""} for run in world.ledger.records.values()]
