"""Bytes to disk and back: whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import StoreError
from supervisor.stores.store import (
    TAIL_BLOCK,
    DamagedError,
    NewerError,
    append_line,
    file_of,
    keep_copy,
    read_bytes,
    read_json,
    remove_leftovers,
    set_aside,
    write_atomic,
)


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    old = os.umask(0o022)
    yield os.umask
    os.umask(old)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the kernel is asked for, in order: a sync that is left out changes nothing that a test could see later."""
    said: list[str] = []

    def note(name: str) -> None:
        real = getattr(os, name)

        def call(first: Any, *rest: Any, **named: Any) -> Any:
            place = str(Path(f"/proc/self/fd/{first}").readlink()) if isinstance(first, int) else os.fspath(rest[0])
            said.append(f"{name} {'temporary' if place.endswith('.tmp') else Path(place).name}")
            return real(first, *rest, **named)

        monkeypatch.setattr(os, name, call)

    for name in ("write", "fsync", "fdatasync", "replace", "rename", "link"):
        note(name)
    return said


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_directory(path: Path) -> None:
    path.mkdir()


def make_link(path: Path) -> None:
    target = path.with_name("target")
    target.write_text('{"version": 1}')
    path.symlink_to(target)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


NOT_FILES = [make_fifo, make_directory, make_link, make_socket]


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
def test_a_file_is_its_owners_alone_whatever_the_umask(tmp_path: Path, umask: Callable[[int], int], mask: int) -> None:
    umask(mask)
    write_atomic(tmp_path / "a", b"x")
    umask(0)
    write_atomic(tmp_path / "b", b"x\n")
    append_line(tmp_path / "b", b"y\n")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", tmp_path / "b")] == [0o600, 0o600]


def test_a_replaced_file_holds_the_new_content_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for content in (b"long" * 1000, b"", b"short"):
        write_atomic(tmp_path / "a", content)
        assert (tmp_path / "a").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_is_on_disk_before_its_name_is_and_its_name_before_anyone_is_told(
    tmp_path: Path, calls: list[str]
) -> None:
    write_atomic(tmp_path / "a", b"x")
    assert calls == ["write temporary", "fsync temporary", "replace a", f"fsync {tmp_path.name}"]


def test_a_line_costs_one_write_and_one_sync(tmp_path: Path, calls: list[str]) -> None:
    write_atomic(tmp_path / "a", b"")
    calls.clear()
    append_line(tmp_path / "a", b"x" * 100_000 + b"\n")
    assert calls == ["write a", "fdatasync a"]


def test_what_is_set_aside_is_on_disk_in_its_new_place_first(tmp_path: Path, calls: list[str]) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (tmp_path / "a").touch()
    keep_copy(tmp_path / "a", damaged)
    set_aside(tmp_path / "a", damaged)
    assert calls == ["link a.1", "fsync damaged", "rename a.2", "fsync damaged", f"fsync {tmp_path.name}"]


def test_a_reader_of_the_old_file_keeps_the_old_content(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"old")
    with (tmp_path / "a").open("rb") as reader:
        write_atomic(tmp_path / "a", b"new")
        assert reader.read() == b"old"


