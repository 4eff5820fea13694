"""Two lines in somebody's crontab: put there, replaced, taken away, and nothing else of it touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import InvalidError
from supervisor.keeping.cronlines import LONGEST, has_lines, lines, with_lines, without_lines
from supervisor.keeping.startline import StartLine
from supervisor.stores.home import Home

HOME, OTHER = Home(Path("/h/it's 5% off")), Home(Path("/h/other"))
LINE = StartLine("/p/cronward", HOME, "", (("PATH", "/usr/bin:/a b"),))
BLOCK = lines(LINE)
THEIRS = b"MAILTO=ada\nPATH=/bin\n\n# a \xff comment\r\n5 4 * * * backup 100\\%\n"


def test_the_lines_are_for_boot_and_every_five_minutes_and_set_nothing_of_the_table() -> None:
    begin, boot, often, end, rest = BLOCK.split(b"\n")
    command = rb"""/usr/bin/env 'PATH=/usr/bin:/a b' /p/cronward --home '/h/it'"'"'s 5\% off' supervise --ensure"""
    assert (boot, often) == (b"@reboot " + command, b"*/5 * * * * " + command)
    assert begin.startswith(b"#")
    assert end.startswith(b"#")
    assert rest == b""


def test_they_are_added_once_replaced_in_their_place_and_removed_to_the_byte() -> None:
    newer = lines(StartLine("/new/cronward", HOME, "", ()))
    for table in (b"", THEIRS):
        once = with_lines(table, BLOCK, HOME)
        assert once == table + BLOCK
        assert with_lines(once, BLOCK, HOME) == once
        after = once + b"@daily more\n"
        assert with_lines(after, newer, HOME) == table + newer + b"@daily more\n"
        assert without_lines(after, HOME) == table + b"@daily more\n"
        assert [has_lines(each, HOME) for each in (table, once)] == [False, True]
    assert with_lines(b"@daily x", BLOCK, HOME) == b"@daily x\n" + BLOCK


def test_another_homes_lines_are_somebody_elses() -> None:
    table = lines(StartLine("/p/cronward", OTHER, "", ()))
    assert not has_lines(table, HOME)
    assert without_lines(with_lines(table, BLOCK, HOME), HOME) == table


@given(st.binary(max_size=200))
def test_whatever_else_is_there_it_comes_back(table: bytes) -> None:
    whole = table if not table or table.endswith(b"\n") else table + b"\n"
    assert without_lines(with_lines(table, BLOCK, HOME), HOME) == whole


def test_half_a_pair_of_marks_changes_nothing() -> None:
    begin, *_, end, _ = [*BLOCK.splitlines(keepends=True), b""]
    for table in (begin, end, end + begin, BLOCK + BLOCK, BLOCK + end):
        for act in (lambda table: with_lines(table, BLOCK, HOME), lambda table: without_lines(table, HOME)):
            with pytest.raises(InvalidError, match="not one pair"):
                act(table)


def test_a_line_that_cron_would_refuse_is_refused_here() -> None:
    with pytest.raises(InvalidError, match="Shorten your PATH"):
        lines(StartLine("/p/cronward", HOME, "", (("PATH", "/x" * LONGEST),)))
