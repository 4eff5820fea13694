from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.timing.duration import DurationError, format_duration, in_go_units, parse_duration, parse_go_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30m", 1800),
        ("1h30m", 5400),
        ("1.5h", 5400),
        (".5h", 1800),
        ("5.s", 5),
        ("90s", 90),
        ("500ms", 0.5),
        ("250us", 0.00025),
        ("250\u00b5s", 0.00025),
        ("250\u03bcs", 0.00025),
        ("1d", 86400),
        ("1d12h", 129600),
        ("2w", 14 * 86400),
        ("1w1d", 8 * 86400),
        ("0", 0),
        ("1m1m", 120),
    ],
)
def test_durations_are_read_as_go_reads_them_and_days_too(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("-", "is empty"),
        ("5", "ends without a unit"),
        ("1h5", "ends without a unit"),
        ("m", "no number before 'm'"),
        (".m", "no number before"),
        ("5 m", "unknown unit ' m'"),
        ("5x", "unknown unit 'x': use ns, us, ms, s, m, h, d, w"),
        ("1H", "unknown unit"),
        ("-5m", "has a sign"),
        ("+5m", "has a sign"),
        ("1" + "0" * 30 + "h", "longer than 292 years"),
        ("1" * 65, "longer than 64 characters"),
        ("\u0665m", "no number before"),
        ("1h\n", "unknown unit"),
    ],
)
def test_a_bad_duration_is_refused_with_a_sentence(text: str, words: str) -> None:
    with pytest.raises(DurationError, match=words) as refused:
        parse_duration(text)
    assert str(refused.value).startswith("The duration ")
    assert str(refused.value).endswith(".")


def test_gos_own_grammar_has_signs_and_no_days() -> None:
    assert parse_go_duration("-5m") == timedelta(minutes=-5)
    assert parse_go_duration("+1.9s") == timedelta(seconds=1)
    with pytest.raises(DurationError, match="unknown unit 'd'"):
        parse_go_duration("1d")


def test_days_and_weeks_are_hours_to_go() -> None:
    for text, written in (("1d", "24h"), ("1w", "168h"), ("1d30m", "24h30m"), ("90m", "90m"), ("1.50h", "1.50h")):
        assert in_go_units(text) == written
        assert parse_go_duration(written) == parse_duration(text)


def test_durations_are_written_with_hours_as_the_largest_unit() -> None:
    written = [
        format_duration(timedelta(**parts))
        for parts in ({"days": 1, "hours": 1}, {"minutes": 90}, {"seconds": 1.5}, {}, {"seconds": -5})
    ]
    assert written == ["25h", "1h30m", "1s500ms", "0s", "-5s"]


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=106_000)))
def test_what_is_written_reads_back_the_same(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


# An alphabet of our own: hypothesis needs a second to make its table of all characters.
ANY = "".join(map(chr, range(0x250))) + "\u0665\u00b2\u2028\ud800\U0001f600"


@given(st.text(ANY, max_size=70) | st.text("0123456789.-+hmsundw\u00b5 ", max_size=70))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        duration = parse_duration(text)
    except DurationError as refused:
        duration, complaint = timedelta(0), str(refused)
        assert complaint.endswith(".")
    assert timedelta(0) <= duration < timedelta(days=107_000)
