"""The steps of live runs by themselves; what they do together in time is in test_scheduler."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from shared.messages import ExecuteRequest, Layer, Progress, Ready, Started
from shared.reasons import Reason
from supervisor.admission.gate import Gate
from supervisor.errors import InvalidError, StoreError
from supervisor.logs.runlog import RunLog
from supervisor.models import SECOND, CronJob, CronRun, JobType
from supervisor.spawning.launcher import Gone, Spoke
from supervisor.spawning.liveruns import KILL_MARGIN, SAVE_AGAIN, LiveRun, LiveRuns
from supervisor.status import Status
from supervisor.stores.lock import HomeLock
from supervisor.stores.runs import RunsStore
from tests.fakes import NOON, FakeClock, FakeSpawn, FullRunsStore, make_job, make_request, make_result, make_run
from tests.timeline import memory_folder

GRACE = 5.0


@dataclass
class Bench:
    runs: FullRunsStore
    spawn: FakeSpawn = field(default_factory=FakeSpawn)
    clock: FakeClock = field(default_factory=FakeClock)
    told: list[CronRun] = field(default_factory=list)
    left: list[float] = field(default_factory=list)
    refused: str = ""

    def __post_init__(self) -> None:
        def told_end(_job: CronJob, run: CronRun) -> None:
            self.told.append(run)

        log = RunLog(logging.getLogger("test"))
        self.live = LiveRuns(self.runs, self.spawn, self._prepare, GRACE, told_end, log, Gate(8))

    def _prepare(self, job: CronJob, run: CronRun, seconds_left: float) -> ExecuteRequest:
        self.left.append(seconds_left)
        if self.refused:
            raise InvalidError(self.refused)
        return make_request(run.id, run.attempt, Path("/nowhere"), job_id=job.id)

    def start(self, number: int = 1, **fields: object) -> LiveRun:
        job = make_job(id=f"job-{number}", timeout_secs=60, **fields)
        run = make_run(id=f"run-{number}", job_id=job.id)
        self.live.start(job, run, self.clock.now())
        live = self.live.get(run.id)
        assert live is not None
        return live

    def over(self, live: LiveRun, reason: Reason = Reason.OK, **said: object) -> None:
        words = "" if reason is Reason.OK else "No."
        result = make_result(reason, live.run.id, live.run.attempt, error=words, **said)
        self.live.heard(Gone(live.run.id, live.run.attempt, result), self.clock.now())

    def enforce(self, after: float, may_start: bool = True) -> None:
        self.clock.pass_by(after)
        self.live.enforce(self.clock.now(), lambda _live: may_start)

    def wake(self) -> float | None:
        """In how many seconds it wants to be looked at."""
        at = self.live.next_wake(self.clock.mono)
        return None if at is None else at - self.clock.mono


@pytest.fixture
def bench() -> Iterator[Bench]:
    with memory_folder() as root:
        runs = FullRunsStore(root)
        with HomeLock(runs.home):
            yield Bench(runs)


def test_slots_are_held_by_attempts_that_live(bench: Bench) -> None:
    first = bench.start(1)
    bench.start(2, type="medium")
    assert (bench.live.holding(), bench.live.holding(JobType.MEDIUM)) == (2, 1)
    bench.over(first, Reason.AGENT_ERROR)
    assert (bench.live.holding(), len(bench.live)) == (1, 2)
    assert bench.live.of_job("job-1") == (first.run,)


def test_a_run_is_tainted_by_its_prompt_from_its_claim_on(bench: Bench) -> None:
    assert bench.start().run.tainted is False
    live = bench.start(2, prompt="{{ last_run.response }}", untrusted_input=True)
    assert live.run.tainted is True


def test_an_attempt_has_what_is_left_of_the_runs_time(bench: Bench) -> None:
    live = bench.start(1, retry_delay=10 * SECOND)
    bench.clock.pass_by(5)
    bench.over(live, Reason.AGENT_ERROR)
    bench.enforce(10)
    assert bench.left == [60, 45]


def test_what_a_runner_says_is_noted(bench: Bench) -> None:
    live = bench.start()
    for message in (Ready(pid=5), Progress(output_bytes=9), Started(pid=6, layers=(Layer(name="seccomp"),))):
        bench.live.heard(Spoke("run-1", 1, message), bench.clock.now())
    assert (live.run.runner_pid, live.run.layers) == (5, (Layer(name="seccomp"),))


def test_it_wakes_for_the_deadline_the_kill_the_back_off_and_the_save(bench: Bench) -> None:
    assert bench.wake() is None
    live = bench.start(retry_delay=7 * SECOND)
    assert bench.wake() == 60
    bench.over(live, Reason.AGENT_ERROR)
    assert bench.wake() == 7
    bench.enforce(7, may_start=False)
    assert bench.wake() == 53  # not at once: only a slot that is freed helps
    bench.enforce(0)
    bench.live.stop(live, Reason.CANCELED_BY_USER, bench.clock.now())
    assert bench.wake() == GRACE + KILL_MARGIN
    bench.runs.full = lambda _run: True
    bench.over(live)
    assert bench.wake() == SAVE_AGAIN


def test_a_runner_that_survives_its_kill_is_killed_again(bench: Bench) -> None:
    live = bench.start()
    bench.enforce(60)
    bench.enforce(GRACE + KILL_MARGIN)
    bench.enforce(KILL_MARGIN)
    assert bench.spawn.runners[0].kills == 2
    assert live.holds_slot


def test_being_told_to_stop_again_changes_nothing(bench: Bench) -> None:
    live = bench.start()
    first = bench.live.stop(live, Reason.REPLACED, bench.clock.now())
    bench.clock.pass_by(1)
    assert bench.live.stop(live, Reason.CANCELED_BY_USER, bench.clock.now()) == first
    assert bench.spawn.runners[0].told == [Reason.REPLACED]
    assert bench.wake() == GRACE + KILL_MARGIN - 1


def test_a_stop_that_cannot_be_stored_is_told_all_the_same(bench: Bench) -> None:
    live = bench.start()
    bench.runs.full = lambda run: run.status is Status.STOPPING
    bench.live.stop(live, Reason.CANCELED_BY_USER, bench.clock.now())
    assert bench.spawn.runners[0].told == [Reason.CANCELED_BY_USER]


def test_nobody_is_told_of_an_end_that_is_not_on_disk(bench: Bench) -> None:
    live = bench.start()
    bench.runs.full = lambda run: run.status.final
    bench.over(live)
    bench.enforce(SAVE_AGAIN)
    assert (bench.told, bench.live.holding()) == ([], 0)
    bench.runs.full = lambda _run: False
    bench.enforce(SAVE_AGAIN)
    assert bench.told == [bench.runs.get("run-1")]
    assert len(bench.live) == 0


def test_of_an_end_that_somebody_else_wrote_that_one_is_told(bench: Bench) -> None:
    live, owed = bench.start(), list[CronRun]()
    bench.live.owe = lambda _job, run: owed.append(run)
    RunsStore(bench.runs.home).record(live.run.moved(Status.COMPLETED, reason=Reason.OK))
    bench.over(live, Reason.AUTH_FAILED)
    assert [run.status for run in owed] == [Status.FAILED, Status.COMPLETED]
    assert bench.told == owed[1:] == [bench.runs.get("run-1")]
    assert len(bench.live) == 0


def test_what_cannot_be_claimed_is_not_spawned(bench: Bench) -> None:
    bench.runs.full = lambda _run: True
    with pytest.raises(StoreError):
        bench.start()
    assert (bench.spawn.runners, len(bench.live)) == ([], 0)


@pytest.mark.parametrize(
    ("set_by", "expected"),
    [
        (timedelta(seconds=4), 6.0),
        (timedelta(seconds=30), 0.0),
        (-timedelta(days=1), 3600.0),  # no longer than the longest back-off there is
    ],
)
def test_a_back_off_is_taken_up_where_it_was(bench: Bench, set_by: timedelta, expected: float) -> None:
    job = make_job(timeout_mins=600)
    run = make_run(status=Status.RUNNING, attempt=1, started_at=NOON, retry_at=NOON + timedelta(seconds=10))
    bench.clock.wall += set_by
    bench.live.resume(job, run, bench.clock.now())
    live = bench.live.get(run.id)
    assert live is not None
    assert live.retry_at == bench.clock.mono + expected
    assert live.deadline - bench.clock.mono == 36000 - max(0, set_by.total_seconds())


def test_a_wrong_answer_is_put_right_by_another_attempt_that_is_claimed_like_any(bench: Bench) -> None:
    live = bench.start(agent="claude", output_format="json")
    bench.over(live, Reason.INVALID_OUTPUT, answer_bytes=5, tool_called=True)
    kept = bench.runs.get(live.run.id)
    assert (kept.status, kept.attempt, kept.repair_of, kept.retry_at) == (Status.RUNNING, 1, 1, bench.clock.wall)
    bench.enforce(0.0)
    claimed = bench.runs.get(live.run.id)
    assert (claimed.attempt, claimed.retry_count, claimed.repair_of, claimed.retry_at) == (2, 0, 1, None)
    bench.over(live, Reason.RATE_LIMITED)
    bench.enforce(1.0)
    again = bench.runs.get(live.run.id)
    assert (again.attempt, again.retry_count, again.repair_of) == (3, 1, 1)
    bench.over(live)
    assert bench.told[-1].status is Status.COMPLETED


def test_an_answer_that_nothing_was_left_to_put_right_is_why_its_run_failed(bench: Bench) -> None:
    for number, (refused, later, reason) in enumerate(
        (("", 60.0, Reason.INVALID_OUTPUT), ("Its key is gone.", 0.0, Reason.BAD_DEFINITION)), 1
    ):
        bench.refused = ""
        live = bench.start(number, agent="claude", output_format="json")
        bench.over(live, Reason.INVALID_OUTPUT, answer_bytes=5)
        bench.refused = refused
        bench.enforce(later)
        end = bench.told[-1]
        assert (end.id, end.reason, end.attempt) == (f"run-{number}", reason, 1)
        assert end.error.startswith("No. It was asked to put its answer right, and that failed")
        assert refused in end.error


def test_what_cannot_be_stored_is_not_put_right(bench: Bench) -> None:
    live = bench.start(agent="claude", output_format="json")
    bench.runs.full = lambda run: run.retry_at is not None
    bench.over(live, Reason.INVALID_OUTPUT, answer_bytes=5)
    assert [(run.status, run.reason, run.attempt) for run in bench.told] == [(Status.FAILED, Reason.INVALID_OUTPUT, 1)]
