"""Histories: what happens at which second, and what stands on disk at the end of it.

A history is data: (second, verb, arguments…), the verbs being those of `tests.timeline`. Second 0 is noon. Every
history ends with the rule that holds for all: what was spawned had been claimed on disk (Timeline looks), nobody was
told of an end that was not stored, and no run changed in a way that the table of states does not have.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from shared.reasons import Reason
from supervisor.config import Config
from supervisor.errors import NotFoundError, RefusedError, StoreError
from supervisor.models import NEVER, SECOND, CronRun, Status, Trigger
from supervisor.recovery import recover
from supervisor.scheduler import DUE_A_TURN
from tests.fakes import NOON
from tests.timeline import Timeline, timeline

MINUTE = 60
Event = tuple[Any, ...]


@pytest.fixture
def line() -> Iterator[Timeline]:
    with timeline() as made:
        yield made
        made.check_rules()


def play(line: Timeline, *events: Event) -> None:
    for second, verb, *arguments in events:
        line.pass_by(second - (line.clock.wall - NOON).total_seconds())
        named = arguments.pop() if arguments and isinstance(arguments[-1], dict) else {}
        if verb == "crash":
            line.open()
        elif verb == "down":  # asleep until then
            line.sleep(arguments[0] - second)
            line.open()
        elif verb == "full":
            line.full = lambda _run: True
        elif verb == "room":
            line.full = lambda _run: False
        elif verb != "nothing":
            getattr(line, verb)(*arguments, **named)


EACH_MINUTE = {"cron_expr": "* * * * *"}
ONE_SLOT = Config(max_concurrent=1)
FAILS, GIVES_UP = Reason.AGENT_ERROR, Reason.AUTH_FAILED

HISTORIES: dict[str, tuple[list[Event], list[str], list[int]]] = {
    # events, how the runs of "job" stand, the attempt numbers spawned
    "nothing is due yet": ([(0, "add", EACH_MINUTE), (59, "nothing")], [], []),
    "one run completes": ([(0, "add", EACH_MINUTE), (70, "end")], ["completed"], [1]),
    "overlap is skipped by default": (
        [(0, "add", EACH_MINUTE), (130, "end"), (180, "nothing")],
        ["completed", "skipped overlap", "running"],
        [1, 1],
    ),
    "overlap queues one and skips the others": (
        [(0, "add", {**EACH_MINUTE, "overlap": "queue"}), (200, "end"), (201, "end")],
        ["completed", "completed", "skipped overlap"],
        [1, 1],
    ),
    "overlap allowed": (
        [(0, "add", {**EACH_MINUTE, "overlap": "allow"}), (190, "end", FAILS, 2), (191, "nothing")],
        ["running", "running", "running"],
        [1, 1, 1, 2],
    ),
    "overlap replaces": (
        [(0, "add", {**EACH_MINUTE, "overlap": "replace"}), (125, "end", Reason.OK, 0), (170, "end")],
        ["canceled replaced", "completed"],
        [1, 1],
    ),
    "a failure is tried again, and completes": (
        [(0, "add", EACH_MINUTE), (61, "end", FAILS), (63, "end", FAILS), (66, "end")],
        ["completed"],
        [1, 2, 3],
    ),
    "a failure is tried again no more than so often": (
        [(0, "add", {**EACH_MINUTE, "retries": 1}), (61, "end", FAILS), (63, "end", FAILS), (100, "nothing")],
        ["failed agent_error"],
        [1, 2],
    ),
    "what cannot pass is not tried again": (
        [(0, "add", EACH_MINUTE), (61, "end", GIVES_UP), (100, "nothing")],
        ["failed auth_failed"],
        [1],
    ),
    "a runner that broke is tried again": (
        [(0, "add", EACH_MINUTE), (61, "vanish"), (63, "end")],
        ["completed"],
        [1, 2],
    ),
    "a cancel wins over a result that comes later": (
        [(0, "add", EACH_MINUTE), (61, "cancel", "00000001-run"), (62, "end", Reason.OK)],
        ["canceled canceled_by_user"],
        [1],
    ),
    "the first cause wins": (
        [(0, "add", EACH_MINUTE), (61, "cancel", "00000001-run"), (62, "remove"), (63, "end", Reason.JOB_REMOVED)],
        ["canceled canceled_by_user"],
        [1],
    ),
    "a cancel ends a back-off at once": (
        [(0, "add", {**EACH_MINUTE, "retry_delay": 30 * SECOND}), (61, "end", FAILS), (62, "cancel", "00000001-run"),
         (110, "nothing")],
        ["canceled canceled_by_user"],
        [1],
    ),
    "a paused job's run goes on, and nothing more starts": (
        [(0, "add", EACH_MINUTE), (61, "pause"), (200, "end")],
        ["completed"],
        [1],
    ),
    "what fell due while it was paused is not owed": (
        [(0, "add", EACH_MINUTE), (1, "pause"), (200, "resume"), (241, "end")],
        ["completed"],
        [1],
    ),
    "a removed job's run is told to end": (
        [(0, "add", EACH_MINUTE), (61, "remove"), (62, "end", Reason.JOB_REMOVED), (200, "nothing")],
        ["canceled job_removed"],
        [1],
    ),
    "a run by hand": ([(0, "add", EACH_MINUTE), (5, "run"), (6, "end")], ["completed"], [1]),
    "a run by hand of a paused job": (
        [(0, "add", EACH_MINUTE), (1, "pause"), (5, "run"), (6, "end")], ["completed"], [1],
    ),
    "a one-shot": ([(0, "add", {"cron_expr": "", "at": NOON + timedelta(seconds=30)}), (31, "end"), (999, "nothing")],
                   ["completed"], [1]),
    "a life of two runs": (
        [(0, "add", {**EACH_MINUTE, "max_runs": 2}), (61, "end"), (121, "end"), (400, "nothing")],
        ["completed", "completed"],
        [1, 1],
    ),
    "a life of two runs does not count what was skipped": (
        [(0, "add", {**EACH_MINUTE, "max_runs": 2}), (150, "end"), (181, "end"), (400, "nothing")],
        ["completed", "skipped overlap", "completed"],
        [1, 1],
    ),
    "a life of two runs does not count what had nothing to do": (
        [(0, "add", {**EACH_MINUTE, "max_runs": 2}), (61, "end", Reason.NOTHING_TO_DO), (121, "end"), (181, "end"),
         (400, "nothing")],
        ["skipped nothing_to_do", "completed", "completed"],
        [1, 1, 1],
    ),
    # ---- kill -9
    "killed before the claim: it is due as ever": (
        [(0, "add", EACH_MINUTE), (59, "down", 61), (62, "end")], ["completed"], [1],
    ),
    "killed while it ran: nobody knows, and it is not run again": (
        [(0, "add", EACH_MINUTE), (61, "crash"), (100, "nothing")], ["unknown supervisor_died"], [1],
    ),
    "killed while it ran, and its result was on disk": (
        [(0, "add", EACH_MINUTE), (61, "leave_result", Reason.OK), (62, "crash"), (100, "nothing")],
        ["completed"],
        [1],
    ),
    "killed while it was ending, and its result was on disk": (
        [(0, "add", EACH_MINUTE), (61, "cancel", "00000001-run"), (62, "leave_result", Reason.OK), (63, "crash")],
        ["canceled canceled_by_user"],
        [1],
    ),
    "killed while it was ending": (
        [(0, "add", EACH_MINUTE), (61, "cancel", "00000001-run"), (63, "crash")], ["unknown supervisor_died"], [1],
    ),
    "killed during a back-off: it goes on": (
        [(0, "add", {**EACH_MINUTE, "retry_delay": 10 * SECOND}), (61, "end", FAILS), (63, "crash"), (72, "end")],
        ["completed"],
        [1, 2],
    ),
    "killed with one in the queue: it is still there": (
        [(0, "add", {**EACH_MINUTE, "overlap": "queue"}), (125, "crash"), (126, "end")],
        ["unknown supervisor_died", "completed"],
        [1, 1],
    ),
    "down for five minutes: one late run, one record of the others": (
        [(0, "add", EACH_MINUTE), (30, "down", 330), (331, "end")],
        ["skipped missed", "completed"],
        [1],
    ),
    "down for five minutes, nothing to be caught up on": (
        [(0, "add", {**EACH_MINUTE, "catch_up": "skip"}), (30, "down", 305), (306, "end")],
        ["skipped missed", "completed"],
        [1],
    ),
    "down for five minutes, all to be caught up on": (
        [(0, "add", {**EACH_MINUTE, "catch_up": "all", "overlap": "allow"}), (30, "down", 330)],
        ["running"] * 4 + ["queued"],
        [1] * 4,
    ),
    "down beyond the grace of a daily job": (
        [(0, "add", {"cron_expr": "1 12 * * *", "grace_secs": 600}), (30, "down", 700)], ["skipped missed"], [],
    ),
    # ---- a full disk
    "the claim cannot be stored: nothing starts until it can": (
        [(0, "add", EACH_MINUTE), (55, "full"), (70, "room"), (75, "end")], ["completed"], [1],
    ),
    "the end cannot be stored: it is when there is room, and nothing else of the job starts before": (
        [(0, "add", EACH_MINUTE), (61, "full"), (62, "end"), (110, "room"), (115, "nothing")], ["completed"], [1],
    ),
    "a back-off cannot be stored: no other attempt": (
        [(0, "add", EACH_MINUTE), (61, "full"), (62, "end", FAILS), (70, "room"), (75, "nothing")],
        ["failed agent_error"],
        [1],
    ),
    "the next claim cannot be stored: the attempt waits": (
        [(0, "add", {**EACH_MINUTE, "retry_delay": 10 * SECOND}), (61, "end", FAILS), (65, "full"), (80, "room"),
         (90, "end")],
        ["completed"],
        [1, 2],
    ),
    "a skip cannot be stored: it is when there is room": (
        [(0, "add", EACH_MINUTE), (100, "full"), (130, "room"), (140, "end")], ["completed", "skipped overlap"], [1],
    ),
    "a disk that is full for long is like an outage": (
        [(0, "add", EACH_MINUTE), (55, "full"), (175, "room"), (178, "end")], ["skipped missed", "completed"], [1],
    ),
    # ---- the clock is set
    "set forward: like an outage": (
        [(0, "add", EACH_MINUTE), (10, "sleep", 600), (615, "end")], ["skipped missed", "completed"], [1],
    ),
    # ---- stopping
    "a drain lets a run end": (
        [(0, "add", EACH_MINUTE), (61, "drain", 30.0), (70, "end"), (200, "nothing")], ["completed"], [1],
    ),
    "a drain ends what takes too long": (
        [(0, "add", EACH_MINUTE), (61, "drain", 30.0), (92, "end", Reason.SUPERVISOR_STOPPED)],
        ["canceled supervisor_stopped"],
        [1],
    ),
    "a drain waits for no back-off": (
        [(0, "add", {**EACH_MINUTE, "retry_delay": 10 * SECOND}), (61, "end", FAILS), (62, "drain", 30.0)],
        ["canceled supervisor_stopped"],
        [1],
    ),
    "what falls due during a drain is the next supervisor's": (
        [(0, "add", EACH_MINUTE), (50, "drain", 30.0), (70, "crash"), (71, "end")], ["completed"], [1],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HISTORIES)
def test_history(line: Timeline, name: str) -> None:
    events, ends, attempts = HISTORIES[name]
    play(line, *events)
    assert line.ends() == ends
    assert [attempt for _, attempt in line.attempts()] == attempts


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


# ---- what goes wrong


def test_a_definition_that_cannot_be_run_any_more_fails_by_its_name(line: Timeline) -> None:
    line.bad_definition = "The program 'x' is not there."
    play(line, (0, "add", EACH_MINUTE), (61, "nothing"))
    run = line.stored()[0]
    assert (run.status, run.reason, run.error) == (Status.FAILED, Reason.BAD_DEFINITION, line.bad_definition)
    assert run.started_at == NEVER
    assert line.told == [run]
    assert len(line.core.live) == 0


def test_a_runner_that_cannot_be_spawned_is_tried_again_and_fails(line: Timeline) -> None:
    line.spawn.fails = "The runner cannot be started."
    play(line, (0, "add", {**EACH_MINUTE, "retries": 2}), (70, "nothing"))
    assert len(line.spawn.slugs) == 3
    assert line.ends() == ["failed runner_broke"]


def test_a_directory_that_cannot_be_made_is_tried_again_at_intervals(narrow: Timeline) -> None:
    play(narrow, (0, "add", "a", {"cron_expr": "1 * * * *"}), (0, "add", "b", {"cron_expr": "2 * * * *"}))
    play(narrow, (121, "nothing"))
    narrow.no_directory = True
    play(narrow, (122, "end"), (130, "nothing"))
    assert narrow.ends("b") == ["queued"]
    narrow.no_directory = False
    play(narrow, (133, "nothing"))
    assert narrow.ends("b") == ["running"]


def test_a_runner_that_does_not_stop_is_killed(line: Timeline) -> None:
    play(line, (0, "add", EACH_MINUTE), (61, "cancel", "00000001-run"), (70, "nothing"))
    assert (line.live().told, line.live().kills) == ([Reason.CANCELED_BY_USER], 0)
    play(line, (72, "nothing"))
    assert line.live().kills == 1
    line.vanish()
    assert line.ends() == ["canceled canceled_by_user"]


def test_a_runner_that_keeps_no_time_is_killed_and_not_tried_again(line: Timeline) -> None:
    play(line, (0, "add", {"cron_expr": "1 * * * *", "timeout_secs": 10}), (79, "nothing"))
    assert line.live().kills == 0
    play(line, (81, "vanish", -1, "ended by signal 9"))
    assert line.live().kills == 1
    assert line.stored()[0].error == "The runner did not end in time and was killed."
    assert line.ends() == ["failed runner_broke"]


def test_the_time_of_a_run_is_over_during_a_back_off_that_finds_no_room(narrow: Timeline) -> None:
    play(narrow, (0, "add", "a", {"cron_expr": "1 * * * *", "timeout_secs": 30}), (0, "add", "b", EACH_MINUTE))
    play(narrow, (61, "end", FAILS), (95, "nothing"))
    assert narrow.ends("a") == ["failed timeout_wall"]


def test_news_of_an_attempt_that_is_settled_change_nothing(line: Timeline) -> None:
    play(line, (0, "add", EACH_MINUTE), (61, "end", FAILS), (61, "end", Reason.OK, 0), (63, "end", Reason.OK, 0))
    assert line.ends() == ["running"]
    play(line, (64, "end"), (64, "end"))
    assert line.ends() == ["completed"]


def test_a_job_whose_schedule_was_spoilt_by_hand_does_not_stop_the_others(line: Timeline) -> None:
    play(line, (0, "add", "a", EACH_MINUTE), (0, "add", "b", EACH_MINUTE))
    path = line.runs.home.jobs / f"{line.job_ids['a']}.json"
    path.write_text(path.read_text().replace("* * * * *", "61 * * * *"))
    play(line, (10, "crash"), (61, "nothing"))
    assert (line.ends("a"), line.ends("b")) == ([], ["running"])


def test_a_queued_run_of_a_removed_job_does_not_start_though_the_disk_is_full(narrow: Timeline) -> None:
    play(narrow, (0, "add", "a", EACH_MINUTE), (0, "add", "b", EACH_MINUTE), (61, "full"), (62, "remove", "b"))
    play(narrow, (63, "end"), (70, "room"), (75, "nothing"))
    assert narrow.ends("b") == ["canceled job_removed"]
    assert len(narrow.attempts()) == 1


def test_removing_a_job_on_a_full_disk_still_ends_its_run(line: Timeline) -> None:
    play(line, (0, "add", EACH_MINUTE), (61, "full"), (62, "remove"))
    assert line.live().told == [Reason.JOB_REMOVED]


def test_later_occurrences_do_not_hide_one_that_could_not_be_stored(line: Timeline) -> None:
    play(
        line,
        (0, "add", {**EACH_MINUTE, "catch_up": "all", "overlap": "allow"}),
        (55, "full"),
        (130, "room"),
        (135, "crash"),
    )
    assert [run.scheduled_at for run in line.stored()] == [NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)]


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


def test_of_what_is_caught_up_on_nothing_comes_twice_when_the_disk_fills_in_between(line: Timeline) -> None:
    play(line, (0, "add", {**EACH_MINUTE, "catch_up": "all", "overlap": "allow"}))
    line.full = lambda run: run.scheduled_at.minute > 2
    line.sleep(330)
    line.open()
    assert [run.scheduled_at.minute for run in line.stored()] == [1, 2]
    line.full = lambda _run: False
    line.pass_by(5)
    assert [run.scheduled_at.minute for run in line.stored()] == [1, 2, 3, 4, 5]


def test_an_outage_that_is_recorded_halfway_is_not_recorded_again(line: Timeline) -> None:
    """Killed between the record of what was missed and the claim of what is caught up on."""
    play(line, (0, "add", {**EACH_MINUTE, "catch_up": "all", "overlap": "allow", "grace_secs": 120}))

    def claims(run: CronRun) -> bool:
        return run.status is not Status.SKIPPED

    line.full = claims
    line.sleep(630)
    line.open()
    line.full = lambda _run: False
    line.open()
    missed = [run for run in line.stored() if run.reason is Reason.MISSED]
    assert [run.scheduled_at for run in missed] == [NOON + timedelta(minutes=8)]
    assert "8 occurrences" in missed[0].error
    assert [run.scheduled_at.minute for run in line.stored()] == [8, 9, 10]


def test_after_a_drain_it_can_begin_again(line: Timeline) -> None:
    play(line, (0, "add", {**EACH_MINUTE, "overlap": "queue"}), (121, "drain", 5.0), (123, "end"))
    assert line.core.drained()
    line.core.reset()
    recover(line.core, line.clock.now())
    line.core.load()
    line.turn()
    assert line.ends() == ["completed", "running"]


def test_a_full_disk_is_complained_of_once_a_turn(line: Timeline, caplog: pytest.LogCaptureFixture) -> None:
    for name in "abcdefgh":
        line.add(name, **EACH_MINUTE)
    play(line, (50, "full"), (60, "nothing"))
    assert caplog.text.count("cannot be stored and is tried again") == 1
