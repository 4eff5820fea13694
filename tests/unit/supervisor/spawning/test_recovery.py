"""What a former supervisor left open: each way in which it can stand on disk, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.reasons import Reason
from supervisor.errors import StoreError
from supervisor.models import CronRun, Trigger
from supervisor.spawning.recovery import recover
from supervisor.status import Status
from supervisor.stores import jobfile
from supervisor.stores.store import UnreadableError
from tests.fakes import NOON, make_run
from tests.timeline import HOST, USED, Timeline, put_result, timeline

QUEUED = {"status": Status.QUEUED, "trigger": Trigger.SCHEDULE}
RUNNING = {"status": Status.RUNNING, "attempt": 1, "started_at": NOON}
STOPPING = {**RUNNING, "status": Status.STOPPING, "stop_reason": Reason.REPLACED}
BACK_OFF = {"retry_at": NOON + timedelta(minutes=5), "retry_count": 0, "usage": USED}
MANUAL = {"trigger": Trigger.MANUAL}
GONE, PAUSED, THERE = "gone", "paused", "there"

# how it stood, its job now, the result on disk -> how it stands
LEFT: dict[str, tuple[dict[str, Any], str, Reason | None, str]] = {
    "queued": (QUEUED, THERE, None, "queued"),
    "queued by hand": ({**QUEUED, **MANUAL}, THERE, None, "queued"),
    "queued, its job removed": (QUEUED, GONE, None, "canceled job_removed"),
    "queued, its job paused": (QUEUED, PAUSED, None, "canceled job_disabled"),
    "queued by hand, its job paused": ({**QUEUED, **MANUAL}, PAUSED, None, "queued"),
    "running": (RUNNING, THERE, None, "unknown supervisor_died"),
    "running, completed": (RUNNING, THERE, Reason.OK, "completed"),
    "running, failed": (RUNNING, THERE, Reason.AGENT_ERROR, "failed agent_error"),
    "running, its job removed": (RUNNING, GONE, Reason.OK, "completed"),
    "running, ended with its supervisor": (RUNNING, THERE, Reason.SUPERVISOR_DIED, "unknown supervisor_died"),
    "running, told to end, and the disk was full": (
        RUNNING, THERE, Reason.CANCELED_BY_USER, "canceled canceled_by_user"
    ),
    "stopping": (STOPPING, THERE, None, "unknown supervisor_died"),
    "stopping, ended": (STOPPING, THERE, Reason.REPLACED, "canceled replaced"),
    "stopping, completed all the same": (STOPPING, THERE, Reason.OK, "canceled replaced"),
    "waiting out a back-off": ({**RUNNING, **BACK_OFF}, THERE, Reason.AGENT_ERROR, "running"),
    "waiting out a back-off, its job paused": ({**RUNNING, **BACK_OFF}, PAUSED, Reason.AGENT_ERROR, "running"),
    "waiting out a back-off, its job removed": (
        {**RUNNING, **BACK_OFF}, GONE, Reason.AGENT_ERROR, "canceled job_removed"
    ),
    "stopping out of a back-off": ({**STOPPING, **BACK_OFF}, THERE, Reason.AGENT_ERROR, "canceled replaced"),
}  # fmt: skip


def leave(
    line: Timeline, job_is: str, result: Reason | None, job_fields: dict[str, Any] | None = None, **fields: Any
) -> CronRun:
    """A run as it stands on disk, with its job and perhaps its runner's last word."""
    job = line.add(cron_expr="0 0 1 1 *", **(job_fields or {}))
    if job_is == PAUSED:
        line.pause()
    elif job_is == GONE:
        line.remove()
    log_dir = line.root / "logs" / "run-1" / "1"
    run = make_run(id="run-1", job_id=job.id, queued_at=NOON, log_dir=str(log_dir), **{"host": "elsewhere", **fields})
    line.runs.record(run)
    if result is not None:
        put_result(log_dir, run.id, run.attempt, result)
    return run


@pytest.fixture
def line() -> Iterator[Timeline]:
    with timeline() as made:
        yield made


@pytest.mark.parametrize("name", LEFT)
def test_what_was_left_open_is_settled(line: Timeline, name: str) -> None:
    fields, job_is, result, expected = LEFT[name]
    leave(line, job_is, result, **fields)
    line.open(load=False)
    said = recover(line.core, line.clock.now())
    assert line.ends() == [expected]
    assert line.attempts() == []
    assert len(said) == 1
    assert said[0].startswith("Run run-1 ")
    line.open(load=False)
    recover(line.core, line.clock.now())
    assert line.ends() == [expected]


