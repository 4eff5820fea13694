"""The table of hostile actions and the programs belong together, and the page that counts them counts right."""

from __future__ import annotations

import re
from pathlib import Path

from tests.hostile.attacks import bombs, files, kernel, network, processes, work
from tests.hostile.attacks.kit import ATTACKS
from tests.hostile.table import by_layer, rows

PROGRAMS = (bombs, files, kernel, network, processes, work)
PAGE = Path(__file__).parents[2] / "docs" / "security.md"
CIRCUMSTANCES = {"always", "default", "allow", "public", "work_dir", "host", "root", "user", "cgroup", "watchdog"}


def section() -> str:
    return PAGE.read_text("utf-8").split("## How it was tried", 1)[1].split("\n## ", 1)[0]


def test_every_action_has_its_row_and_every_row_its_action() -> None:
    assert PROGRAMS
    assert ATTACKS.keys() ^ rows().keys() == set()
    assert len(ATTACKS) >= 90


def test_every_row_says_why_in_every_circumstance() -> None:
    for row in rows().values():
        assert row.held or "always" in row.open, row.name
        assert row.open.keys() <= CIRCUMSTANCES, row.name
        assert all(row.open.values()), row.name
        assert row.control in ("same", "owner", "root"), row.name
        assert row.evidence in ("said", "seen"), row.name
        assert (row.layer == "nothing") == ("always" in row.open), row.name


def test_the_page_on_security_counts_as_many() -> None:
    counts = {name: int(number) for name, number in re.findall(r"^\| ([^|]+?) \| (\d+) \|", section(), re.MULTILINE)}
    assert counts == by_layer()
    assert f"{len(rows())} hostile actions" in section()


def test_what_is_open_is_named_on_the_page() -> None:
    missing = [name for name, row in rows().items() if row.layer == "nothing" and f"`{name}`" not in section()]
    assert missing == []