def test_where_the_file_cannot_be_replaced_nothing_is_left_over(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(StoreError, match="cannot be written"):
        write_atomic(tmp_path / "a", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_directory_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file or directory"):
        write_atomic(tmp_path / "no" / "a", b"x")
    with pytest.raises(StoreError, match="No such file or directory"):
        append_line(tmp_path / "a", b"x\n")


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_a_torn_tail_is_cut_before_the_next_line(before: bytes, line: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        path = Path(file.name)
        path.write_bytes(before)
        whole = before[: before.rfind(b"\n") + 1]
        assert append_line(path, line + b"\n") == len(whole)
        assert path.read_bytes() == whole + line + b"\n"


@pytest.mark.parametrize("torn", [TAIL_BLOCK - 1, TAIL_BLOCK, TAIL_BLOCK + 1, 3 * TAIL_BLOCK])
def test_a_long_torn_tail_is_cut_as_well(tmp_path: Path, torn: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"first\n" + b"x" * torn)
    append_line(path, b"second\n")
    assert path.read_bytes() == b"first\nsecond\n"


def test_a_line_that_is_refused_does_not_count_even_where_it_cannot_be_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_given: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "a"
    path.write_bytes(b"first\n")
    with monkeypatch.context() as disk:
        disk.setattr(os, "fdatasync", broken)
        disk.setattr(os, "ftruncate", broken)
        with pytest.raises(StoreError, match="Input/output error"):
            append_line(path, b"second\n")
    assert path.read_bytes() == b"first\nsecond "
    append_line(path, b"third\n")
    assert path.read_bytes() == b"first\nthird\n"


@pytest.mark.parametrize("make", NOT_FILES)
def test_what_is_no_regular_file_is_neither_followed_nor_waited_for(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "a")
    began = time.monotonic()
    with pytest.raises(DamagedError, match="not a regular file"):
        read_bytes(tmp_path / "a", 100)
    with pytest.raises(StoreError):
        append_line(tmp_path / "a", b"x\n")
    assert time.monotonic() - began < 5


def test_reading_stops_at_its_bound(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    assert read_bytes(tmp_path / "a", 100) == b"x" * 100
    with pytest.raises(DamagedError, match="more than the 99 bytes"):
        read_bytes(tmp_path / "a", 99)
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(DamagedError, match="more than"):
        read_bytes(tmp_path / "huge", 100)


def test_a_file_that_is_not_there_is_not_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "a", 100, 1)


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"null", b"\xff\xfe", b"{}", b'{"version": "1"}', b'{"version": true}', b'{"version": 0}'),
        *(b'{"version": 1.0}', b'{"version": 1} x', b"[" * 50_000, b'{"version": 1, "n": ' + b"9" * 5000 + b"}"),
    ],
)
def test_what_is_not_ours_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(DamagedError):
        read_json(tmp_path / "a", 100_000, 1)


def test_a_newer_version_is_not_damaged_but_newer(tmp_path: Path) -> None:
    (tmp_path / "a").write_text('{"version": 2, "new": true}')
    with pytest.raises(NewerError, match="version 2"):
        read_json(tmp_path / "a", 1000, 1)
    assert read_json(tmp_path / "a", 1000, 2) == {"version": 2, "new": True}


@pytest.mark.parametrize("make", [*NOT_FILES, lambda path: path.write_text("x")])
def test_what_is_set_aside_is_kept_and_overwrites_nothing(tmp_path: Path, make: Callable[[Path], None]) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for number in (1, 2, 3):
        (tmp_path / "target").unlink(missing_ok=True)
        make(tmp_path / "a.json")
        assert set_aside(tmp_path / "a.json", damaged) == damaged / f"a.json.{number}"
        assert not os.path.lexists(tmp_path / "a.json")
    assert len(list(damaged.iterdir())) == 3


def test_a_copy_stays_as_it_was_when_the_file_is_replaced(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (tmp_path / "a").write_text("bad")
    copy = keep_copy(tmp_path / "a", damaged)
    write_atomic(tmp_path / "a", b"good")
    assert (copy.read_text(), (tmp_path / "a").read_text()) == ("bad", "good")


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".a.json.x1.tmp", "a.json", "b.tmp", ".hidden"):
        (tmp_path / name).write_text(json.dumps(name))
    remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "a.json", "b.tmp"]


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", ".a", "-a", "a\n", "a\0", "x" * 65, "é"])
def test_what_is_no_id_names_no_file(tmp_path: Path, name: str) -> None:
    assert file_of(tmp_path, name, ".json") is None


def test_an_id_names_a_file(tmp_path: Path) -> None:
    assert file_of(tmp_path, "A-1.b_c", ".json") == tmp_path / "A-1.b_c.json"
