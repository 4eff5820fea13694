"""The store of runs: every transition durable, history bounded, counts for ever, and no damage taken for nothing."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.reasons import Reason
from supervisor import history as history_module
from supervisor.errors import InvalidError, NotFoundError
from supervisor.home import Home
from supervisor.lock import HomeLock
from supervisor.models import ALLOWED, NEVER, CronRun, Status, TransitionError, Trigger
from supervisor.runs import RunsStore
from supervisor.store import DamagedError, NewerError
from supervisor.summary import Summary
from tests.fakes import NOON, make_run
from tests.ramdisk import FAST

JOB = make_run().job_id
MINUTE = timedelta(minutes=1)


@pytest.fixture
def home() -> Iterator[Home]:
    with tempfile.TemporaryDirectory(dir=FAST) as root:
        yield Home(Path(root) / "h")


@pytest.fixture
def store(home: Home) -> RunsStore:
    return RunsStore(home)


def run_of(number: int, status: Status = Status.COMPLETED, **fields: Any) -> CronRun:
    at = NOON + number * MINUTE
    started = {} if status in (Status.QUEUED, Status.SKIPPED) else {"started_at": at}
    facts = {"scheduled_at": at, "trigger": Trigger.SCHEDULE, **started, **fields}
    return make_run(id=f"run-{number:04}", status=status, **facts)


def ids(runs: list[CronRun]) -> list[str]:
    return [run.id for run in runs]


def file_of(home: Home, job_id: str = JOB) -> Path:
    return home.runs / f"{job_id}.jsonl"


@contextmanager
def eager_compaction() -> Iterator[None]:
    """Small files are compacted too, so that a short history meets what a long one meets."""
    history_module.SLACK, slack = 1, history_module.SLACK
    try:
        yield
    finally:
        history_module.SLACK = slack


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


def test_an_anchor_stays_through_reopening_and_compaction(home: Home) -> None:
    store = RunsStore(home, keep=2)
    store.set_anchor(JOB, NOON)
    before = file_of(home).stat()
    store.set_anchor(JOB, NOON)
    assert file_of(home).stat() == before
    assert (store.summary(JOB).anchor, store.get_runs(JOB)) == (NOON, [])
    assert RunsStore(home).summary(JOB).anchor == NOON
    for number in range(70):
        store.record(run_of(number))
    assert b'{"anchor"' not in file_of(home).read_bytes()
    assert RunsStore(home).summary(JOB).anchor == NOON
    store.set_anchor(JOB, NOON + MINUTE)
    assert RunsStore(home).summary(JOB).anchor == NOON + MINUTE


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
    )
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


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("torn", [b"{", b'{"id": "run-', b"\0" * 5000, json.dumps(run_of(9).record()).encode()])
def test_a_torn_last_line_is_dropped(store: RunsStore, home: Home, torn: bytes) -> None:
    store.record(run_of(1))
    whole = file_of(home).read_bytes()
    file_of(home).write_bytes(whole + torn)
    for reader in (store, RunsStore(home)):
        assert ids(reader.get_runs(JOB)) == ["run-0001"]
        assert reader.damaged == []
    store.record(run_of(2))
    assert file_of(home).read_bytes().startswith(whole + b'{"id":"run-0002"')
    assert ids(RunsStore(home).get_runs(JOB)) == ["run-0002", "run-0001"]


BAD_LINES = [b"", b"garbage", b"{}", b"[]", b'{"id": "x"}', b"\xff\xfe", b"\0" * 100, b'{"anchor": "x"}', b'{"anchor"}']


@pytest.mark.parametrize("bad", [*BAD_LINES, json.dumps(run_of(7, job_id="other").record()).encode()])
def test_a_damaged_line_is_kept_aside_and_the_good_ones_stay(home: Home, bad: bytes) -> None:
    store = RunsStore(home)
    for number in (1, 2):
        store.record(run_of(number))
    head, first, second = file_of(home).read_bytes().splitlines()
    damaged = b"\n".join([head, first, bad, second]) + b"\n"
    file_of(home).write_bytes(damaged)
    reader = RunsStore(home)
    assert ids(reader.get_runs(JOB)) == ["run-0002", "run-0001"]
    assert "damaged line: line 3" in reader.damaged[0].problem
    assert file_of(home).read_bytes() == damaged
    store.record(run_of(3))
    assert (home.damaged / f"{JOB}.jsonl.1").read_bytes() == damaged
    assert store.damaged[0].moved_to == home.damaged / f"{JOB}.jsonl.1"
    fresh = RunsStore(home)
    assert ids(fresh.get_runs(JOB)) == ["run-0003", "run-0002", "run-0001"]
    assert (fresh.summary(JOB).run_count, fresh.damaged) == (3, [])


@pytest.mark.parametrize("head", [b"", b"{}", b"garbage", b'{"version":1,"folded":0,"summary":{"run_count":"many"}}'])
def test_a_damaged_first_line_costs_the_counts_of_what_was_dropped_and_no_run(home: Home, head: bytes) -> None:
    store = RunsStore(home)
    store.record(run_of(1))
    store.record(run_of(2))
    lines = file_of(home).read_bytes().split(b"\n")
    file_of(home).write_bytes(b"\n".join([head, *lines[1:]]))
    assert len(store.quarantine()) == 1
    assert ids(store.get_runs(JOB)) == ["run-0002", "run-0001"]
    assert store.summary(JOB).run_count == 2
    assert store.quarantine() == []


def test_a_file_that_lost_its_first_line_keeps_its_first_run(home: Home) -> None:
    store = RunsStore(home)
    store.record(run_of(1))
    file_of(home).write_bytes(file_of(home).read_bytes().split(b"\n", 1)[1])
    assert ids(store.get_runs(JOB)) == ["run-0001"]
    assert len(store.quarantine()) == 1
    assert ids(RunsStore(home).get_runs(JOB)) == ["run-0001"]


def make_huge(path: Path) -> None:
    path.write_bytes(b"")
    os.truncate(path, 1 << 40)


HOPELESS: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "no line": lambda path: path.write_bytes(b"x" * 1000),
    "a fifo": os.mkfifo,
    "a directory": lambda path: path.mkdir(),
    "a link": lambda path: path.symlink_to("/etc/passwd"),
    "huge": make_huge,
}


@pytest.mark.parametrize("kind", HOPELESS)
def test_a_file_of_which_nothing_can_be_read_is_not_no_runs(home: Home, kind: str) -> None:
    store = RunsStore(home)
    store.record(run_of(1, job_id="good"))
    HOPELESS[kind](file_of(home))
    for ask in (store.get_runs, store.summary):
        with pytest.raises(DamagedError):
            ask(JOB)
    assert ids(store.all_runs()) == ["run-0001"]
    assert store.damaged[0].path == file_of(home)
    store.record(run_of(2))
    assert ids(store.get_runs(JOB)) == ["run-0002"]
    assert os.path.lexists(home.damaged / f"{JOB}.jsonl.1")
    assert store.damaged[0].moved_to == home.damaged / f"{JOB}.jsonl.1"


def test_a_newer_version_is_refused_and_left_alone(store: RunsStore, home: Home) -> None:
    store.record(run_of(1))
    newer = b'{"version":2}\nsomething else\n'
    file_of(home).write_bytes(newer)
    attempts: list[Callable[[], object]] = [
        *(store.all_runs, store.unfinished, store.quarantine, lambda: store.get_runs(JOB)),
        *(lambda: store.record(run_of(2)), lambda: store.set_anchor(JOB, NOON)),
    ]
    for attempt in attempts:
        with pytest.raises(NewerError):
            attempt()
    assert file_of(home).read_bytes() == newer
    assert not list(home.damaged.iterdir())


def test_a_line_beyond_all_bounds_is_one_damaged_line(home: Home) -> None:
    store = RunsStore(home)
    store.record(run_of(1))
    with file_of(home).open("ab") as file:
        file.write(b"x" * (9 << 20) + b"\n")
    store.record(run_of(2))
    assert ids(RunsStore(home).get_runs(JOB)) == ["run-0002", "run-0001"]
    assert file_of(home).stat().st_size < 10_000


def test_what_killed_writers_left_is_swept(store: RunsStore, home: Home) -> None:
    store.record(run_of(1))
    (home.runs / f".{JOB}.jsonl.x.tmp").write_bytes(b"x")
    assert ids(store.all_runs()) == ["run-0001"]
    assert store.quarantine() == []
    assert [path.name for path in home.runs.iterdir()] == [f"{JOB}.jsonl"]


def test_reading_a_home_that_is_not_there_makes_none(store: RunsStore, home: Home) -> None:
    assert (store.get_runs(JOB), store.all_runs(), store.unfinished(), store.summary(JOB)) == ([], [], [], Summary())
    assert not home.root.exists()


# --- against a model --------------------------------------------------------------------------------------------------

KEEP = 3
TORN = st.sampled_from([b"{", b"\0\0\0", b'{"id": "run-0001"', b"x" * 100])
Step = tuple[Any, ...]
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("new"), st.sampled_from(Status), st.sampled_from(Trigger), st.integers(0, 30)),
    st.tuples(st.just("move"), st.integers(0, 5), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("note"), st.integers(0, 5)),
    st.tuples(st.just("anchor"), st.integers(0, 3)),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("tear"), TORN),
)


@dataclass
class Model:
    """What the store promises, kept the long way: every record ever, and nothing worked out before it is asked."""

    records: list[CronRun] = field(default_factory=list)
    anchor: datetime = NEVER

    def latest(self) -> dict[str, CronRun]:
        """Each run's last record, in the order of those."""
        found: dict[str, CronRun] = {}
        for run in self.records:
            found.pop(run.id, None)
            found[run.id] = run
        return found

    def kept(self) -> list[CronRun]:
        runs = list(self.latest().values())
        ended = [run for run in runs if run.status.final and run.status is not Status.SKIPPED][-KEEP:]
        skips = [run for run in runs if run.status is Status.SKIPPED][-KEEP:]
        return [run for run in runs if not run.status.final or run in ended or run in skips]

    def newest_first(self) -> list[CronRun]:
        def began(run: CronRun) -> datetime:
            return run.started_at if run.started_at != NEVER else run.scheduled_at

        newest = self.kept()[::-1]  # of runs that began at once, the later record first
        return sorted(newest, key=began, reverse=True)

    def summary(self) -> Summary:
        ends: dict[str, CronRun] = {}
        for run in self.records:
            if run.status.final and run.status is not Status.SKIPPED:
                ends.setdefault(run.id, run)
        streak = 0
        for run in ends.values():
            streak = {Status.FAILED: streak + 1, Status.COMPLETED: 0}.get(run.status, streak)
        last = list(ends.values())[-1] if ends else None
        real = [run for run in self.records if run.started_at != NEVER and run.status is not Status.SKIPPED]
        latest = self.latest()
        return Summary(
            run_count=len({run.id for run in real if latest[run.id].status is not Status.SKIPPED}),
            last_scheduled=max((r.scheduled_at for r in self.records if r.trigger != Trigger.MANUAL), default=NEVER),
            anchor=self.anchor,
            failures_in_a_row=streak,
            last_run=max((run.started_at for run in real), default=NEVER),
            last_status=last.status if last else None,
            last_reason=last.reason if last else None,
            last_error=last.error if last else "",
        )


