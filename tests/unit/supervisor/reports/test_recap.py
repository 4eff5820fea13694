"""From records to a summary: what was done, what failed and why, what needs the owner, what is due next."""

from __future__ import annotations

import shlex
from datetime import timedelta
from typing import Any

from shared.findings import Branch, Deeds, Plant, Planted, Spending
from shared.reasons import Reason
from supervisor.admission.failing import is_pause_reason, pause_reason
from supervisor.definitions.limits import OwnLimits
from supervisor.models import CronJob, CronRun, Trigger
from supervisor.notifications.deliveries import OUTBOX_FULL, Channel, Delivery, Letter, State
from supervisor.reports.needs import named, repair
from supervisor.reports.recap import Known, Recap, recap
from supervisor.spawning.firstrecords import FirstRecords, missed_by
from supervisor.status import Status
from supervisor.stores.host import Host
from supervisor.stores.recent import Recent
from supervisor.timing.occurrences import Owed
from tests.fakes import NOON, make_job, make_run

HOUR = timedelta(hours=1)
SINCE = NOON - 9 * HOUR


def job(name: str, **fields: Any) -> CronJob:
    return make_job(id=f"id-{name}", name=name, created_at=NOON - 99 * HOUR, changed_at=NOON - 99 * HOUR, **fields)


def run(
    of: CronJob, hours: float, status: Status = Status.COMPLETED, reason: Reason | None = None, **f: Any
) -> CronRun:
    """One that ended so many hours ago."""
    at = NOON - hours * HOUR
    over = {"finished_at": at} if status.final else {}
    facts = {"scheduled_at": at, "started_at": at, "trigger": Trigger.SCHEDULE, **over, **f}
    known = reason or (Reason.OK if status is Status.COMPLETED else None)
    return make_run(id=f"run-{hours}", job_id=of.id, job_name=of.name, status=status, reason=known, **facts)


def made(*found: tuple[CronJob, list[CronRun]], live: list[CronRun] | None = None, **facts: Any) -> Recap:
    """`live`: by default a supervisor answers, and nothing goes on."""
    recent = [Recent(each.id, tuple(runs), settled=NOON) for each, runs in found]
    known = {"live": [] if live is None else live, "since": SINCE, "now": NOON, "recent": recent, **facts}
    return recap(Known(jobs=[each for each, _ in found], **known))


def test_ends_are_counted_by_status_and_reason_completed_first_and_the_most_first() -> None:
    a, b = job("a"), job("b")
    missed = run(b, 1, Status.SKIPPED, Reason.MISSED, error="37 occurrences were missed, from x to y.")
    runs = [run(a, 1), run(a, 2), run(a, 3, Status.FAILED, Reason.AGENT_ERROR), run(a, 9.5)]
    runs += [run(a, hours, Status.FAILED, Reason.TIMEOUT_WALL) for hours in (4, 5)]
    found = made((a, runs), (b, [run(b, 3), missed, run(b, 2, Status.FAILED, Reason.TIMEOUT_WALL)]))
    assert [(each.status, each.reason, each.count, each.jobs) for each in found.ends] == [
        (Status.COMPLETED, Reason.OK, 3, (("a", 2), ("b", 1))),
        (Status.FAILED, Reason.TIMEOUT_WALL, 3, (("a", 2), ("b", 1))),
        (Status.FAILED, Reason.AGENT_ERROR, 1, (("a", 1),)),
        (Status.SKIPPED, Reason.MISSED, 37, (("b", 37),)),
    ]
    assert found.count(Status.FAILED, Status.SKIPPED) == 41


def test_how_many_were_missed_is_read_as_it_is_written() -> None:
    records = FirstRecords(lambda: "run-1", Host("h", "b"))
    for count in (1, 2, 4711):
        owed = Owed(missed=count, missed_first=SINCE, missed_last=NOON)
        assert missed_by(records.missed(job("a"), owed, NOON)) == count
    assert missed_by(run(job("a"), 1, Status.SKIPPED, Reason.OVERLAP)) == 0


def test_what_was_spent_and_changed_is_of_runs_that_ended_since_then() -> None:
    a = job("a")
    said = Spending(cost_usd=0.1, input_tokens=10, output_tokens=3)
    branch = Branch(original="/w", base="f00d", name="cronward/x", commits=2)
    runs = [
        run(a, 1, spending=said, charged_usd=0.1, charged_tokens=13, branch=branch),
        run(a, 2, charged_usd=0.2, deeds=Deeds(files=("x.py",))),
        run(a, 10, spending=said, charged_usd=5.0, deeds=Deeds(files=("old.py",))),
        run(a, 3, branch=Branch(original="/w", base="f00d")),
    ]
    found = made((a, runs))
    assert (found.cost.usd, found.cost.input_tokens, found.cost.output_tokens, found.cost.assumed) == (0.3, 10, 3, 1)
    assert [(each.run_id, each.branch, each.files) for each in found.changes] == [
        ("run-2", None, ("x.py",)),
        ("run-1", branch, ()),
    ]


