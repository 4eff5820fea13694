"""What the tests of the agents share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.stand import Stand, stand


@pytest.fixture
def stood(tmp_path: Path) -> Iterator[Stand]:
    # A supervisor of root's gives each job a uid of its own, which has to reach the work directory.
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o711)
    with stand(tmp_path) as made:
        yield made
