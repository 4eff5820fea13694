"""Rows taken from the test suites of robfig/cron, cronsim, Nomad and Kubernetes: tables/*.json, each row with its id.

One test a table, which lists every row that fails. What a table leaves out, and why, stands in the table.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pytest

from supervisor.timing.cronfields import Field, parse_field
from supervisor.timing.schedule import Schedule, ScheduleError, parse

Row = dict[str, Any]


def rows(table: str) -> list[Row]:
    path = Path(__file__).parent / "tables" / f"{table}.json"
    found: list[Row] = json.loads(path.read_text())["rows"]
    assert found
    return found


def instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def made(row: Row, dst: Literal["once", "exact"]) -> Schedule:
    zone = row.get("tz")
    named = zone is not None and not zone.startswith("+") and not row["expr"].startswith(("TZ=", "CRON_TZ="))
    return parse(row["expr"], timezone=zone if named else None, dst=dst)


def refused(row: Row) -> bool:
    try:
        made(row, "once")
    except ScheduleError:
        return True
    return False


def right(row: Row, dst: Literal["once", "exact"]) -> bool:
    if row.get("error") or row.get("never"):
        return refused(row)
    schedule, moment, answers = made(row, dst), instant(row["start"]), []
    for _ in row.get("next", "x"):
        due = schedule.next(moment)
        assert due is not None
        answers.append(due.astimezone(UTC))
        moment = due
    if "not" in row:
        return answers[0] != instant(row["not"])
    return answers == [instant(text).astimezone(UTC) for text in row["next"]]


@pytest.mark.parametrize(
    ("table", "dst"),
    [
        ("robfig_next", "exact"),
        ("robfig_edges", "exact"),
        ("robfig_errors", "exact"),
        ("robfig_every", "exact"),
        ("nomad_dst", "exact"),
        ("cronsim", "once"),
    ],
)
def test_every_row_is_answered_as_its_source_expects(table: str, dst: Literal["once", "exact"]) -> None:
    assert [row["id"] for row in rows(table) if not right(row, dst)] == []


def test_rows_in_a_zone_of_their_own_are_answered_without_a_named_zone_too() -> None:
    """The zone of `after` takes the place of the name."""
    checked = 0
    for row in rows("robfig_next") + rows("nomad_dst"):
        if "next" not in row or "/" not in (row["tz"] or "") or row["expr"].startswith(("TZ=", "CRON_TZ=")):
            continue
        zone = ZoneInfo(row["tz"])
        answer = parse(row["expr"], dst="exact").next(instant(row["start"]).astimezone(zone))
        assert answer is not None
        assert (answer.tzinfo, answer.isoformat()) == (zone, row["next"][0]), row["id"]
        checked += 1
    assert checked == 27


def test_kubernetes_rows_are_answered() -> None:
    wrong = []
    for row in rows("kubernetes"):
        fine = newest(row) == row["newest"] if "newest" in row else right(row, "exact")
        if not fine:
            wrong.append(row["id"])
    assert wrong == []


def newest(row: Row) -> str | None:
    schedule, now = made(row, "exact"), instant(row["now"])
    found, moment = None, schedule.next(instant(row["earliest"]))
    while moment is not None and moment <= now:
        found, moment = moment, schedule.next(moment)
    return None if found is None else found.isoformat()


def test_fields_select_the_numbers_that_robfig_selects() -> None:
    names = ("second", "minute", "hour", "day", "month", "weekday")
    robfig = ("second", "minute", "hour", "dom", "month", "dow")
    wrong = []
    for row in rows("robfig_parse"):
        if "same_as" in row:
            ours, theirs = parse(" ".join(row["fields"])).fields, parse(" ".join(row["same_as"])).fields
            fine = all(getattr(ours, name).values == getattr(theirs, name).values for name in names)
        elif "every_seconds" in row:
            fine = parse(row["expr"]).every == timedelta(seconds=row["every_seconds"])
        else:
            schedule = parse(row["expr"])
            pairs = [(sorted(getattr(schedule.fields, n).values), row[r]) for n, r in zip(names, robfig, strict=True)]
            fine = schedule.timezone == row["tz"] and all(chosen == expected for chosen, expected in pairs)
        if not fine:
            wrong.append(row["id"])
    assert wrong == []


def test_single_fields_are_read_as_robfig_reads_them() -> None:
    wrong = []
    for row in rows("robfig_fields"):
        field = Field("test", row["min"], row["max"], ("jan", "feb") if "jan" in row["field"] else ())
        try:
            chosen = parse_field(row["field"], field)
        except ScheduleError:
            fine = row["error"]
        else:
            fine = not row["error"] and (sorted(chosen.values), chosen.starred) == (row["values"], row["star"])
        if not fine:
            wrong.append(row["id"])
    assert wrong == []


def test_no_row_of_a_table_is_lost() -> None:
    counts = {}
    for path in (Path(__file__).parent / "tables").glob("*.json"):
        table = json.loads(path.read_text())
        counts[path.stem] = (len(table["rows"]), len(table["left_out"]))
    assert counts == {
        "robfig_next": (91, 0),
        "robfig_every": (14, 0),
        "robfig_errors": (12, 1),
        "robfig_edges": (36, 2),
        "robfig_parse": (20, 8),
        "robfig_fields": (24, 0),
        "nomad_dst": (16, 0),
        "kubernetes": (24, 3),
        "cronsim": (364, 43),
    }
