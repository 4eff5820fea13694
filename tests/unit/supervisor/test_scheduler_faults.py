"""What the scheduler does about what breaks: definitions, runners, directories, files, disks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from shared.reasons import Reason
from supervisor.config import Config
from supervisor.models import NEVER, CronRun
from supervisor.spawning.liveruns import SAVE_AGAIN
from supervisor.status import Status, final_status
from supervisor.stores.asciijson import to_ascii_json
from tests.fakes import NOON
from tests.timeline import EACH_MINUTE, Event, Timeline, play, timeline

ONE_SLOT = Config(max_concurrent=1)
FAILS, GIVES_UP = Reason.AGENT_ERROR, Reason.AUTH_FAILED


@pytest.fixture
def line() -> Iterator[Timeline]:
    with timeline() as made:
        yield made
        made.check_rules()


@pytest.fixture
def narrow() -> Iterator[Timeline]:
    with timeline(ONE_SLOT) as made:
        yield made
        made.check_rules()


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


@pytest.mark.parametrize(
    "changes",
    [
        {"cron_expr": "", "at": "9999-12-31T23:59:59-10:00"},
        {"cron_expr": "59 23 31 12 *", "timezone": "UTC", "start": "9999-01-01T00:00:00Z", "jitter_secs": 86400},
        {"start": "0001-01-01T00:00:00Z"},
    ],
    ids=str,
)
def test_a_job_with_an_instant_that_no_calendar_has_does_not_stop_the_others(
    line: Timeline, changes: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    play(line, (0, "add", "a", EACH_MINUTE), (0, "add", "b", EACH_MINUTE))
    path = line.runs.home.jobs / f"{line.job_ids['a']}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    play(line, (10, "crash"), (61, "nothing"))
    assert (line.ends("a"), line.ends("b")) == ([], ["running"])
    assert "is not scheduled: The job 00000001-job has an instant" in caplog.text


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


def test_a_clock_set_back_while_the_disk_is_full_does_not_delay_what_is_owed(line: Timeline) -> None:
    """By too little for everything to be planned anew: what is tried again has to come back by itself."""
    line.add(at=NOON + timedelta(minutes=1))
    line.full = lambda _run: True
    line.sleep(3 * 3600)
    line.turn()
    assert line.stored() == []
    line.clock.wall -= timedelta(hours=2)
    line.full = lambda _run: False
    line.turn()  # one that somebody else asked for; it is too early, and must not lose when to come again
    assert (line.stored(), line.wake.mono) == ([], line.clock.mono + SAVE_AGAIN)
    line.pass_by(SAVE_AGAIN)
    assert [run.scheduled_at for run in line.stored()] == [NOON + timedelta(minutes=1)]


def test_many_jobs_that_a_full_disk_keeps_from_starting_are_tried_again_together(line: Timeline) -> None:
    tries = set[float]()
    for number in range(30):
        line.add(f"job {number}", at=NOON + timedelta(seconds=60, milliseconds=61 * number))
    line.full = lambda _run: tries.add(line.clock.mono) is None
    line.pass_by(70)
    tries.clear()
    line.pass_by(60)
    assert 29 <= len(tries) <= 31
    line.full = lambda _run: False
    line.pass_by(SAVE_AGAIN)
    assert all(line.stored(f"job {number}") for number in range(30))


def test_a_drain_does_not_wait_for_what_is_tried_again(line: Timeline) -> None:
    play(line, (0, "add", EACH_MINUTE), (50, "full"), (61, "drain", 30.0), (200, "nothing"))
    assert (line.wake.wall, line.wake.mono) == (None, None)


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


def test_a_full_disk_is_complained_of_once_a_turn(line: Timeline, caplog: pytest.LogCaptureFixture) -> None:
    for name in "abcdefgh":
        line.add(name, **EACH_MINUTE)
    play(line, (50, "full"), (60, "nothing"))
    assert caplog.text.count("cannot be stored and is tried again") == 1


BY_HAND: dict[str, tuple[dict[str, Any], list[Event], Reason, list[Event]]] = {
    # the job, what happens until somebody writes the end of its run, which end that is, and what happens then
    "before it starts": ({}, [(61, "nothing")], Reason.CANCELED_BY_USER, [(70, "end", Reason.OK, 0)]),
    "before it cannot start": (
        {}, [(61, "nothing")], Reason.CANCELED_BY_USER,
        [(65, "__setattr__", "bad_definition", "It is gone."), (70, "end", Reason.OK, 0)],
    ),
    "before it is too late": ({"grace_secs": 5}, [(61, "nothing")], Reason.CANCELED_BY_USER, [(75, "nothing")]),
    "before its job is removed": ({}, [(61, "nothing")], Reason.MISSED, [(62, "remove", "b")]),
    "before it is canceled": ({}, [(61, "nothing")], Reason.MISSED, [(62, "cancel", "00000002-run")]),
    "while it runs": ({}, [(61, "end"), (62, "nothing")], Reason.OK, [(65, "end", GIVES_UP)]),
    "while it runs, and it is canceled": (
        {}, [(61, "end"), (62, "nothing")], Reason.OK, [(65, "cancel", "00000002-run"), (66, "end", FAILS)],
    ),
    "while it runs, and it is replaced": (
        {"overlap": "replace"}, [(61, "end"), (62, "nothing")], Reason.OK, [(125, "end", FAILS, 1)],
    ),
    "while it runs, and it would be tried again": ({}, [(61, "end"), (62, "nothing")], Reason.OK, [(65, "end", FAILS)]),
    "during its back-off": ({}, [(61, "end"), (62, "end", FAILS)], Reason.OK, [(70, "nothing")]),
    "during its back-off, and it is canceled": (
        {}, [(61, "end"), (62, "end", FAILS)], Reason.OK, [(62.5, "cancel", "00000002-run")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("when", BY_HAND)
def test_an_end_that_somebody_writes_by_hand_counts_and_stops_nothing(
    narrow: Timeline, when: str, caplog: pytest.LogCaptureFixture
) -> None:
    fields, before, reason, after = BY_HAND[when]
    play(narrow, (0, "add", "a", {"cron_expr": "1 * * * *"}), (0, "add", "b", {**EACH_MINUTE, **fields}), *before)
    path = narrow.runs.home.runs / f"{narrow.job_ids['b']}.jsonl"
    run = narrow.stored("b")[0]
    end = run.noted(status=final_status(reason), reason=reason, error="Enough.", finished_at=narrow.clock.wall)
    path.write_bytes(path.read_bytes() + to_ascii_json(end) + b"\n")
    attempts, started = narrow.attempts(), list[str]()
    narrow.core.live.told_start = lambda _job, run: started.append(run.id)
    play(narrow, *after)
    assert narrow.stored("b")[0] == end
    assert run.id not in {*started, *(run_id for run_id, _ in narrow.attempts()[len(attempts) :])}
    assert [told for told in narrow.told if told.id == run.id] == [end]
    assert "somebody else wrote" in caplog.text
    assert run.id not in {one.run.id for one in (*narrow.core.live, *narrow.core.waiting)}
