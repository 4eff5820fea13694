"""Any sequence of records, crashes and reopenings, against a model that works everything out the long way."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from supervisor.models import NEVER, CronRun, Trigger
from supervisor.status import ALLOWED, Status
from supervisor.stores import history as history_module
from supervisor.stores.home import Home
from supervisor.stores.lock import HomeLock
from supervisor.stores.measures import Measures, Sum
from supervisor.stores.runs import RunsStore
from supervisor.stores.summary import Summary
from tests.fakes import NOON
from tests.ramdisk import FAST
from tests.records import JOB, MINUTE, file_of, run_of


@contextmanager
def eager_compaction() -> Iterator[None]:
    """Small files are compacted too, so that a short history meets what a long one meets."""
    history_module.SLACK, slack = 1, history_module.SLACK
    try:
        yield
    finally:
        history_module.SLACK = slack


KEEP = 3
TORN = st.sampled_from([b"{", b"\0\0\0", b'{"id": "run-0001"', b"x" * 100])
Step = tuple[Any, ...]
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("new"), st.sampled_from(Status), st.sampled_from(Trigger), st.integers(0, 30)),
    st.tuples(st.just("move"), st.integers(0, 5), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("note"), st.integers(0, 5)),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("tear"), TORN),
)


@dataclass
class Model:
    """What the store promises, kept the long way: every record ever, and nothing worked out before it is asked."""

    records: list[CronRun] = field(default_factory=list)

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
            failures_in_a_row=streak,
            last_run=max((run.started_at for run in real), default=NEVER),
            last_end=last.finished_at if last else NEVER,
            last_status=last.status if last else None,
            last_reason=last.reason if last else None,
            last_error=last.error if last else "",
            measures=self.measures(real),
        )

    def measures(self, real: list[CronRun]) -> Measures:
        starts = {run.id: run for run in reversed(real)}
        ends = {run.id: run for run in reversed(self.records) if run.status.final}
        late = [run.started_at - run.scheduled_at for run in starts.values() if run.trigger is not Trigger.MANUAL]
        long = [run.finished_at - run.started_at for run in ends.values() if run in real]
        completed = [run.finished_at for run in ends.values() if run.status is Status.COMPLETED]
        return Measures(
            started=len(starts),
            ended=Counter(run.reason.value if run.reason else "" for run in ends.values()),
            lateness=total(late),
            durations=total(long),
            last_success=max(completed, default=NEVER),
        )


def total(lengths: list[timedelta]) -> Sum:
    seconds = sum(max(0.0, length.total_seconds()) for length in lengths)
    return Sum(count=len(lengths), seconds=round(seconds, 3))


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
