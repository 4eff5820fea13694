"""Amounts of bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.definitions.sizes import LARGEST, format_size, parse_size


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("0", 0),
        ("1024", 1024),
        ("1KiB", 1024),
        ("1 kib", 1024),
        (" 512MiB ", 512 << 20),
        ("1.5GiB", 3 << 29),
        ("0.1kB", 100),
        ("2GB", 2_000_000_000),
        ("1TiB", 1 << 40),
        ("10B", 10),
    ],
)
def test_a_size_as_people_write_it(written: str, expected: int) -> None:
    assert parse_size(written) == expected


@pytest.mark.parametrize(
    "written", ["", "GiB", "1G iB", "-1GiB", "+1", "1e3", "1,5GiB", "1.GiB", ".5GiB", "1XiB", "1GiB2", "٣", "1" * 30]
)
def test_any_other_text_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="512MiB"):
        parse_size(written)


@pytest.mark.parametrize("value", [5, True, 1.5, None, []])
def test_what_is_no_text_is_left_to_who_asks(value: object) -> None:
    assert parse_size(value) is value


@given(st.integers(0, LARGEST))
def test_what_is_shown_is_read_as_the_same(size: int) -> None:
    assert parse_size(format_size(size)) == size
