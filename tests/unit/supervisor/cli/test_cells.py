"""Texts set to a width in places of a terminal, whatever characters they are made of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli.cells import clipped, even, folded, padded, width, wrapped
from supervisor.cli.render import plain_lines

WIDE = st.text(
    st.one_of(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "M")), st.sampled_from("日本語👍 é́"))
)


def test_wide_characters_take_two_places_and_combining_ones_none() -> None:
    assert [width(text) for text in ("abc", "日本", "e\u0301", "👍")] == [3, 4, 1, 2]
    assert clipped("日本語", 5) == "日本…"
    assert clipped("日本語", 6) == "日本語"
    assert clipped("日本語", 4) == "日…"
    assert padded("日本", 6) + "|" == "日本  |"
    assert padded("日本", 6, right=True) == "  日本"


def test_what_terminals_disagree_about_is_taken_apart() -> None:
    assert even("👩\u200d👩\u200d👧 👍🏽 🇩🇪 ❤\ufe0f plain é") == "👩👩👧 👍 DE ❤ plain é"


@given(WIDE, st.integers(1, 40))
def test_what_is_clipped_fits_and_what_fits_is_left_alone(text: str, most: int) -> None:
    assert width(clipped(even(text), most)) <= most
    if width(text) <= most:
        assert clipped(text, most) == text


@given(WIDE, st.integers(2, 40))
def test_a_folded_line_fits_and_loses_nothing_but_blanks(text: str, wide: int) -> None:
    line = even(text)
    found = folded(line, wide)
    assert "".join(found).replace(" ", "") == line.replace(" ", "")
    assert all(width(piece) <= wide for piece in found)


def test_a_line_is_folded_between_words_and_in_one_that_is_too_long() -> None:
    assert folded("one two three", 8) == ["one two", "three"]
    assert folded("one " + "x" * 10, 6) == ["one", "xxxxxx", "xxxx"]
    assert folded("  indented text", 12) == ["  indented", "text"]
    assert folded("", 5) == [""]
    assert folded("日本語", 1) == ["日", "本", "語"], "what is wider than the line is still shown"
    long = "word " * 50_000 + "e" + "\u0301" * 1000
    assert "".join(folded(long, 60)).replace(" ", "") == long.replace(" ", ""), "and that soon"


def test_a_sentence_is_wrapped_into_so_many_lines_and_the_last_one_is_cut() -> None:
    assert wrapped("one two three four", 9, 2) == ["one two", "three fo…"]
    assert wrapped("one two", 20, 2) == ["one two"]
    assert wrapped("x" * 30, 10, 2) == ["x" * 9 + "…"]


def test_piped_columns_line_up_under_wide_characters() -> None:
    lines = plain_lines(["A", "B"], [["日本語", "1"], ["x", "2"], ["e\u0301", "3"]])
    assert lines == ["A       B", "日本語  1", "x       2", "e\u0301       3"]
