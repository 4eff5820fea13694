"""The store of runs: every transition durable, history bounded, counts for ever, and no damage taken for nothing."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.reasons import Reason
from supervisor.errors import InvalidError, NotFoundError
from supervisor.models import Trigger
from supervisor.status import Status, TransitionError
from supervisor.stores.home import Home
from supervisor.stores.runs import RunsStore
from supervisor.stores.summary import Summary
from tests.fakes import NOON, make_run
from tests.ramdisk import FAST
from tests.records import JOB, MINUTE, file_of, ids, run_of


@pytest.fixture
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(dir=FAST) as root:
        yield Home(Path(root) / "h")


@pytest.fixture
def store(home: Home) -> RunsStore:
    return RunsStore(home)


def test_a_run_is_on_disk_when_record_returns(store: RunsStore, home: Home) -> None:
    run = run_of(1, Status.QUEUED)
    for state in (run, run.moved(Status.RUNNING, started_at=NOON), run.moved(Status.RUNNING, attempt=2)):
        store.record(state)
        assert RunsStore(home).get_runs(JOB) == [state]
    lines = file_of(home).read_text().splitlines()
    assert [json.loads(line).get("status") for line in lines] == [None, "queued", "running", "running"]
    assert file_of(home).stat().st_mode & 0o777 == 0o600


def test_the_seeds_name_does_the_same(store: RunsStore, home: Home) -> None:
    store.add_run(run_of(1))
    assert ids(RunsStore(home).get_runs(JOB)) == ["run-0001"]


def test_the_newest_comes_first_and_last_and_status_choose_among_them(store: RunsStore) -> None:
    for number in range(6):
        store.record(run_of(number, Status.FAILED if number % 2 else Status.COMPLETED))
    assert ids(store.get_runs(JOB)) == [f"run-{number:04}" for number in (5, 4, 3, 2, 1, 0)]
    assert ids(store.get_runs(JOB, last=2)) == ["run-0005", "run-0004"]
    assert ids(store.get_runs(JOB, last=2, status=Status.COMPLETED)) == ["run-0004", "run-0002"]
    assert store.get_runs(JOB, last=0) == store.get_runs(JOB, last=-1) == store.get_runs("nobody") == []


def test_the_run_that_ended_last_is_neither_a_skip_nor_one_that_goes_on(store: RunsStore) -> None:
    assert store.last_ended(JOB) is None
    first, second = run_of(1, Status.RUNNING), run_of(2, Status.RUNNING)
    for state in (first, second, second.moved(Status.FAILED, reason=Reason.AGENT_ERROR)):
        store.record(state)
    assert ids([store.last_ended(JOB)]) == ["run-0002"]
    store.record(first.moved(Status.COMPLETED, reason=Reason.OK))
    store.record(run_of(3, Status.RUNNING))
    store.record(run_of(4, Status.RUNNING).moved(Status.SKIPPED, reason=Reason.NOTHING_TO_DO))
    store.record(make_run(id="run-0005", job_id=JOB).moved(Status.CANCELED, reason=Reason.CANCELED_BY_USER))
    assert ids([store.last_ended(JOB)]) == ["run-0001"], "it began first and ended last"


def test_of_runs_that_began_at_once_the_later_record_comes_first(store: RunsStore) -> None:
    for name in ("a", "b", "c"):
        store.record(make_run(id=f"run-{name}"))
    assert ids(store.get_runs(JOB)) == ids(store.all_runs()) == ["run-c", "run-b", "run-a"]


def test_the_runs_of_all_jobs_come_newest_first(store: RunsStore) -> None:
    for number in range(6):
        store.record(run_of(number, Status.FAILED if number % 2 else Status.COMPLETED, job_id=f"job{number % 3}"))
    assert ids(store.all_runs()) == [f"run-{number:04}" for number in (5, 4, 3, 2, 1, 0)]
    assert ids(store.all_runs(last=3)) == ["run-0005", "run-0004", "run-0003"]
    assert ids(store.all_runs(last=2, status=Status.FAILED)) == ["run-0005", "run-0003"]
    assert set(store.job_ids()) == {"job0", "job1", "job2"}


def test_only_so_many_runs_of_each_job_are_kept(home: Home) -> None:
    store = RunsStore(home, keep=3)
    for number in range(20):
        store.record(run_of(number, job_id="a"))
        store.record(run_of(number + 100, job_id="b"))
    for reader in (store, RunsStore(home, keep=3)):
        assert ids(reader.get_runs("a")) == ["run-0019", "run-0018", "run-0017"]
        assert len(reader.all_runs()) == 6
        assert reader.summary("a").run_count == 20


def test_skips_never_push_runs_out(home: Home) -> None:
    store = RunsStore(home, keep=2)
    for number in (1, 2):
        store.record(run_of(number))
    for number in range(10, 40):
        store.record(run_of(number, Status.SKIPPED, reason=Reason.OVERLAP))
    for reader in (store, RunsStore(home, keep=2)):
        assert ids(reader.get_runs(JOB)) == ["run-0039", "run-0038", "run-0002", "run-0001"]


def test_a_live_run_is_never_dropped_nor_is_one_that_has_just_ended(home: Home) -> None:
    store = RunsStore(home, keep=2)
    long = run_of(0, Status.RUNNING)
    store.record(long)
    for number in range(1, 80):
        store.record(run_of(number))
    assert ids(RunsStore(home, keep=2).get_runs(JOB)) == ["run-0079", "run-0078", "run-0000"]
    store.record(long.moved(Status.COMPLETED))
    assert ids(RunsStore(home, keep=2).get_runs(JOB)) == ["run-0079", "run-0000"]


def test_a_flood_of_transitions_takes_bounded_disk(home: Home) -> None:
    store = RunsStore(home, keep=5)
    sizes = []
    for number in range(150):
        store.record(run_of(number, response="x" * 100))
        sizes.append(file_of(home).stat().st_size)
    line = len(json.dumps(run_of(0, response="x" * 100).record()))
    assert max(sizes) < 4 * 16 * line * 1.2
    assert sizes[-1] < max(sizes)
    assert store.summary(JOB).run_count == RunsStore(home).summary(JOB).run_count == 150


def test_what_is_unfinished_is_found_in_all_jobs(store: RunsStore, home: Home) -> None:
    for number, status in enumerate(Status):
        store.record(run_of(number, status, job_id=f"job{number % 3}"))
    found = {run.status for run in RunsStore(home).unfinished()}
    assert found == {Status.QUEUED, Status.RUNNING, Status.STOPPING}


def test_a_run_is_found_by_its_id_or_the_beginning_of_it(store: RunsStore, home: Home) -> None:
    store.record(run_of(1, job_id="a"))
    store.record(run_of(12, job_id="b"))
    store.record(make_run(id="run-00", job_id="b"))
    for reader in (store, RunsStore(home)):
        assert reader.get("run-0001").job_id == "a"
        assert reader.get("run-001").id == "run-0012"
        assert reader.get("run-00").id == "run-00"
        with pytest.raises(InvalidError, match="may mean"):
            reader.get("run-0")
        for nothing in ("", "run", "run-9", "../x", "\x1b" * 1000):
            with pytest.raises(NotFoundError) as error:
                reader.get(nothing)
            assert str(error.value).isprintable()


@pytest.mark.parametrize("job_id", ["", "../jobs/a", "/etc/passwd", "a/b", ".", "x" * 100, "a\n"])
def test_what_is_no_id_reaches_no_file(store: RunsStore, job_id: str) -> None:
    for ask in (store.get_runs, store.summary):
        with pytest.raises(InvalidError):
            ask(job_id)


def test_a_run_that_ended_does_not_become_anything_else(store: RunsStore) -> None:
    done = run_of(1)
    store.record(done)
    with pytest.raises(TransitionError, match="completed and cannot become running"):
        store.record(run_of(1, Status.RUNNING))
    noted = done.noted(left_behind=3)
    store.record(noted)
    assert store.get_runs(JOB) == [noted]
    assert store.summary(JOB).run_count == 1


def test_what_a_history_comes_to(store: RunsStore) -> None:
    assert store.summary(JOB) == Summary()
    store.record(run_of(1, error="no", status=Status.FAILED, reason=Reason.AGENT_ERROR))
    store.record(run_of(2, status=Status.FAILED, reason=Reason.TIMEOUT_WALL, error="slow"))
    store.record(run_of(3, status=Status.SKIPPED, reason=Reason.OVERLAP, error="skipped"))
    store.record(run_of(9, status=Status.CANCELED, trigger=Trigger.MANUAL, reason=Reason.CANCELED_BY_USER, error="c"))
    store.record(run_of(4, status=Status.QUEUED, trigger=Trigger.CATCH_UP))
    assert store.summary(JOB) == Summary(
        run_count=3,
        last_scheduled=NOON + 4 * MINUTE,
        failures_in_a_row=2,
        last_run=NOON + 9 * MINUTE,
        last_status=Status.CANCELED,
        last_reason=Reason.CANCELED_BY_USER,
        last_error="c",
        measures=store.summary(JOB).measures,
    )
    measures = store.summary(JOB).measures
    assert measures.ended == {"agent_error": 1, "timeout_wall": 1, "overlap": 1, "canceled_by_user": 1}
    assert (measures.started, measures.lateness.count, measures.durations.count) == (3, 2, 3)
    store.record(run_of(5, reason=Reason.OK))
    assert (store.summary(JOB).failures_in_a_row, store.summary(JOB).last_error) == (0, "")


def test_what_is_noted_of_a_failure_later_is_not_another_failure(store: RunsStore) -> None:
    failed = run_of(1, Status.FAILED, error="first")
    for run in (failed, run_of(2, Status.FAILED, error="second"), failed.noted(left_behind=1)):
        store.record(run)
    assert (store.summary(JOB).failures_in_a_row, store.summary(JOB).last_error) == (2, "second")


def test_a_run_that_turns_out_to_be_a_skip_does_not_count(store: RunsStore) -> None:
    run = run_of(1, Status.RUNNING)
    store.record(run)
    assert store.summary(JOB).run_count == 1
    store.record(run.moved(Status.SKIPPED, reason=Reason.NOTHING_TO_DO))
    assert store.summary(JOB).run_count == 0


def test_an_answer_cannot_steer_the_terminal_of_who_looks(store: RunsStore, home: Home) -> None:
    answer = "\x1b]0;owned\x07\u202e é \x9b31m"
    store.record(run_of(1, response=answer))
    data = file_of(home).read_bytes()
    assert data.isascii()
    assert all(byte >= 32 or byte == 10 for byte in data)
    assert store.get_runs(JOB)[0].response == answer


def test_half_a_surrogate_pair_does_not_cost_a_run_its_end(store: RunsStore, home: Home) -> None:
    store.record(run_of(1, response="half \ud83d a pair"))
    assert RunsStore(home).get_runs(JOB)[0].response == "half ? a pair"


def test_what_is_mended_of_a_record_is_mended_in_all_that_it_comes_to(home: Home) -> None:
    store = RunsStore(home, keep=1)
    store.record(run_of(0, Status.FAILED, reason=Reason.AGENT_ERROR, error="half \ud83d a pair"))
    assert store.summary(JOB).last_error == RunsStore(home).summary(JOB).last_error == "half ? a pair"
    for number in range(1, 100):
        store.record(run_of(number, Status.SKIPPED, reason=Reason.OVERLAP))
    header, *lines = file_of(home).read_bytes().splitlines()
    assert len(lines) < 100, "it was compacted"
    assert b'"last_error":"half ? a pair"' in header


def test_a_record_that_no_reader_would_take_is_refused(store: RunsStore) -> None:
    with pytest.raises(InvalidError, match="bytes"):
        store.record(run_of(1, response="x" * (5 << 20)))
    assert store.get_runs(JOB) == []


def test_a_job_that_is_removed_keeps_its_history(store: RunsStore) -> None:
    store.record(run_of(1))
    store.forget(JOB)
    assert ids(store.get_runs(JOB)) == ["run-0001"]


def test_another_processs_records_are_seen_at_the_next_question(store: RunsStore, home: Home) -> None:
    store.record(run_of(1))
    for number in range(2, 70):
        RunsStore(home, keep=5).record(run_of(number))
        assert store.get_runs(JOB, last=1)[0].id == f"run-{number:04}"
        assert store.summary(JOB).run_count == number
