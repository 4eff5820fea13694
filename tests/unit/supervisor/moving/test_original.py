"""The original's files in and out: what it wrote comes out as it was, whatever was in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.config import Config
from supervisor.definitions.batch import Past
from supervisor.definitions.definition import Setting, define, setting_of
from supervisor.definitions.together import _summary
from supervisor.errors import InvalidError
from supervisor.models import NEVER, CronJob, CronRun
from supervisor.moving import arrival, departure
from supervisor.moving.gojson import go_text, go_time, read_time
from supervisor.moving.note import Note
from supervisor.moving.original import JOB_KEYS, RUN_KEYS, read_jobs, read_runs
from supervisor.reports.shown import with_history
from supervisor.status import Status
from supervisor.stores.home import Home
from tests.fakes import NOON, make_run

GOLDEN = Path(__file__).parent / "golden"
SETTING = setting_of(Home(Path("/nowhere/cronward")), Config())
AROUND = departure.Surroundings(SETTING.host_zone, lambda _agent: False, lambda path: path)
WISH = arrival.Wish("local", resumes=False)

JOB = {
    "id": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "cron_expr": "0 */30 * * * *",
    "prompt": "Audit <logs> & tell",
    "type": "light",
    "timeout_mins": 30,
    "retries": 3,
    "retry_delay": 1_000_000_000,
    "output_format": "text",
    "enabled": True,
    "silent": False,
    "notify_on": None,
    "created_by": "ada",
    "created_at": "2026-03-22T09:00:00.123456789+05:45",
    "last_run": "0001-01-01T00:00:00Z",
    "next_run": "0001-01-01T00:00:00Z",
    "run_count": 0,
}
RUN = {
    "id": "11111111-7425-40de-944b-e07fc1f90ae7",
    "job_id": JOB["id"],
    "started_at": "2026-03-22T10:00:00.5-03:30",
    "finished_at": "2026-03-22T10:00:01.500000007-03:30",
    "duration": 1_000_000_007,
    "status": "completed",
    "retry_count": 0,
}


def as_go(kind: str, records: Sequence[dict[str, Any]] | None) -> bytes:
    """As `json.MarshalIndent` would write it, by other means than ours."""
    text = json.dumps({"version": 1, kind: records}, indent=2, ensure_ascii=False)
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text.encode()


def moved(
    jobs: bytes, runs: bytes, setting: Setting = SETTING, keep: int = 100
) -> tuple[list[CronJob], dict[str, list[CronRun]], departure.Archive]:
    """What there is here after an import."""
    files = read_jobs(jobs), read_runs(runs)
    entries, notes = arrival.entries(files[0], WISH)
    pasts, more = arrival.histories(*files)
    assert [note for note in (*notes, *more) if note.refused] == []
    by_id: dict[str, Past] = {past.job_id: past for past in pasts}
    ours = []
    for entry in entries:
        job = define(entry.draft, setting, NOON)
        if entry.created_at is not None:
            job = job.model_copy(update={"created_at": entry.created_at})
        ours.append(with_history(job, _summary(by_id.get(job.id, Past(job_id=job.id))), NOON))
    kept = {past.job_id: list(past.runs)[-keep:] for past in pasts}
    return ours, kept, departure.Archive([files[0]], [files[1]])


def left(jobs: bytes, runs: bytes) -> departure.Left:
    ours, kept, archive = moved(jobs, runs)
    return departure.depart(ours[::-1], kept, archive, AROUND)


ZONES = st.sampled_from(["Z", "+05:45", "-03:30", "+00:00", "-00:00", "+14:00", "-12:00"])
FRACTIONS = st.one_of(st.just(""), st.integers(1, 999_999_999).map(lambda n: f".{n:09}".rstrip("0")))
ZERO = st.sampled_from(["0001-01-01T00:00:00Z", "0001-01-01T08:05:43+08:05"])
TIMES = st.one_of(
    ZERO,
    st.builds(
        lambda at, fraction, zone: f"{at:%Y-%m-%dT%H:%M:%S}{fraction}{zone}",
        st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)),
        FRACTIONS,
        ZONES,
    ),
)
WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
PROMPTS = st.text(st.sampled_from('ab <>&"\\/é\u2028\U0001f600\n\t%'), min_size=1, max_size=30).map(lambda t: f"x{t}")
JOBS = st.fixed_dictionaries(
    {
        **{key: st.just(value) for key, value in JOB.items()},
        "cron_expr": st.sampled_from(["0 0 7 * * *", "@daily", "@every 1h30m", "CRON_TZ=Asia/Tokyo 0 0 9 * * 1-5"]),
        "prompt": PROMPTS,
        "type": st.sampled_from(["light", "medium", "resource-intensive", ""]),
        "timeout_mins": st.integers(0, 600),
        "retries": st.integers(0, 20),
        "retry_delay": st.integers(0, 86_400 * 10**9),
        "output_format": st.sampled_from(["text", "json", "structured", ""]),
        "enabled": st.booleans(),
        "notify_on": st.sampled_from([None, [], ["failed"], ["completed", "canceled"]]),
        "created_at": TIMES,
        "last_run": TIMES,
        "next_run": TIMES,
        "run_count": st.integers(0, 10**6),
    },
    optional={
        "session_key": st.just("ops"),
        "output_schema": st.just('{"type": "object"}'),
        "last_error": WORDS.filter(bool),
        "on_fail": st.just("https://example.org/hook?a=1&b=2"),
    },
)
RUNS = st.fixed_dictionaries(
    {
        **{key: st.just(value) for key, value in RUN.items()},
        "started_at": TIMES,
        "finished_at": TIMES,
        "duration": st.integers(0, 10**15),
        "status": st.sampled_from(["completed", "failed", "canceled"]),
        "retry_count": st.integers(0, 20),
    },
    optional={"error": WORDS.filter(bool), "response": WORDS.filter(bool)},
)

ENDINGS = st.sampled_from(["", "\n"])


def in_order(record: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: record[key] for key in keys if key in record}


@given(st.lists(JOBS, max_size=4), st.lists(st.tuples(RUNS, st.integers(0, 5)), max_size=6), ENDINGS)
def test_what_the_original_wrote_is_written_as_it_was(
    jobs: list[dict[str, Any]], runs: list[tuple[dict[str, Any], int]], ending: str
) -> None:
    named = [in_order({**job, "id": f"job-{9 - at}"}, JOB_KEYS) for at, job in enumerate(jobs)]
    told = [
        in_order({**run, "id": f"run-{at}", "job_id": f"job-{9 - of}"}, RUN_KEYS) for at, (run, of) in enumerate(runs)
    ]
    first, second = as_go("jobs", named) + ending.encode(), as_go("runs", told) + ending.encode()
    found = left(first, second)
    assert (found.jobs.encode(), found.runs.encode()) == (first, second)


@pytest.mark.parametrize("name", ["fresh", "emptied", "zoned", "historic", "worded", "edged", "full"])
def test_what_gos_own_json_wrote_is_written_as_it_was(name: str) -> None:
    """The samples of golden/make.go.txt."""
    jobs, runs = ((GOLDEN / name / f"{kind}.json").read_bytes() for kind in ("jobs", "runs"))
    found = left(jobs, runs)
    assert (found.jobs.encode(), found.runs.encode()) == (jobs, runs)


def test_files_of_nothing_are_written_as_they_were() -> None:
    for empty in ([], None):
        found = left(as_go("jobs", empty), as_go("runs", empty))
        assert (found.jobs.encode(), found.runs.encode()) == (as_go("jobs", empty), as_go("runs", empty))


def test_a_text_is_escaped_as_go_does_and_what_was_escaped_otherwise_stays_so() -> None:
    assert go_text('\x01\b\x7f"\\/<é\u2028\ud800') == '"\\u0001\\b\x7f\\"\\\\/\\u003cé\\u2028\\ufffd"'
    assert go_text("<&>\u2029\n\t\r") == r'"\u003c\u0026\u003e\u2029\n\t\r"'
    data = as_go("jobs", [JOB]).replace(b"Audit", b"Audit \\ufffd \\u0062")
    assert left(data, as_go("runs", [])).jobs.encode() == data


def test_what_was_changed_here_is_written_anew_and_nothing_else() -> None:
    data = as_go("jobs", [{**JOB, "next_run": "2026-03-23T09:30:00.1+01:00"}])
    (job,), kept, archive = moved(data, as_go("runs", [RUN]))
    paused = job.model_copy(update={"enabled": False, "next_run": NEVER, "timeout_secs": 90})
    record = json.loads(departure.depart([paused], kept, archive, AROUND).jobs)["jobs"][0]
    wanted = {"enabled": False, "next_run": "0001-01-01T00:00:00Z", "timeout_mins": 2}
    assert record == {**JOB, **wanted}
    edited = job.model_copy(update={"cron_expr": "30 7 * * *", "timezone": "Asia/Tokyo"})
    record = json.loads(departure.depart([edited], kept, archive, AROUND).jobs)["jobs"][0]
    assert record["cron_expr"] == "CRON_TZ=Asia/Tokyo 0 30 7 * * *"
    assert record["created_at"] == JOB["created_at"]


def test_new_runs_follow_those_that_were_imported_and_count() -> None:
    (job,), kept, archive = moved(as_go("jobs", [{**JOB, "run_count": 7}]), as_go("runs", [RUN]))
    begun = NOON + timedelta(microseconds=250_000)
    facts = {"job_id": job.id, "status": Status.COMPLETED, "started_at": begun, "finished_at": begun, "response": "ok"}
    new, skipped = make_run(**facts), make_run(id="skipped", job_id=job.id, status=Status.SKIPPED)
    ran = job.model_copy(update={"run_count": 8, "last_run": begun})
    found = departure.depart([ran], {job.id: [new, *kept[job.id], skipped]}, archive, AROUND)
    runs = json.loads(found.runs)["runs"]
    assert runs[0] == RUN
    assert (runs[1]["id"], runs[1]["started_at"], runs[1]["response"]) == (new.id, "2026-11-24T12:00:00.25Z", "ok")
    assert json.loads(found.jobs)["jobs"][0]["run_count"] == 8
    assert json.loads(found.jobs)["jobs"][0]["last_run"] == go_time(begun)
    assert Note("runs", "1 that are not over, or were skipped or are unknown, are left out.") in found.notes


def test_of_each_job_the_newest_hundred_runs_are_written() -> None:
    ended = [NOON + timedelta(seconds=at) for at in range(103)]
    ours = [make_run(id=f"run-{at}", status=Status.FAILED, finished_at=end) for at, end in enumerate(ended)]
    found = departure.depart([], {ours[0].job_id: ours[::-1]}, departure.Archive(), AROUND)
    assert [run["id"] for run in json.loads(found.runs)["runs"]] == [f"run-{at}" for at in range(3, 103)]


def test_what_the_original_has_no_place_for_is_told() -> None:
    job = define({"name": "n", "cron_expr": "0 7 * * *", "prompt": "x", "overlap": "queue"}, SETTING, NOON)
    once = define({"at": "2027-01-01T00:00:00Z", "prompt": "x"}, SETTING, NOON)
    found = departure.depart([job, once], {}, departure.Archive(), AROUND)
    assert [record["cron_expr"] for record in json.loads(found.jobs)["jobs"]] == ["0 0 7 * * *"]
    assert "name, overlap" in found.notes[0].text
    assert found.notes[1].refused


def test_a_time_is_read_to_the_microsecond_and_the_zero_time_is_never() -> None:
    for text, wanted in {
        "0001-01-01T00:00:00Z": NEVER,
        "0001-01-01T08:05:43+08:05": NEVER,
        "2026-03-22T09:00:00.123456789+05:45": datetime(2026, 3, 22, 3, 15, 0, 123456, tzinfo=UTC),
    }.items():
        assert read_time(text) == wanted, text
    for text in ("", "2026-13-01T00:00:00Z", "2026-03-22 09:00:00Z", "9999-12-31T23:59:59-12:00", 5, None, "x" * 10**6):
        with pytest.raises(InvalidError, match="time"):
            read_time(text)


def test_bad_files_are_a_sentence() -> None:
    whole = as_go("jobs", [JOB])
    table = {
        b"": "not JSON",
        b"\xff\xfe": "not UTF-8",
        b"\x00" * 100: "not JSON",
        b"[" * 200_000: "nested|not JSON",
        b'{"version": 1, "jobs": ' + b"[" * 200_000 + b"]" * 200_000 + b"}": "nested",
        b"[]": "not JSON",
        b'{"version": 2, "jobs": []}': "version 2",
        b'{"version": true, "jobs": []}': "version True",
        b'{"version": 1}': "no list of jobs",
        b'{"version": 1, "jobs": {}}': "something else",
        b'{"version": 1, "jobs": [1]}': "something else",
        b'{"version": 1, "jobs": [], "jobs": []}': "twice",
        b'{"version": 1, "jobs": []} x': "goes on",
        whole[:-30]: "not JSON",
        as_go("jobs", [{**JOB, "id": 5}]): "no id",
        as_go("jobs", [JOB, JOB]): "another's already",
        as_go("jobs", [{**JOB, "enabled": "yes"}]): "enabled is 'yes', and no truth",
        as_go("jobs", [{**JOB, "retries": 1.5}]): "retries is 1.5",
        as_go("jobs", [{**JOB, "retries": True}]): "retries is True",
        as_go("jobs", [{**JOB, "notify_on": [1]}]): "notify_on",
        whole.replace(b'"retries": 3', b'"retries": ' + b"9" * 5000): "5000 digits",
        whole.replace(b'"retries": 3', b'"retries": NaN'): "NaN",
    }
    for data, words in table.items():
        with pytest.raises(InvalidError, match=words):
            read_jobs(data)


def test_a_record_that_cannot_come_is_refused_by_itself() -> None:
    runs = [
        {**RUN, "id": name, **bad}
        for name, bad in {
            "a": {"status": "running"},
            "b": {"job_id": "../x"},
            "c": {"started_at": "soon"},
            "d": {"retry_count": -1},
        }.items()
    ]
    found, notes = arrival.histories(read_jobs(as_go("jobs", [JOB])), read_runs(as_go("runs", [*runs, RUN])))
    assert [(note.label, note.refused) for note in notes[:3]] == [(f"run {name}", True) for name in "abc"]
    assert [run.id for past in found for run in past.runs if run.id != "d"] == [RUN["id"]]


def test_what_is_not_carried_is_said() -> None:
    odd = {**JOB, "session_key": "ops", "output_schema": "{}", "colour": "red"}
    entries, notes = arrival.entries(read_jobs(as_go("jobs", [odd])), arrival.Wish("local", False, disabled=True))
    assert [note.text.split()[0] for note in notes] == ["session_key", "output_schema", "the"]
    assert not {"session_key", "output_schema", "colour"} & set(entries[0].draft)
    assert entries[0].draft["enabled"] is False
