"""Histories: what happens at which second, and what stands on disk at the end of it.

A history is data: events as `tests.timeline.play` takes them. Each ends with the rules that hold for all
(`Timeline.check_rules`), and at every spawn it was looked on disk whether it had been claimed.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.reasons import Reason
from supervisor.models import SECOND
from tests.fakes import NOON
from tests.timeline import EACH_MINUTE, Event, play, timeline

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
def test_history(name: str) -> None:
    events, ends, attempts = HISTORIES[name]
    with timeline() as line:
        play(line, *events)
        line.check_rules()
        assert line.ends() == ends
        assert [attempt for _, attempt in line.attempts()] == attempts
