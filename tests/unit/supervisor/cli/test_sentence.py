"""Messages on a terminal: broken between words, and what is copied out of them in one piece."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from supervisor.cli.cells import width
from supervisor.cli.sentence import broken


def test_a_message_is_broken_between_words_and_a_command_is_not_broken() -> None:
    table = {
        "it fits": ("All is well.", "All is well."),
        "words": ("One word and another word", "One word and\nanother word"),
        "lines stay": ("One\n\nword and another word", "One\n\nword and\nanother word"),
        "a margin stays": ("  one word and another", "  one word\n  and another"),
        "a long word": ("See /a/very/long/path/of it", "See\n/a/very/long/path/of\nit"),
        "in backticks": ("See it by `a b c` now", "See it by\n`a b c` now"),
        "after a colon": ("Do it: git a b c d e f g h", "Do it:\ngit a b c d e f g h"),
        "prose after a colon": ("Error: it has gone wrong", "Error: it has\ngone wrong"),
        "wide characters": ("日本 日本 日本 日本", "日本 日本\n日本 日本"),
    }
    for name, (text, wanted) in table.items():
        assert broken(text, 13) == wanted, name


@given(st.text(st.sampled_from("ab `:日\n"), max_size=60), st.integers(2, 20))
def test_nothing_but_line_breaks_in_the_place_of_blanks_is_changed(text: str, wide: int) -> None:
    made = broken(text, wide)
    assert made.replace("\n", "").replace(" ", "") == text.replace("\n", "").replace(" ", "")
    if "`" not in text:
        assert all(width(line) <= wide or " " not in line.strip(" ") for line in made.split("\n"))
