"""Prometheus's text: read back by a parser of the format's grammar, and what the figures are."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.reasons import Reason
from supervisor.budgets.spendings import Spent
from supervisor.reports.exposition import Family, Sample, lines
from supervisor.reports.metrics import Measured, families
from supervisor.status import Status
from supervisor.stores.measures import Measures, Sum
from supervisor.stores.summary import Summary
from tests.fakes import NOON, make_job

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
LINE = re.compile(rf"({NAME})(?:\{{(.*)\}})? ([^ ]+)")
VALUES = {"+Inf": math.inf, "-Inf": -math.inf, "NaN": math.nan}
Parsed = dict[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Parsed:
    """As the exposition format's grammar has it; a family stands together, after its own HELP and TYPE."""
    found: Parsed = {}
    seen: set[str] = set()
    family, kind = "", ""
    assert text.endswith("\n")
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            assert re.fullmatch(NAME, family)
            assert family not in seen, f"{family} stands in two places"
            assert not re.search(r"\\(?![\\n])", line.replace("\\\\", ""))
            seen.add(family)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family
            assert kind in ("counter", "gauge", "summary")
        else:
            read_sample(line, family, kind, found)
    return found


def read_sample(line: str, family: str, kind: str, found: Parsed) -> None:
    match = LINE.fullmatch(line)
    assert match is not None, line
    name, inside, value = match[1], match[2] or "", match[3]
    assert name in ((f"{family}_sum", f"{family}_count") if kind == "summary" else (family,)), line
    assert kind != "counter" or name.endswith("_total"), line
    labels = LABEL.findall(inside)
    assert ",".join(f'{key}="{text}"' for key, text in labels) == inside, line
    plain = frozenset((key, re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), text)) for key, text in labels)
    assert (name, plain) not in found, f"twice: {line}"
    found[name, plain] = VALUES[value] if value in VALUES else float(value)


def written(*made: Family) -> str:
    return "".join(f"{line}\n" for line in lines(made))


@given(st.text(max_size=30), st.text(max_size=30), st.floats())
def test_whatever_a_label_holds_comes_back_or_is_replaced_in_length(label: str, meaning: str, value: float) -> None:
    text = written(Family("cronward_x_total", "counter", meaning, (Sample(value, {"job": label}),)))
    assert len(text.split("\n")) == 4
    ((_, labels), found) = next(iter(parsed(text).items()))
    back = dict(labels)["job"]
    assert len(back) == len(label)
    assert all(one in (other, "\ufffd") for one, other in zip(back, label, strict=True))
    assert found == value or (math.isnan(found) and math.isnan(value))


def test_what_acts_on_terminals_is_replaced_and_ordinary_text_is_not() -> None:
    text = written(Family("x", "gauge", "m", (Sample(1, {"job": 'Grüße, "ß"\\ \x1b[2J\u202e\n{a="b"} 1'}),)))
    assert 'job="Grüße, \\"ß\\"\\\\ \ufffd[2J\ufffd\\n{a=\\"b\\"} 1"' in text


def of_a_night() -> list[Family]:
    job = make_job(name="morning")
    measures = Measures(
        started=5,
        ended={"ok": 3, "timeout_wall": 1, "overlap": 2, "of_a_later_version": 1},
        lateness=Sum(count=4, seconds=2.5),
        durations=Sum(count=4, seconds=240.0),
        last_success=NOON,
    )
    spent = {
        "2026-11-24": {"claude": Spent(runs=1, input_tokens=10, output_tokens=5, cost_usd=0.5)},
        "2026-10": {"claude": Spent(runs=1, cost_usd=0.25), "codex": Spent(input_tokens=1)},
    }
    summary = Summary(failures_in_a_row=2, last_end=NOON + timedelta(hours=1), spent=spent, measures=measures)
    live: dict[str, Any] = {
        "running": 2,
        "max_concurrent": 4,
        "queue": [{"scheduled_at": (NOON - timedelta(minutes=m)).isoformat()} for m in (1, 3)],
        "next_due": NOON.isoformat(),
        "damaged": [],
    }
    measured = [Measured(job.id, job, summary, 1), Measured("gone", None, Summary(), 0)]
    return list(families([job, make_job(enabled=False)], measured, live, NOON))


def test_the_figures_are_those_of_the_stores_and_the_supervisor() -> None:
    found = {
        name + str(sorted(dict(labels).items())): value
        for (name, labels), value in parsed(written(*of_a_night())).items()
    }
    me = f"('job', 'morning'), ('job_id', '{make_job().id}')"
    expected = {
        "cronward_up[]": 1,
        "cronward_jobs[('enabled', 'true')]": 1,
        "cronward_jobs[('enabled', 'false')]": 1,
        "cronward_running[]": 2,
        "cronward_queued[]": 2,
        "cronward_queued_oldest_seconds[]": 180,
        "cronward_next_due_timestamp_seconds[]": NOON.timestamp(),
        f"cronward_runs_due_total[{me}]": 8,
        f"cronward_runs_started_total[{me}]": 5,
        f"cronward_runs_ended_total[{me}, ('reason', 'ok'), ('status', 'completed')]": 3,
        f"cronward_runs_ended_total[{me}, ('reason', 'overlap'), ('status', 'skipped')]": 2,
        f"cronward_runs_ended_total[{me}, ('reason', 'timeout_wall'), ('status', 'failed')]": 1,
        f"cronward_runs_ended_total[{me}, ('reason', 'of_a_later_version'), ('status', '')]": 1,
        f"cronward_run_lateness_seconds_sum[{me}]": 2.5,
        f"cronward_run_duration_seconds_count[{me}]": 4,
        f"cronward_last_success_timestamp_seconds[{me}]": NOON.timestamp(),
        f"cronward_failures_in_a_row[{me}]": 2,
        f"cronward_cost_usd_total[('agent', 'claude'), {me}]": 0.75,
        f"cronward_tokens_total[('agent', 'claude'), {me}, ('kind', 'output')]": 5,
        "cronward_runs_due_total[('job', ''), ('job_id', 'gone')]": 0,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert "cronward_last_success_timestamp_seconds[('job', ''), ('job_id', 'gone')]" not in found


def test_without_a_supervisor_the_stores_still_speak() -> None:
    found = {name for name, _ in parsed(written(*families([], [Measured("j", None, Summary(), 0)], None, None)))}
    assert {"cronward_up", "cronward_jobs", "cronward_runs_started_total"} <= found
    assert not found & {"cronward_running", "cronward_queued", "cronward_last_sign_timestamp_seconds"}


def test_every_reason_has_its_status() -> None:
    summary = Summary(measures=Measures(ended={reason.value: 1 for reason in Reason}))
    found = parsed(written(*families([], [Measured("j", None, summary, 0)], None, None)))
    states = {dict(labels)["status"] for name, labels in found if name == "cronward_runs_ended_total"}
    assert states == {status.value for status in Status if status.final}