def needs(of: CronJob, *runs: CronRun, **facts: Any) -> list[tuple[str, str]]:
    return [(need.words, need.command) for need in made((of, list(runs)), **facts).needs]


def test_each_failure_names_the_command_that_repairs_it() -> None:
    table: list[tuple[dict[str, Any], Reason, str]] = [
        ({"agent": "claude", "login": True}, Reason.AUTH_FAILED, "cronward login claude"),
        ({"agent": "claude", "login": True, "secrets": ("KEY",)}, Reason.AUTH_FAILED, "cronward login claude"),
        ({"agent": "claude", "secrets": ("KEY=ANTHROPIC_API_KEY",)}, Reason.AUTH_FAILED, "cronward secret set KEY"),
        ({"agent": "command", "command": "x"}, Reason.AUTH_FAILED, "cronward logs run-1"),
        ({}, Reason.NETWORK_DENIED, "cronward logs --network run-1"),
        ({}, Reason.SANDBOX_UNAVAILABLE, "cronward doctor a"),
        ({}, Reason.BAD_DEFINITION, "cronward doctor a"),
        ({}, Reason.BUDGET_EXCEEDED, "cronward why a"),
        ({"timeout_secs": 90}, Reason.TIMEOUT_WALL, "cronward edit a --timeout 180s"),
        ({}, Reason.AGENT_ERROR, "cronward logs run-1"),
        ({}, Reason.OUT_OF_MEMORY, "cronward logs run-1"),
        ({"limits": OwnLimits(memory=200 << 20)}, Reason.OUT_OF_MEMORY, "cronward edit a --memory 400MiB"),
    ]
    for fields, reason, command in table:
        a = job("a", **fields)
        failed = run(a, 1, Status.FAILED, reason, error="It broke.", agent=a.agent)
        assert needs(a, failed) == [(f"failed ({reason.value}): It broke.", command)], (fields, reason)


def test_every_reason_has_a_command_that_is_ours() -> None:
    for reason in Reason:
        words = shlex.split(repair(job("a"), run(job("a"), 1, Status.FAILED, reason)))
        assert words[0] == "cronward", reason


def test_only_how_a_job_stands_now_needs_anybody() -> None:
    a = job("a")
    failed = run(a, 2, Status.FAILED, Reason.AGENT_ERROR)
    assert needs(a, run(a, 1), failed) == [], "it has completed since"
    assert needs(a, run(a, 1, Status.SKIPPED, Reason.OVERLAP), failed) != []
    assert needs(a.model_copy(update={"enabled": False}), failed) == [], "its owner paused it"
    assert needs(a, run(a, 1, Status.UNKNOWN, Reason.SUPERVISOR_DIED))[0][1] == "cronward logs run-1"
    spent = run(a, 1, Status.SKIPPED, Reason.BUDGET_EXCEEDED, error="All is used.")
    assert needs(a, spent) == [("is skipped: All is used.", "cronward why a")]
    assert needs(a, run(a, 0.5), spent) == []


def test_what_failed_before_needs_somebody_only_if_it_cannot_get_better_by_itself() -> None:
    a = job("a")
    for reason, wanted in ((Reason.AGENT_ERROR, 0), (Reason.CHECK_FAILED, 0), (Reason.SANDBOX_UNAVAILABLE, 1)):
        before = Recent(a.id, before=run(a, 50, Status.FAILED, reason))
        assert len(made((a, []), recent=[before]).needs) == wanted, reason


def test_a_job_that_its_failures_paused_is_to_be_resumed() -> None:
    for limit in (1, 10):
        assert is_pause_reason(pause_reason(limit))
    paused = job("a", enabled=False, pause_reason=pause_reason(10))
    ((words, command),) = needs(paused, run(paused, 1, Status.FAILED, Reason.AGENT_ERROR))
    assert "10 runs in a row failed." in words
    assert command == "cronward resume a"
    assert needs(job("a", enabled=False, pause_reason="not before the release")) == []


