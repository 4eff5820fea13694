"""What a host that forbids cells is told."""

from __future__ import annotations

import pytest

from runner import repair


@pytest.mark.parametrize(
    ("words", "settings", "told"),
    [
        ("bwrap: setting up uid map: Permission denied", {"apparmor": "1", "maximum": "9000"}, repair.APPARMOR),
        ("bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted", {"apparmor": "1"}, repair.APPARMOR),
        ("bwrap: Creating new namespace failed: No space left on device", {"maximum": "0"}, repair.MAXIMUM),
        ("bwrap: No permissions to create a new namespace", {"clone": "0", "maximum": "9"}, repair.CLONE),
        ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", {}, repair.PROC),
        ("bwrap: Creating new namespace failed: Operation not permitted", {}, ""),
        ("bwrap: Can't find source path /x", {"apparmor": "1"}, ""),
    ],
)
def test_the_repair_fits_the_words_and_the_settings(words: str, settings: dict[str, str], told: str) -> None:
    assert repair.repair(words, settings) == told


def test_settings_that_are_not_there_are_left_out() -> None:
    assert set(repair.settings()) <= set(repair.SETTINGS)
