"""What the command line makes of single values: escapes, times, widths, instants, drafts."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.__main__ import _globals_first
from supervisor.cli.draft import duration_seconds, output, prompt_text, schema_text, timing
from supervisor.cli.escape import escape, escape_lines, shortened
from supervisor.cli.instant import parse_instant
from supervisor.cli.render import fitted, plain_lines
from supervisor.cli.times import lasted, relative, size, span
from supervisor.errors import InvalidError
from supervisor.models import MAX_PROMPT, NEVER
from tests.fakes import NOON


def test_what_could_act_on_a_terminal_is_written_out() -> None:
    assert escape("\x1b[2Jred\x07\r\n\t\x9b31m") == "\\x1b[2Jred\\x07\\r\\n\\t\\x9b31m"
    assert escape("safe\u202etxt.exe \ud800 \u2028") == "safe\\u202etxt.exe \\ud800 \\u2028"
    assert escape_lines("a\n\tb\r\x1b") == "a\n\tb\\r\\x1b"


@given(st.text())
def test_no_text_keeps_a_control_character_and_harmless_text_stays(text: str) -> None:
    kept = [char for char in escape(text) if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")]
    assert kept == []
    assert {char for char in escape_lines(text) if unicodedata.category(char) == "Cc"} <= {"\n", "\t"}
    if text.isascii() and text.isprintable():
        assert escape(text) == text


@given(st.text(), st.integers(2, 80))
def test_a_shortened_text_fits_and_is_one_line(text: str, width: int) -> None:
    assert len(shortened(text, width)) <= width
    assert "\n" not in shortened(text, width)


def test_spans_are_said_as_people_say_them() -> None:
    said = {0: "0 s", 89: "89 s", 90: "2 min", 3599: "1 h", 3600: "1 h", 9000: "2 h 30 min", 50_000: "14 h"}
    assert {seconds: span(seconds) for seconds in said} == said
    assert span(40 * 86400) == "40 d"
    assert relative(NOON + timedelta(hours=3), NOON) == "in 3 h"
    assert relative(NOON - timedelta(seconds=5), NOON) == "5 s ago"
    assert relative(NOON, NOON) == "now"
    assert relative(NEVER, NOON) == "-"


def test_measures_are_said_with_their_unit() -> None:
    assert [lasted(int(s * 1e9)) for s in (0.421, 12.4, 99, 185, 7800)] == [
        "0.42 s",
        "12 s",
        "99 s",
        "3 min 5 s",
        "2 h 10 min",
    ]
    assert [size(n) for n in (0, 999, 4300, 1 << 20, 3 << 30)] == ["0 B", "999 B", "4.2 KiB", "1.0 MiB", "3.0 GiB"]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), min_size=1, max_size=9), st.integers(10, 200))
def test_columns_shrink_no_more_than_they_must_and_may(columns: list[tuple[int, int]], room: int) -> None:
    natural, least = [width for width, _ in columns], [floor for _, floor in columns]
    found = fitted(natural, least, room)
    assert all(min(floor, width) <= got <= width for got, width, floor in zip(found, natural, least, strict=True))
    if sum(found) < sum(natural):
        assert sum(found) >= room
    if sum(found) > room:
        assert all(
            got <= max(floor, 0) or got == width for got, width, floor in zip(found, natural, least, strict=True)
        )


def test_piped_columns_are_aligned_and_never_cut() -> None:
    assert plain_lines(["A", "B"], [["x" * 30, "1\n2"], ["y", ""]]) == ["A" + " " * 31 + "B", "x" * 30 + "  1\\n2", "y"]


@pytest.mark.parametrize(
    ("text", "zone", "wanted"),
    [
        ("2026-11-24T07:00:00Z", None, "2026-11-24T07:00:00+00:00"),
        ("2026-11-24T07:00:00+05:30", "Europe/Berlin", "2026-11-24T01:30:00+00:00"),
        ("2026-11-24 07:00", "Europe/Berlin", "2026-11-24T06:00:00+00:00"),
        ("2026-11-24", "UTC", "2026-11-24T00:00:00+00:00"),
        ("2026-10-25 02:30", "Europe/Berlin", "2026-10-25T00:30:00+00:00"),
        ("+10m", None, "2026-11-24T12:10:00+00:00"),
        ("+1h30m", "Asia/Tokyo", "2026-11-24T13:30:00+00:00"),
        ("now", None, "2026-11-24T12:00:00+00:00"),
    ],
)
def test_an_instant_is_read_in_the_zone_it_is_meant_for(text: str, zone: str | None, wanted: str) -> None:
    assert parse_instant(text, zone, NOON).astimezone(UTC).isoformat() == wanted


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("", None),
        ("soon", None),
        ("25:00", None),
        ("2026-13-01", None),
        ("+", None),
        ("+5", None),
        ("+-5m", None),
        ("+99999999h", None),
        ("x" * 5000, None),
        ("2026-11-24 07:00", "Mars/Base"),
        ("2026-03-29 02:30", "Europe/Berlin"),
        ("0001-01-01 00:00", "Asia/Tokyo"),
        ("9999-12-31 23:59", "America/New_York"),
        ("9999-12-31T23:59:59-14:00", None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_an_instant_that_cannot_be_is_refused(text: str, zone: str | None) -> None:
    with pytest.raises(InvalidError):
        parse_instant(text, zone, NOON)


@given(st.text(max_size=40), st.sampled_from([None, "UTC", "Europe/Berlin", "Pacific/Apia"]))
def test_no_text_makes_the_reader_of_instants_fail_otherwise(text: str, zone: str | None) -> None:
    try:
        found = parse_instant(text, zone, NOON)
    except InvalidError:
        return
    assert isinstance(found, datetime)
    assert found.utcoffset() is not None


def test_a_job_is_due_in_exactly_one_way() -> None:
    assert timing("0 7 * * *", None, None, "UTC", NOON) == {"cron_expr": "0 7 * * *", "timezone": "UTC"}
    assert timing(None, "90m", None, None, NOON) == {"cron_expr": "@every 90m"}
    assert timing(None, "1d", None, None, NOON) == {"cron_expr": "@every 24h"}  # as the original's schedules have it
    assert timing(None, None, "+1h", None, NOON) == {"at": "2026-11-24T13:00:00+00:00"}
    for cron, every, at in ((None, None, None), ("* * * * *", "1h", None), (None, "1h", "+1h"), ("", None, "")):
        with pytest.raises(InvalidError, match="exactly one"):
            timing(cron, every, at, None, NOON)
    with pytest.raises(InvalidError, match="is past"):
        timing(None, None, "2026-11-24 11:59:59Z", None, NOON)


def test_a_prompt_comes_from_one_place_whole_and_as_text(tmp_path: Path) -> None:
    file = tmp_path / "p"
    file.write_text("\ufeffSay hello.\n")
    assert prompt_text(None, str(file)) == "Say hello.\n"
    assert prompt_text("", None) == ""
    file.write_text("x" * MAX_PROMPT)
    assert len(prompt_text(None, str(file))) == MAX_PROMPT
    for given_ways in (
        (None, None),
        ("a", str(file)),
        (None, str(tmp_path)),
        (None, str(tmp_path / "none")),
        (None, "/dev/zero"),
    ):
        with pytest.raises(InvalidError):
            prompt_text(*given_ways)


def test_a_schema_means_structured_unless_a_format_is_named(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("{}")
    assert output(None, None) == {}
    assert output("json", None) == {"output_format": "json"}
    assert output(None, f"@{tmp_path / 's'}") == {"output_format": "structured", "output_schema": "{}"}
    assert output("text", "{}") == {"output_format": "text", "output_schema": "{}"}
    with pytest.raises(InvalidError):
        schema_text("@")


def test_a_timeout_is_whole_seconds() -> None:
    assert duration_seconds("1h30m") == 5400
    for text in ("0s", "1500ms", "1.5s", "", "x", "-1s"):
        with pytest.raises(InvalidError):
            duration_seconds(text)


def test_home_and_config_may_stand_after_the_command() -> None:
    assert _globals_first(["list", "--home", "x", "--json"]) == ["--home", "x", "list", "--json"]
    assert _globals_first(["list", "--home=x", "--config", "y"]) == ["--home=x", "--config", "y", "list"]
    assert _globals_first(["show", "--", "--home"]) == ["show", "--", "--home"]
    assert _globals_first(["list", "--home"]) == ["list", "--home"]
    assert _globals_first(["add", "--homely"]) == ["add", "--homely"]
