"""What an agent leaves in its home is looked at within a bounded time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner import keeping
from runner.keeping import Keeping
from shared.keep import Keep
from shared.patterns import Patterns
from tests.driver import request


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every path that was compared with the list of what is kept."""
    paths: list[str] = []
    match = Patterns.match

    def counted(self: Patterns, path: str) -> bool:
        paths.append(path)
        return match(self, path)

    monkeypatch.setattr(Patterns, "match", counted)
    return paths


def taken(tmp_path: Path, home: Path) -> str:
    """The problem with the conversation in this home, if there is one."""
    (tmp_path / "out").mkdir()
    keep = Keep(directory=str(tmp_path / "out"), session=("**/*.jsonl",))
    kept = Keeping(request(tmp_path, "true"), keep)
    kept.bring(os.open(home, keeping.FOLDER))
    session = kept.take_session(good=True)
    assert session is not None
    return session.problem


def test_only_what_is_a_file_is_compared_with_the_list(tmp_path: Path, compared: list[str]) -> None:
    """To compare a path of thousands of names takes milliseconds."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "a.jsonl").touch()
    for number in range(5):
        os.mkfifo(tmp_path / "home" / f"{number}.jsonl")
    assert taken(tmp_path, tmp_path / "home") == ""
    assert compared == ["a.jsonl"]


def test_files_that_are_not_kept_are_not_looked_at_for_ever(
    tmp_path: Path, compared: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").mkdir()
    for number in range(100):
        (tmp_path / "home" / f"{number}.log").touch()
    monkeypatch.setattr(keeping, "SECONDS", -1.0)
    assert "takes too long" in taken(tmp_path, tmp_path / "home")
    assert compared == []
