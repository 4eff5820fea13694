"""What the scheduler promises beyond single histories: order, room, what is written, what goes wrong, stopping."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from shared.reasons import Reason
from supervisor.config import Config
from supervisor.definitions import edits
from supervisor.errors import NotFoundError, RefusedError, StoreError
from supervisor.models import SECOND, Trigger
from supervisor.scheduler import DUE_A_TURN
from supervisor.spawning.recovery import recover
from supervisor.status import Status
from tests.fakes import NOON
from tests.timeline import EACH_MINUTE, Timeline, play, timeline

MINUTE = 60
ONE_SLOT = Config(max_concurrent=1)
FAILS = Reason.AGENT_ERROR


@pytest.fixture
def line() -> Iterator[Timeline]:
    with timeline() as made:
        yield made
        made.check_rules()


# ---- order and room


@pytest.fixture
def narrow() -> Iterator[Timeline]:
    with timeline(ONE_SLOT) as made:
        yield made
        made.check_rules()


def test_who_waits_longest_has_the_next_slot(narrow: Timeline) -> None:
    play(narrow, (0, "add", "a", EACH_MINUTE), (0, "add", "b", EACH_MINUTE), (60, "nothing"))
    narrow.sleep(60)
    narrow.end()  # in the turn at 12:02 in which "a" is due again, and would come first by its name
    assert (narrow.ends("a"), narrow.ends("b")) == (["completed", "queued"], ["running", "skipped overlap"])


def test_a_run_that_waits_is_on_disk_and_starts_when_there_is_room(narrow: Timeline) -> None:
    play(narrow, (0, "add", "a", EACH_MINUTE), (0, "add", "b", EACH_MINUTE), (61, "nothing"))
    assert (narrow.ends("a"), narrow.ends("b")) == (["running"], ["queued"])
    assert [waiting.why for waiting in narrow.core.waiting] == ["1 of 1 runs are going on"]
    narrow.end()
    assert (narrow.ends("a"), narrow.ends("b")) == (["completed"], ["running"])


def test_a_back_off_keeps_nobody_from_starting_and_spins_not_while_it_waits_for_a_slot(narrow: Timeline) -> None:
    patient = {"cron_expr": "1 * * * *", "retry_delay": 5 * SECOND}
    play(narrow, (0, "add", "a", patient), (0, "add", "b", EACH_MINUTE))
    play(narrow, (61, "end", FAILS))
    assert narrow.ends("b") == ["running"]
    play(narrow, (100, "nothing"))  # the back-off is over since 12:01:06
    assert narrow.attempts() == [("00000001-run", 1), ("00000002-run", 1)]
    play(narrow, (101, "end"), (102, "end"))
    assert narrow.attempts()[2] == ("00000001-run", 2)
    assert narrow.ends("a") == ["completed"]


def test_types_have_room_of_their_own(line: Timeline) -> None:
    large = {**EACH_MINUTE, "type": "resource-intensive"}
    play(line, (0, "add", "a", large), (0, "add", "b", large), (0, "add", "c", EACH_MINUTE), (61, "nothing"))
    assert [line.ends(name) for name in "abc"] == [["running"], ["queued"], ["running"]]


def test_what_waits_longer_than_its_grace_expires_though_no_slot_is_free(narrow: Timeline) -> None:
    play(
        narrow,
        (0, "add", "a", {"cron_expr": "1 * * * *"}),
        (1, "add", "b", {"cron_expr": "1 * * * *", "grace_secs": 30}),
    )
    play(narrow, (90, "nothing"))
    assert (narrow.ends("a"), narrow.ends("b")) == (["running"], ["queued"])
    play(narrow, (91, "nothing"))
    assert (narrow.ends("a"), narrow.ends("b")) == (["running"], ["skipped expired"])


def test_what_somebody_asked_for_by_hand_never_expires(narrow: Timeline) -> None:
    play(narrow, (0, "add", "a", EACH_MINUTE), (1, "add", "b", {"cron_expr": "0 0 1 1 *", "grace_secs": 30}))
    play(narrow, (61, "run", "b"), (1700, "end"))
    assert narrow.ends("b") == ["running"]


def test_a_life_of_one_run_is_not_two_when_the_first_had_to_wait(narrow: Timeline) -> None:
    play(
        narrow,
        (0, "add", "a", {"cron_expr": "1 * * * *"}),
        (1, "add", "b", {**EACH_MINUTE, "max_runs": 1, "overlap": "allow"}),
    )
    play(narrow, (200, "end"), (201, "end"), (300, "nothing"))
    assert narrow.ends("b") == ["completed"]


def test_a_life_of_one_run_goes_on_when_that_run_was_canceled_in_the_queue(narrow: Timeline) -> None:
    play(narrow, (0, "add", "a", {"cron_expr": "1 * * * *"}), (1, "add", "b", {**EACH_MINUTE, "max_runs": 1}))
    play(narrow, (62, "cancel", "00000002-run"), (100, "end"), (121, "end"), (300, "nothing"))
    assert narrow.ends("b") == ["canceled canceled_by_user", "completed"]


def test_jitter_moves_the_start_and_not_the_occurrence(line: Timeline) -> None:
    play(line, (0, "add", {"cron_expr": "1 * * * *", "jitter_secs": 600}), (59 * MINUTE, "end"))
    run = line.stored()[0]
    assert run.scheduled_at == NOON + timedelta(minutes=1)
    assert timedelta(seconds=1) < run.started_at - run.scheduled_at < timedelta(minutes=10)


def test_a_herd_is_settled_in_parts_and_all_of_it(line: Timeline) -> None:
    for number in range(2 * DUE_A_TURN + 1):
        line.add(f"job-{number}", cron_expr="1 12 * * *")
    line.sleep(60)
    sizes = []
    while line.turn().wall == NOON + timedelta(minutes=1):
        sizes.append(len(line.core.waiting) + len(line.core.live))
    assert sizes == [DUE_A_TURN, 2 * DUE_A_TURN]
    assert {tuple(line.ends(name)) for name in line.job_ids} == {("running",), ("queued",)}
    assert len(line.attempts()) == 4


def test_what_of_a_herd_is_taken_back_before_its_turn_does_not_run(line: Timeline) -> None:
    for number in range(DUE_A_TURN + 3):
        line.add(f"job-{number}", cron_expr="1 12 * * *")
    line.sleep(60)
    line.turn()
    paused, removed, edited = (name for name in line.job_ids if not line.lines(name))
    line.sleep(0.5)
    edits.edit(line.core, line.job(edited).model_copy(update={"cron_expr": "5 12 * * *"}), line.clock.now())
    edits.pause(line.core, line.job(paused), line.clock.now())
    line.remove(removed)
    line.turn()
    assert not any(line.lines(name) for name in (paused, removed, edited))
    assert line.core.agenda.next_due() == NOON + timedelta(minutes=5)


def test_a_run_was_seen_to_be_due_with_its_herd_although_it_is_settled_later(line: Timeline) -> None:
    for number in range(DUE_A_TURN + 1):
        line.add(f"job-{number}", cron_expr="1 12 * * *")
    line.sleep(61)
    line.turn()
    line.sleep(1)
    line.turn()
    runs = [run for name in line.job_ids for run in line.stored(name)]
    assert len(runs) == DUE_A_TURN + 1
    assert {run.queued_at for run in runs} == {NOON + timedelta(seconds=61)}


def test_each_job_sees_only_its_own_runs_in_its_way(line: Timeline) -> None:
    play(line, (0, "add", "a", EACH_MINUTE), (0, "add", "b", EACH_MINUTE), (61, "nothing"))
    assert (line.ends("a"), line.ends("b")) == (["running"], ["running"])


# ---- what is written


def test_a_run_carries_what_it_was(line: Timeline) -> None:
    play(
        line, (0, "add", EACH_MINUTE), (61, "end", Reason.OK, {"response": "Hello.", "answer_bytes": 6, "exit_code": 0})
    )
    claim, end = line.lines()
    assert (claim.status, claim.attempt, claim.agent) == (Status.RUNNING, 1, "local")
    assert (claim.host, claim.boot_id) == ("house", "boot-1")
    assert end.scheduled_at == end.started_at == NOON + timedelta(seconds=60)
    assert (end.finished_at, end.duration) == (NOON + timedelta(seconds=61), SECOND)
    assert (end.response, end.exit_code, end.error, end.trigger) == ("Hello.", 0, "", Trigger.SCHEDULE)
    assert line.told == [end]


def test_missed_occurrences_are_one_record_that_counts_them(line: Timeline) -> None:
    play(line, (0, "add", EACH_MINUTE), (30, "down", 330))
    missed, late = line.stored()
    assert "4 occurrences were missed, from 2026-11-24T12:01" in missed.error
    assert missed.scheduled_at == NOON + timedelta(minutes=4)
    assert (late.trigger, late.scheduled_at) == (Trigger.SCHEDULE, NOON + timedelta(minutes=5))


def test_what_is_caught_up_on_says_so(line: Timeline) -> None:
    play(line, (0, "add", {"cron_expr": "1 * * * *"}), (30, "down", 300))
    assert [run.trigger for run in line.stored()] == [Trigger.CATCH_UP]


def test_a_second_attempt_is_claimed_after_the_first_ones_end(line: Timeline) -> None:
    play(line, (0, "add", EACH_MINUTE), (61, "end", FAILS, {"error": "It failed."}), (63, "end"))
    states = [(run.attempt, run.retry_at is not None, run.status) for run in line.lines()]
    assert states == [
        (1, False, Status.RUNNING), (1, True, Status.RUNNING), (2, False, Status.RUNNING), (2, False, Status.COMPLETED),
    ]  # fmt: skip
    assert line.lines()[1].error == "It failed."


def test_the_runner_that_is_told_of_knows_only_what_ps_may_show(line: Timeline) -> None:
    play(
        line,
        (0, "add", "the $job; rm", EACH_MINUTE),
        (0, "add", "hush", {**EACH_MINUTE, "private": True}),
        (61, "nothing"),
    )
    assert line.spawn.slugs == ["the--job--rm", ""]


# ---- what people are told


def test_a_run_by_hand_that_could_not_run_is_refused_and_not_stored(line: Timeline) -> None:
    play(line, (0, "add", EACH_MINUTE), (61, "nothing"))
    with pytest.raises(RefusedError, match="00000001-run"):
        line.run()
    assert line.ends() == ["running"]


def test_a_run_by_hand_is_on_disk_before_it_is_accepted(line: Timeline) -> None:
    play(line, (0, "add", EACH_MINUTE))
    run = line.core.run(line.job(), line.clock.now())
    assert line.stored() == [run]
    assert (run.status, run.trigger) == (Status.QUEUED, Trigger.MANUAL)


def test_a_run_by_hand_that_cannot_be_stored_is_not_accepted(line: Timeline) -> None:
    play(line, (0, "add", EACH_MINUTE), (1, "full"))
    with pytest.raises(StoreError):
        line.run()
    play(line, (2, "room"), (10, "nothing"))
    assert line.ends() == []
    assert len(line.core.waiting) == 0


def test_who_stops_takes_no_more_runs(line: Timeline) -> None:
    play(line, (0, "add", EACH_MINUTE), (1, "drain", 30.0))
    with pytest.raises(RefusedError, match="stopping"):
        line.run()


def test_what_is_over_cannot_be_canceled(line: Timeline) -> None:
    play(line, (0, "add", EACH_MINUTE), (61, "end"))
    with pytest.raises(RefusedError, match="over already: completed"):
        line.cancel("00000001-run")
    with pytest.raises(NotFoundError):
        line.cancel("nobody")


def test_pausing_and_resuming_twice_is_as_once(line: Timeline) -> None:
    play(line, (0, "add", EACH_MINUTE), (5, "pause"), (6, "pause"), (7, "resume"))
    changed = line.job().changed_at
    play(line, (8, "resume"))
    assert line.job().changed_at == changed == NOON + timedelta(seconds=7)


def test_a_canceled_run_of_the_queue_is_told_of(narrow: Timeline) -> None:
    play(narrow, (0, "add", "a", EACH_MINUTE), (0, "add", "b", EACH_MINUTE), (61, "pause", "b"))
    assert [run.reason for run in narrow.told] == [Reason.JOB_DISABLED]


# ---- stopping, and when it wants to be called again


def test_a_drain_is_over_when_nothing_lives(line: Timeline) -> None:
    play(line, (0, "add", EACH_MINUTE), (61, "drain", 30.0), (62, "nothing"))
    assert not line.core.drained()
    play(line, (63, "end"))
    assert line.core.drained()


def test_a_second_drain_only_shortens_the_first(line: Timeline) -> None:
    play(line, (0, "add", EACH_MINUTE), (61, "drain", 5.0), (62, "drain", 500.0), (67, "nothing"))
    assert line.live().told == [Reason.SUPERVISOR_STOPPED]


def test_a_full_disk_does_not_keep_a_drain_from_its_end(line: Timeline) -> None:
    play(line, (0, "add", EACH_MINUTE), (61, "full"), (62, "drain", 10.0), (63, "end"))
    assert not line.core.drained()
    play(line, (73, "nothing"))
    assert line.core.drained()
    line.full = lambda _run: False


def test_with_nothing_to_do_it_does_not_want_to_be_called(line: Timeline) -> None:
    assert (line.turn().wall, line.turn().mono) == (None, None)


def test_it_wants_to_be_called_when_the_next_occurrence_is_due_and_when_a_run_is_over_time(line: Timeline) -> None:
    play(line, (0, "add", {**EACH_MINUTE, "timeout_mins": 5}))
    assert line.turn().wall == NOON + timedelta(seconds=60)
    play(line, (60, "nothing"))
    assert line.turn().mono == line.clock.mono + 5 * MINUTE


def test_a_clock_that_is_set_back_repeats_nothing(line: Timeline) -> None:
    play(line, (0, "add", EACH_MINUTE), (61, "end"), (121, "end"))
    line.clock.wall -= timedelta(minutes=2)
    line.open()
    line.pass_by(100)
    assert len(line.attempts()) == 2
    line.pass_by(90)
    assert [run.scheduled_at for run in line.stored()] == [NOON + timedelta(minutes=number) for number in (1, 2, 3)]


def test_after_a_drain_it_can_begin_again(line: Timeline) -> None:
    play(line, (0, "add", {**EACH_MINUTE, "overlap": "queue"}), (121, "drain", 5.0), (123, "end"))
    assert line.core.drained()
    line.core.reset()
    recover(line.core, line.clock.now())
    line.core.load(line.clock.wall)
    line.turn()
    assert line.ends() == ["completed", "running"]