HERE = {**RUNNING, "scheduled_at": NOON, "host": HOST.name, "boot_id": "boot-0"}
WAIVED = {"rerun_unknown": True, "grace_secs": 3600}

# the run, the job, the result on disk, how much later it is found -> how it stands then, and the words for it
WAIVERS: dict[str, tuple[dict[str, Any], dict[str, Any], Reason | None, float, str, str]] = {
    "waived": (HERE, WAIVED, None, 60, "running", "tried again"),
    "waived, and its runner said no more than that": (
        HERE, WAIVED, Reason.SUPERVISOR_DIED, 60, "running", "tried again"
    ),
    "waived, and finished": (HERE, WAIVED, Reason.OK, 60, "completed", ""),
    "not waived": (HERE, {}, None, 60, "unknown supervisor_died", "by itself"),
    "told to end": ({**HERE, **STOPPING}, WAIVED, None, 60, "unknown supervisor_died", "by itself"),
    "on another host": ({**HERE, "host": "elsewhere"}, WAIVED, None, 60, "unknown supervisor_died", "ran on elsewhere"),
    "no retry left": ({**HERE, "retry_count": 3}, WAIVED, None, 60, "unknown supervisor_died", "3 of 3 retries"),
    "its time is over": (HERE, WAIVED, None, 1800, "unknown supervisor_died", "its time is over"),
    "its time is not over, for it waited for a quota": (
        {**HERE, "rested_secs": 600}, WAIVED, None, 1800, "running", "tried again"
    ),
    "its grace is over": (HERE, {**WAIVED, "grace_secs": 600}, None, 601, "unknown supervisor_died", "its grace"),
    "its grace is over, but it was asked for by hand": (
        HERE | MANUAL, {**WAIVED, "grace_secs": 600}, None, 601, "running", "tried again"
    ),
    "its job is paused": (HERE, {**WAIVED, "enabled": False}, None, 60, "unknown supervisor_died", "paused"),
    "its runner still lives": (HERE, WAIVED, None, 60, "unknown supervisor_died", "cannot be killed"),
}  # fmt: skip


def test_a_run_that_nobody_saw_end_is_tried_again_only_by_its_owners_waiver() -> None:
    for name, (fields, policy, result, later, expected, words) in WAIVERS.items():
        with timeline() as line:
            leave(line, THERE, result, job_fields=policy, **{"trigger": Trigger.SCHEDULE, **fields})
            line.sleep(later)
            line.open(load=False)
            recover(line.core, line.clock.now(), {"run-1"} if "lives" in name else frozenset())
            assert line.ends() == [expected], name
            assert words in line.stored()[0].error, name
            if expected != "running":
                continue
            line.open()  # killed once more, before it could be tried again
            assert line.attempts() == [], name
            line.pass_by(2)
            assert line.attempts() == [("run-1", 2)], name
            assert (line.stored()[0].host, line.stored()[0].boot_id) == (HOST.name, HOST.boot_id), name
            line.end()
            assert line.ends() == ["completed"], name


def test_what_an_attempt_used_is_counted_once(line: Timeline) -> None:
    leave(line, THERE, Reason.AGENT_ERROR, **STOPPING, **BACK_OFF)
    line.open()
    assert line.stored()[0].usage == USED


def test_what_it_used_and_when_it_was_found_over_is_stored(line: Timeline) -> None:
    leave(line, THERE, Reason.OK, **RUNNING)
    line.sleep(3600)
    line.open()
    run = line.stored()[0]
    assert (run.usage, run.duration) == (USED, 2_000_000_000)
    assert run.finished_at == NOON + timedelta(hours=1)


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "{}",
        '{"run_id": "run-2", "attempt": 1, "reason": "ok"}',
        '{"run_id": "run-1", "attempt": 2, "reason": "ok"}',
    ],
)
def test_a_result_that_is_torn_or_another_attempts_proves_nothing(line: Timeline, damage: str) -> None:
    leave(line, THERE, Reason.OK, **RUNNING)
    (line.root / "logs" / "run-1" / "1" / "result.json").write_text(damage)
    line.open()
    assert line.ends() == ["unknown supervisor_died"]


def test_the_owner_is_told_of_an_end_that_nobody_was_told_of(line: Timeline) -> None:
    leave(line, THERE, Reason.OK, **RUNNING)
    line.open()
    assert [run.id for run in line.told] == ["run-1"]


