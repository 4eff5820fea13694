from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import Command


@pytest.fixture
def cronward(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line in a home that does not exist yet, with no config."""
    for name in ("CRONWARD_HOME", "CRONWARD_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-config"))
    return Command(tmp_path / "home", capsys, monkeypatch)
