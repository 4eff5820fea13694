"""What is owed to whom, and what becomes of it: tables, no disk, no clock."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

from shared.reasons import Reason
from supervisor.models import CronRun, Event
from supervisor.notifications.deliveries import (
    LONGEST,
    WAITS,
    Channel,
    Delivery,
    News,
    State,
    delay_after,
    due_at,
    letter_of,
    wanted,
)
from supervisor.notifications.targets import Notify, Target
from supervisor.status import Status, final_status
from tests.fakes import NOON, make_job, make_run

NOTIFY = Notify(targets={"phone": Target(apprise="PHONE"), "log": Target(url="https://l.example/", every_run=True)})
HOURS = timedelta(hours=1)


def ended(reason: Reason) -> CronRun:
    return make_run(status=final_status(reason), reason=reason, finished_at=NOON)


OK, FAILED, CANCELED = ended(Reason.OK), ended(Reason.AGENT_ERROR), ended(Reason.REPLACED)
UNKNOWN, SKIPPED, NOTHING = ended(Reason.SUPERVISOR_DIED), ended(Reason.OVERLAP), ended(Reason.NOTHING_TO_DO)


def owed(run: CronRun, news: News | None = None, callbacks: int = 0, **job: Any) -> list[str]:
    letter = letter_of(make_job(**job), run, NOTIFY, news, NOON, callbacks)
    return [f"{each.channel} {each.to} {each.news}" for each in letter.deliveries]


def test_which_end_is_told_where_and_what_one_may_ask_for() -> None:
    urls = {"on_complete": "https://a/", "on_fail": "https://b/"}
    good, bad = ["webhook https://a/ end"], ["webhook https://b/ end"]
    for run, told in ((OK, good), (FAILED, bad), (CANCELED, bad), (UNKNOWN, bad), (SKIPPED, []), (NOTHING, [])):
        assert owed(run, **urls) == told, run.status
        assert owed(run, silent=True, **urls) == [], run.status
        assert wanted(make_job(), run) == bool(told), run.status
    for event, runs in ((Event.COMPLETED, [OK]), (Event.FAILED, [FAILED, UNKNOWN]), (Event.CANCELED, [CANCELED])):
        for run in (OK, FAILED, CANCELED, UNKNOWN, SKIPPED):
            assert bool(owed(run, notify_on=[event], **urls)) == (run in runs), (event, run.status)


def test_a_target_gets_alerts_or_every_end() -> None:
    rows: list[tuple[CronRun, News | None, dict[str, Any], list[str]]] = [
        (FAILED, News.FAILURE, {}, ["target phone failure", "target log end"]),
        (FAILED, None, {}, ["target log end"]),
        (FAILED, News.REMINDER, {}, ["target phone reminder", "target log end"]),
        (OK, News.RECOVERY, {}, ["target phone recovery", "target log end"]),
        (OK, None, {}, ["target log end"]),
        (OK, None, {"notify_on": ["completed"]}, ["target phone end", "target log end"]),
        (OK, News.RECOVERY, {"notify_on": ["completed"]}, ["target phone end", "target log end"]),
        (FAILED, News.FAILURE, {"notify_on": ["completed"]}, []),
        (CANCELED, None, {}, ["target log end"]),
        (CANCELED, None, {"notify_on": ["canceled"]}, ["target phone end", "target log end"]),
        (FAILED, News.FAILURE, {"silent": True}, []),
        (SKIPPED, None, {}, []),
    ]
    for run, news, job, told in rows:
        assert owed(run, news, notify=["phone", "log", "phone"], **job) == told, (run.status, news, job)


def test_a_target_that_the_configuration_lost_is_still_owed_its_alert() -> None:
    assert owed(FAILED, News.FAILURE, notify=["gone"]) == ["target gone failure"]


def test_a_ping_says_life_or_death_whatever_the_owner_wants_to_hear() -> None:
    rows = ((OK, "end"), (NOTHING, "end"), (FAILED, "failure"), (UNKNOWN, "failure"), (CANCELED, ""), (SKIPPED, ""))
    for run, told in rows:
        expected = [f"ping https://p/ {told}"] if told else []
        assert owed(run, ping="https://p/", silent=True) == expected, run.reason


def test_each_callback_of_a_program_is_owed_by_itself() -> None:
    assert owed(OK, callbacks=2) == ["callback 0 end", "callback 1 end"]
    assert owed(SKIPPED, callbacks=2) == []


def test_ids_are_one_for_each_receiver_and_the_same_whenever_they_are_made() -> None:
    job = make_job(on_fail="https://b/", ping="https://p/", notify=["phone", "log"])
    made = [letter_of(job, FAILED, NOTIFY, News.FAILURE, NOON, 2) for _ in range(2)]
    ids = [each.id for each in made[0].deliveries]
    assert (ids, len(set(ids))) == ([each.id for each in made[1].deliveries], 6)
    assert not any("." in each for each in ids)


def test_a_private_job_has_no_name_in_what_is_told() -> None:
    assert letter_of(make_job(name="mine"), OK, NOTIFY).job_name == "mine"
    assert letter_of(make_job(name="mine", private=True), OK, NOTIFY).job_name == ""


def delivery(**fields: Any) -> Delivery:
    known = {"id": "msg_1", "channel": Channel.WEBHOOK, "to": "https://a/", "next_at": NOON}
    return Delivery.model_validate({**known, "expires_at": NOON + HOURS, **fields})


def test_the_wait_grows_over_hours_and_a_receiver_is_believed_up_to_a_bound() -> None:
    assert [delay_after(tries) for tries in (1, 2, 3)] == [0.5, 2.0, 8.0]
    assert all(before < after for before, after in pairwise(WAITS))
    assert delay_after(1000) == WAITS[-1] >= 3600
    assert (delay_after(1, 60.0), delay_after(9, 60.0), delay_after(1, 1e9)) == (60.0, WAITS[-1], LONGEST)


def test_the_last_try_is_when_it_expires() -> None:
    late = delivery().postponed("No.", 9999.0, NOON)
    assert (late.state, late.next_at, late.error) == (State.WAITING, NOON + HOURS, "No.")
    over = late.postponed("Still no.", 1.0, NOON + HOURS)
    assert (over.state, over.settled_at, over.error) == (State.EXPIRED, NOON + HOURS, "Still no.")
    again = over.again(NOON + 2 * HOURS, HOURS)
    assert (again.waits, again.tries, again.next_at, again.expires_at) == (True, 0, NOON + 2 * HOURS, NOON + 3 * HOURS)


def test_a_clock_that_was_set_back_keeps_nothing_from_being_told() -> None:
    soon = delivery(next_at=NOON + HOURS)
    assert due_at(soon, NOON) == NOON + HOURS
    assert due_at(soon, NOON - timedelta(days=300)) == NOON - timedelta(days=300)


def test_a_letter_is_bare_only_where_all_of_it_was_told() -> None:
    letter = letter_of(make_job(on_fail="https://b/", ping="https://p/"), FAILED, NOTIFY)
    first, second = letter.deliveries
    half = letter.having(first.settled(State.DELIVERED, NOON))
    assert (half.waits, half.told) == (True, False)
    given_up = half.having(second.settled(State.DROPPED, NOON))
    assert (given_up.waits, given_up.told) == (False, False)
    assert half.having(second.settled(State.DELIVERED, NOON)).told
    assert Status.FAILED is given_up.status


def test_what_was_delivered_meanwhile_stays_so_and_what_was_dropped_comes_back_only_where_it_is_asked_for() -> None:
    owed_now = delivery()
    told, dropped = owed_now.settled(State.DELIVERED, NOON), owed_now.settled(State.DROPPED, NOON)
    postponed, again = owed_now.postponed("No.", 1.0, NOON), dropped.again(NOON, HOURS)
    rows = [
        (owed_now, told, False, True), (owed_now, dropped, True, True), (owed_now, postponed, False, True),
        (told, again, True, False), (told, dropped, True, False), (told, postponed, False, False),
        (dropped, postponed, False, False), (dropped, again, True, True), (dropped, told, False, True),
    ]  # fmt: skip
    for before, after, anew, may in rows:
        letter = letter_of(make_job(), FAILED, NOTIFY).model_copy(update={"deliveries": (before,)})
        assert letter.takes(after, anew=anew) == may, (before.state, after.state, anew)
    assert not letter_of(make_job(), FAILED, NOTIFY).takes(owed_now, anew=True)
