"""Zones by their names, on a host whose data base may be half written."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from datetime import timedelta
from importlib import resources
from pathlib import Path

import pytest

from supervisor.timing.schedule import ScheduleError, parse
from supervisor.timing.zone import ZoneError, find_zone
from tests.fakes import NOON

BERLIN = resources.files("tzdata.zoneinfo.Europe").joinpath("Berlin").read_bytes()


@pytest.fixture
def zones(tmp_path: Path) -> Iterator[Path]:
    """Where this host's zones are; none, so far."""
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath(to=[str(tmp_path)])
    try:
        yield tmp_path
    finally:
        zoneinfo.reset_tzpath(to=before)


def test_a_zone_is_found_where_the_host_has_it(zones: Path) -> None:
    (zones / "Test-Whole").write_bytes(BERLIN)
    zone = find_zone("Test-Whole")
    assert zone.utcoffset(NOON) == timedelta(hours=1)
    assert find_zone("Test-Whole") is zone


@pytest.mark.timeout(10)
def test_a_zone_whose_file_is_cut_off_anywhere_is_a_sentence_and_never_hangs(zones: Path) -> None:
    for size in range(len(BERLIN)):
        (zones / f"Test-Cut{size}").write_bytes(BERLIN[:size])
        with pytest.raises(
            ZoneError, match=f"'Test-Cut{size}' (is unknown here|cannot be read, since /.* is damaged):"
        ):
            find_zone(f"Test-Cut{size}")


@pytest.mark.timeout(10)
def test_a_zone_of_the_first_format_that_is_cut_off_is_a_sentence(zones: Path) -> None:
    (zones / "Test-Old").write_bytes(b"TZif" + bytes(20))
    with pytest.raises(ScheduleError, match=r"cannot be read, since /.*/Test-Old is damaged: install"):
        parse("0 7 * * *", timezone="Test-Old")


@pytest.mark.timeout(10)
def test_a_zone_that_was_mended_is_taken(zones: Path) -> None:
    (zones / "Test-Mended").write_bytes(BERLIN[:-5])
    with pytest.raises(ZoneError, match="install the host's time zones"):
        find_zone("Test-Mended")
    (zones / "Test-Mended").write_bytes(BERLIN)
    assert find_zone("Test-Mended").utcoffset(NOON) == timedelta(hours=1)