def next_record(model: Model, step: Step, number: int) -> CronRun | None:
    kept = model.kept()
    live = [run for run in kept if not run.status.final]
    match step:
        case ("new", Status() as status, Trigger() as trigger, int() as minute):
            return run_of(number, status, trigger=trigger, scheduled_at=NOON + minute * MINUTE, error=f"e{number}")
        case ("move", int() as which, int() as to, start) if live:
            run = live[which % len(live)]
            choices = sorted(ALLOWED[run.status])
            facts = {"started_at": NOON + number * MINUTE} if start and run.started_at == NEVER else {}
            return run.moved(choices[to % len(choices)], error=f"e{number}", **facts)
        case ("note", int() as which) if kept:
            return kept[which % len(kept)].noted(left_behind=number)
    return None


@given(st.lists(STEPS, min_size=10, max_size=60), st.booleans())
def test_a_store_is_always_what_its_records_come_to(steps: list[Step], hold: bool) -> None:
    model = Model()
    with tempfile.TemporaryDirectory(dir=FAST) as root, eager_compaction():
        home = Home(Path(root) / "h")
        home.create()
        lock = HomeLock(home)
        if hold:
            lock.acquire(1)
        store = RunsStore(home, keep=KEEP)
        for number, step in enumerate(steps):
            run = next_record(model, step, number)
            if run:
                store.record(run)
                model.records.append(run)
            elif step[0] == "anchor":
                model.anchor = NOON + step[1] * MINUTE
                store.set_anchor(JOB, model.anchor)
            elif step[0] == "reopen":
                store = RunsStore(home, keep=KEEP)
            elif step[0] == "tear" and file_of(home).exists():
                with file_of(home).open("ab") as file:
                    file.write(step[1])
            assert store.get_runs(JOB) == model.newest_first()
            assert store.summary(JOB) == model.summary()
        fresh = RunsStore(home, keep=KEEP)
        assert fresh.get_runs(JOB) == model.newest_first()
        assert fresh.summary(JOB) == model.summary()
        assert fresh.damaged == []
        if hold:
            lock.release()