def test_leavings_are_told_once_a_job_and_the_pressing_comes_first() -> None:
    a = job("a")
    left = Planted(found=(Plant(path="x", why="tool"),), count=2, seen=3)
    failed = run(a, 1, Status.FAILED, Reason.AGENT_ERROR)
    found = made((a, [failed, run(a, 2, planted=left), run(a, 3, planted=left), run(a, 4, planted=Planted(seen=3))]))
    assert [(need.run_id, need.pressing) for need in found.needs] == [("run-2", True), ("run-1", False)]


def test_a_name_that_a_shell_or_a_person_would_misread_is_no_name_for_a_command() -> None:
    for name in ("-rf", "a b", "$(x)", "\x1b[2J", "日本", "a;b", ""):
        assert named(make_job(name=name)) == make_job().id, name
    assert named(make_job(name="a-1.b_c")) == "a-1.b_c"


def test_what_is_due_next_is_told_and_a_paused_job_never_is() -> None:
    jobs = [job("late", cron_expr="0 20 * * *"), job("soon", cron_expr="30 12 * * *"), job("off", enabled=False)]
    ended = job("over", cron_expr="* * * * *", max_runs=3).model_copy(update={"run_count": 3})
    found = made(*((each, []) for each in (*jobs, ended)))
    assert [(due.job, due.at) for due in found.due] == [("soon", NOON + 0.5 * HOUR), ("late", NOON + 8 * HOUR)]
    assert found.overdue == ()


def test_where_nothing_keeps_time_it_says_so_and_what_should_have_started() -> None:
    a, b = job("a", cron_expr="0 * * * *"), job("b", cron_expr="0 * * * *")
    recent = [Recent(a.id, settled=NOON - 3 * HOUR), Recent(b.id, settled=NOON)]
    found = recap(Known([a, b], recent, SINCE, NOON, asleep="Nobody is up."))
    assert not found.keeping_time
    assert found.needs[0].words == "Nobody is up."
    assert [(due.job, due.at) for due in found.overdue] == [("a", NOON - 2 * HOUR)]
    assert [need.command for need in found.needs] == ["cronward supervise --ensure"]
    silent = recap(Known([a], recent, SINCE, NOON, trouble="It does not answer."))
    assert [(need.words, need.command) for need in silent.needs] == [("It does not answer.", "cronward status")]
    assert recap(Known([job("a", enabled=False)], [], SINCE, NOON)).needs == ()


def letter(number: int, state: State, hours: float, error: str) -> Letter:
    at = NOON - hours * HOUR
    known = {"next_at": at, "expires_at": at, "settled_at": at, "state": state, "error": error}
    told = Delivery(id=f"msg_{number}", channel=Channel.WEBHOOK, to="https://x.example/", **known)
    return Letter(run_id=f"run-{number}", job_id="j", status=Status.FAILED, made_at=at, deliveries=(told,))


def test_notifications_that_were_given_up_are_told_but_not_those_that_their_owner_dropped() -> None:
    lost = [
        letter(1, State.FAILED, 1, "The webhook answered 404."),
        letter(2, State.EXPIRED, 2, "x"),
        letter(3, State.DROPPED, 0.5, OUTBOX_FULL),
    ]
    fine = [
        letter(4, State.DROPPED, 1, "No answer."),
        letter(5, State.WAITING, 1, "x"),
        letter(6, State.DELIVERED, 1, ""),
    ]
    (need,) = made((job("a"), []), untold=[*lost, *fine]).needs
    assert need.words == "3 notifications were given up. The last one: The outbox was full."
    assert (need.command, need.run_id, need.pressing) == ("cronward outbox list", "run-3", False)
    (need,) = made((job("a"), []), untold=lost[:1]).needs
    assert need.words == "1 notification was given up. The last one: The webhook answered 404."
    assert made((job("a"), []), untold=fine).needs == ()


def test_what_goes_on_is_the_supervisors_word_and_without_one_what_is_on_disk() -> None:
    a = job("a")
    stored, live = run(a, 1, Status.RUNNING), run(a, 50, Status.RUNNING)
    assert made((a, [stored]), live=[live]).going_on == (live,)
    assert recap(Known([a], [Recent(a.id, (stored,))], SINCE, NOON)).going_on == (stored,)


def test_a_removed_job_keeps_the_name_it_had() -> None:
    gone = job("gone")
    found = recap(Known([], [Recent(gone.id, (run(gone, 1),)), Recent("x", whole=False)], SINCE, NOON, []))
    assert found.ends[0].jobs == (("gone", 1),)
    assert found.incomplete == ("x",)
