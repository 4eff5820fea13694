"""What init says, and what it never says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.report import Report


def test_a_whole_life_is_read() -> None:
    report = Report()
    for line in (b"hello NoNewPrivs=1 net=4026", b"started", b"exited 256 3", b"usage 5 6 7"):
        report.take(line)
    assert report.finished
    assert report.hello == {"NoNewPrivs": "1", "net": "4026"}
    assert (report.started, report.status, report.left) == (True, 256, 3)
    assert (report.user_us, report.system_us, report.max_rss_kib) == (5, 6, 7)


def test_what_the_agents_process_took_on_itself_is_told_with_its_start() -> None:
    report = Report()
    report.take(b"started seccomp")
    assert (report.started, report.held) == (True, ("seccomp",))


@pytest.mark.parametrize(
    "line", [b"", b"what", b"exited", b"exited x 1", b"usage 1 2", b"failed exec", b"hello x", b"\xff"]
)
def test_anything_else_is_an_error(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Report().take(line)


@given(st.binary())
def test_no_line_is_a_crash(line: bytes) -> None:
    try:
        Report().take(line)
    except ValueError:
        return