def test_a_claim_says_where_its_runner_is_wherever_it_was_queued(line: Timeline) -> None:
    leave(line, THERE, None, **{**QUEUED, **MANUAL}, scheduled_at=NOON, boot_id="boot-0")
    line.open()
    assert [(run.status, run.host, run.boot_id) for run in line.lines()] == [
        (Status.QUEUED, "elsewhere", "boot-0"),
        (Status.RUNNING, HOST.name, HOST.boot_id),
    ]


def test_queued_runs_keep_their_order_across_jobs(line: Timeline) -> None:
    for number in (3, 1, 2):
        job = line.add(f"job-{number}", cron_expr="0 0 1 1 *")
        line.runs.record(
            make_run(id=f"run-{number}", job_id=job.id, queued_at=NOON + timedelta(seconds=number), **MANUAL)
        )
    line.open(load=False)
    recover(line.core, line.clock.now())
    assert [waiting.run.id for waiting in line.core.waiting] == ["run-1", "run-2", "run-3"]


def test_runs_that_were_queued_at_one_instant_are_queued_again_in_the_order_in_which_they_were_due(
    line: Timeline,
) -> None:
    job = line.add(cron_expr="0 * * * *")
    for number, hours in ((2, 3), (3, 2), (1, 1)):
        due = {"trigger": Trigger.CATCH_UP, "scheduled_at": NOON - timedelta(hours=hours)}
        line.runs.record(make_run(id=f"run-{number}", job_id=job.id, queued_at=NOON, **due))
    line.open(load=False)
    recover(line.core, line.clock.now())
    assert [waiting.run.id for waiting in line.core.waiting] == ["run-2", "run-3", "run-1"]


def test_a_queued_run_still_expires(line: Timeline) -> None:
    leave(line, THERE, None, **{**QUEUED, "scheduled_at": NOON - timedelta(days=2)})
    line.open()
    assert line.ends() == ["skipped expired"]


def test_a_queued_run_of_a_job_whose_schedule_was_spoilt_by_hand_fails_by_its_name(line: Timeline) -> None:
    job = leave(line, THERE, None, **QUEUED)
    path = line.runs.home.jobs / f"{job.job_id}.json"
    path.write_text(path.read_text().replace("0 0 1 1 *", "61 0 1 1 *"))
    line.open()
    assert line.ends() == ["failed bad_definition"]


@pytest.mark.parametrize("name", ["queued", "running", "running, completed", "waiting out a back-off"])
def test_a_run_whose_job_cannot_be_read_stays_as_it_is_keeps_nobody_waiting_and_is_settled_by_the_next_start(
    line: Timeline, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    fields, job_is, result, expected = LEFT[name]
    job_id = leave(line, job_is, result, **{**fields, "scheduled_at": NOON}).job_id
    line.add("other", cron_expr="0 0 1 1 *")
    line.runs.record(make_run(id="run-2", job_id=line.job_ids["other"], queued_at=NOON, **RUNNING))
    path = line.runs.home.jobs / f"{job_id}.json"

    def unreadable(asked: Path, load: Callable[[Path], Any] = jobfile.load) -> Any:
        if asked == path:
            raise UnreadableError(f"{path} cannot be read: Permission denied.")
        return load(asked)

    with monkeypatch.context() as denied:
        denied.setattr(jobfile, "load", unreadable)
        line.open(load=False)
        said = recover(line.core, line.clock.now())
        assert f"Run run-1 stays {fields['status'].value} until a supervisor starts that can read its job." in said[0]
        assert "Permission denied" in said[0]
        assert (line.ends()[0], line.ends("other")) == (fields["status"].value, ["unknown supervisor_died"])
        line.core.load(line.clock.wall)
        line.turn()
    readable = line.core.jobs.get(job_id)
    assert readable is not None
    line.core.run(readable, line.clock.now())
    line.turn()
    assert line.ends()[1:] == ["running"], "it does not wait for the one that was left"
    line.end()
    line.open(load=False)
    recover(line.core, line.clock.now())
    assert line.ends() == [expected, "completed"]


def test_with_a_full_disk_it_says_so_instead_of_starting_anything(line: Timeline) -> None:
    leave(line, THERE, None, **RUNNING)
    line.full = lambda _run: True
    with pytest.raises(StoreError):
        line.open()
    assert line.attempts() == []
