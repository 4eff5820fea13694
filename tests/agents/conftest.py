"""What the tests of the agents share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.stand import Stand, lodging, stand
from tests.house import House
from tests.passage import let_through
from tests.providers.serving import provider


@pytest.fixture(scope="session")
def lodged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One supervisor for all of a worker's tests: its start, again and again, would be a quarter of their time."""
    with lodging(let_through(tmp_path_factory.mktemp("lodging"))) as home:
        yield home


@pytest.fixture
def stood(lodged: House, tmp_path: Path) -> Iterator[Stand]:
    with provider() as stub, stand(let_through(tmp_path), lodged, stub) as made:
        yield made
