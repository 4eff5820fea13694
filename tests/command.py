"""The command line, called as a function: as the process would be, without the 0.4 s that one costs."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from supervisor.__main__ import main


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str


@dataclass
class Command:
    """`cronward` in one home."""

    home: Path
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *args: str, stdin: bytes = b"") -> Said:
        self.capsys.readouterr()
        with self.monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            code = main(["--home", str(self.home), *args])
        found = self.capsys.readouterr()
        return Said(code, found.out, found.err)

    def json(self, *args: str) -> Any:
        said = self(*args, "--json")
        assert said.code == 0, said.err
        assert said.out.isascii()
        return json.loads(said.out)


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below it: name, mode, content."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in sorted(folder.rglob("*"))
    }
