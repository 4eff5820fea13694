"""What the tests of the agents share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.stand import Stand, opened, stand


@pytest.fixture
def stood(tmp_path: Path) -> Iterator[Stand]:
    with stand(opened(tmp_path)) as made:
        yield made
