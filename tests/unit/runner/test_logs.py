"""The files of an attempt."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import logs
from runner.refusal import RefusalError


def opened(path: Path) -> logs.Logs:
    path.mkdir()
    return logs.open_logs(str(path))


def close(files: logs.Logs) -> None:
    for descriptor in (files.stdout, files.stderr, files.answer, files.result, files.directory):
        os.close(descriptor)


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "stdout").symlink_to(tmp_path / "victim")
    with pytest.raises(RefusalError):
        logs.open_logs(str(tmp_path / "log"))
    assert not (tmp_path / "victim").exists()


def test_what_was_written_can_be_copied_and_looked_at(tmp_path: Path) -> None:
    files = opened(tmp_path / "log")
    logs.write_all(files.stdout, b"0123456789" * 20_000)
    logs.copy(files.stdout, files.answer)
    logs.sync(files, b"result\n")
    assert (logs.head(files.stdout, 3), logs.tail(files.stdout, 3)) == (b"012", b"789")
    close(files)
    assert (tmp_path / "log" / "answer").read_bytes() == b"0123456789" * 20_000
    assert (tmp_path / "log" / "result.json").read_bytes() == b"result\n"


def test_a_result_is_on_disk_when_the_call_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def note(name: str) -> None:
        real = getattr(os, name)

        def call(descriptor: int, *rest: Any) -> Any:
            calls.append(f"{name} {Path(f'/proc/self/fd/{descriptor}').readlink().name}")
            return real(descriptor, *rest)

        monkeypatch.setattr(os, name, call)

    files = opened(tmp_path / "log")
    for name in ("write", "fsync", "fdatasync"):
        note(name)
    logs.sync(files, b"result\n")
    assert calls == ["write result.json", "fsync result.json", "fsync log"]
    close(files)


spaces = st.text(st.sampled_from(" \n\t\r\u3000\u00a0"), max_size=9)


@given(spaces, st.booleans(), st.integers(1, 7))
def test_blank_is_what_strip_would_say(space: str, more: bool, chunk: int) -> None:
    text = space + ("x" if more else "")
    reader = os.memfd_create("answer")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "CHUNK", chunk + 3)
        os.write(reader, text.encode())
        try:
            assert logs.is_blank(reader) is (not text.strip())
        finally:
            os.close(reader)
