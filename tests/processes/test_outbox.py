"""The durable outbox: kills at each write, a full disk, dead receivers, what people do. No real time passes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from shared.reasons import Reason
from supervisor.control.outboxdesk import OutboxDesk
from supervisor.errors import InvalidError, NotFoundError, RefusedError
from supervisor.models import CronRun
from supervisor.notifications import outbox as outbox_module
from supervisor.notifications.courier import AT_ONCE, Claimed
from supervisor.notifications.deliveries import LONGEST, Letter, State
from supervisor.notifications.outbox import Outbox, letter_about, letters
from supervisor.status import Status
from tests.fakes import NOON
from tests.postman import URL, Kill, Postman, postman, silence

DAY = 86400.0


def only(post: Postman) -> CronRun:
    (run,) = post.runs.all_runs()
    return run


def played(post: Postman, reason: Reason, dies_at: int = -1, after: bool = False) -> int:
    """One run from its start to its end told, killed at a write; how many writes it took."""
    job = post.add()
    post.disk.writes, post.disk.dies_at, post.disk.after = 0, dies_at, after
    try:
        post.run(job)
        post.end(reason)
        post.deliver()
    except Kill:
        post.in_a_turn = False
    writes, post.disk.dies_at = post.disk.writes, -1
    return writes


# ---- what a crash costs


@pytest.mark.parametrize("reason", [Reason.OK, Reason.AGENT_ERROR])
def test_whichever_write_it_is_killed_at_what_ended_is_told_as_it_ended(reason: Reason) -> None:
    with postman() as post:
        writes = played(post, reason)
        assert len(post.sent) == 1
    assert writes >= 4  # claim, letter, end, delivery
    for dies_at in range(writes):
        for after in (False, True):
            with postman() as post:
                played(post, reason, dies_at, after)
                before = [said for said, _ in post.sent]
                post.open()
                post.end(reason)  # where it was not started before, it is now
                post.deliver()
                where = f"killed {'after' if after else 'before'} write {dies_at}"
                if not post.runs.all_runs():
                    assert post.sent == [], where
                    continue
                run = only(post)
                assert run.status.final, where
                assert {said for said, _ in post.sent} == {f"msg_{run.id}_webhook"}, where
                assert post.sent[-1][1]["status"] == run.status.value, where
                assert len(post.sent) <= 2, where
                assert before in ([], [post.sent[0][0]]), where
                assert post.owed() == [], where
                post.open()
                assert post.deliver() is None, where  # told: not again at each start


def test_an_end_that_did_not_come_is_not_told() -> None:
    """Killed between the letter and the end, it comes back, and this time somebody cancels it."""
    with postman() as post:
        job = post.add(rerun_unknown=True, retries=1, notify_on=["completed"])
        run = post.run(job)
        post.disk.dies_at = post.disk.writes + 1
        with pytest.raises(Kill):
            post.end()
        post.in_a_turn, post.disk.dies_at = False, -1
        said = letter_about(post.jobs.home, run.id)
        assert (said and said.status, only(post).status) == (Status.COMPLETED, Status.RUNNING)
        post.open()
        assert (post.deliver(), post.owed(), only(post).status) == (None, [], Status.RUNNING)
        with pytest.raises(RefusedError):
            OutboxDesk(post.notifier, post.jobs.home).retry(run.id)
        post.core.cancel(run.id, post.clock.now())
        post.turn()
        assert (only(post).status, post.deliver(), post.sent) == (Status.CANCELED, None, [])
        assert letters(post.jobs.home) == []


def test_a_letter_about_an_end_that_another_took_the_place_of_goes() -> None:
    """Killed between the letter and the end, and then the job was removed: who is to be told is not known any more."""
    with postman() as post:
        job = post.add()
        post.run(job)
        post.disk.dies_at = post.disk.writes + 1
        with pytest.raises(Kill):
            post.end()
        post.in_a_turn, post.disk.dies_at = False, -1
        post.jobs.delete(job.id)
        for _ in range(2):
            post.open()
            assert (post.deliver(), post.sent) == (None, [])
        assert (only(post).status, letters(post.jobs.home)) == (Status.UNKNOWN, [])


def test_a_full_disk_holds_back_the_end_and_then_both_are_stored() -> None:
    with postman() as post:
        post.run(post.add())
        post.disk.full = True
        post.end()
        post.deliver()
        assert (only(post).status, post.sent) == (Status.RUNNING, [])
        post.disk.full = False
        post.clock.pass_by(5)
        post.turn()
        post.deliver()
        assert (only(post).status, len(post.sent)) == (Status.COMPLETED, 1)


def test_on_a_disk_that_fills_up_later_what_was_told_is_not_told_again_while_it_lives() -> None:
    with postman() as post:
        post.run(post.add())
        post.end()
        post.disk.full = True
        waits = [post.deliver() for _ in range(3)]
        assert (len(post.sent), all(wait is not None and wait > 0 for wait in waits)) == (1, True)
        post.disk.full = False
        assert post.deliver() is None
        letter = letter_about(post.jobs.home, only(post).id)
        assert letter is not None
        assert (letter.told, letter.run) == (True, None)


def test_an_answer_that_is_no_text_is_told_all_the_same() -> None:
    with postman() as post:
        broken = CronRun.model_validate({**dict(make_ended()), "response": "half \ud800 a pair"})
        post.notifier.owe(job := post.add(), broken)
        post.notifier.tell(job, broken)
        post.deliver()
        assert post.sent[0][1]["response"] == "half \ud800 a pair"


def make_ended(number: int = 1, **fields: Any) -> CronRun:
    known = {"id": f"run-{number:04}", "job_id": "gone", "status": "failed", "reason": "agent_error"}
    return CronRun.model_validate({**known, "scheduled_at": NOON, "finished_at": NOON, **fields})


def test_a_damaged_letter_is_set_aside_and_a_newer_one_is_left_alone() -> None:
    with postman() as post:
        folder = post.jobs.home.outbox
        (folder / "torn.json").write_bytes(b'{"version": 1, "run')
        (folder / "newer.json").write_text(json.dumps({"version": 99}))
        (folder / "odd.json").write_text(json.dumps({"version": 1, "run_id": "../../etc"}))
        post.open()
        assert sorted(path.name for path in folder.glob("*.json")) == ["newer.json"]
        assert sorted(path.name for path in post.jobs.home.damaged.iterdir()) == ["odd.json.1", "torn.json.1"]


# ---- receivers that do not answer


def test_a_receiver_that_is_dead_for_a_day_delays_no_run_and_hears_of_all_in_the_end() -> None:
    with postman(expire_hours=72) as post:
        post.dead[URL] = silence()
        job = post.add(cron_expr="*/10 * * * *")
        end, wait = post.clock.mono + DAY, 0.0
        while post.clock.mono < end:
            post.clock.pass_by(60 - post.clock.wall.second)
            post.turn()
            wait = 0.0 if wait is None else wait - 60
            if wait <= 0:
                wait = post.deliver() or 0.0
            if post.clock.wall.minute % 10 == 1:
                post.end()
        post.end()
        wait = post.deliver()
        runs = post.runs.get_runs(job.id, last=100)
        assert len(runs) == 100
        assert {run.started_at - run.scheduled_at for run in runs} == {timedelta(0)}
        assert {run.status for run in runs} == {Status.COMPLETED}
        assert len(post.owed()) == 144
        assert len(post.tried) < 30, "a dead receiver is not asked for each run"
        post.dead.clear()
        post.clock.pass_by(2 * 3600)
        post.deliver()
        assert len({said for said, _ in post.sent}) == len(post.sent) == 144
        assert post.owed() == []


def test_who_is_dead_delays_nobody_else() -> None:
    with postman() as post:
        post.dead["https://dead.example/"] = silence()
        for number in range(5):
            url = "https://dead.example/" if number % 2 == 0 else URL
            post.notifier.owe(post_job := post.add(id=f"job-{number}", on_fail=url), run := make_ended(number))
            post.notifier.tell(post_job, run)
        post.deliver()
        assert len(post.sent) == 2
        assert len(post.tried) == 3  # two, and one try at the dead one, though it is owed three


def test_a_few_tries_are_made_at_a_time_and_one_at_each_place() -> None:
    with postman() as post:
        courier = post.notifier.courier
        for number in range(3 * AT_ONCE):  # each place is owed twice
            place = f"https://{number % (AT_ONCE + 2)}.example/"
            job = post.add(id=f"job-{number}", on_fail=place, ping="https://ping.example/")
            post.notifier.owe(job, run := make_ended(number))
            post.notifier.tell(job, run)
            courier.started(job.ping, run)
        first = [courier.claim() for _ in range(AT_ONCE + 2)]
        claimed = [each for each in first if isinstance(each, Claimed)]
        assert first[AT_ONCE:] == [None, None]
        assert len({each.delivery.place for each in claimed}) == len(claimed) == courier.under_way == AT_ONCE
        courier.carry_out(claimed[1])
        after = courier.claim()
        assert isinstance(after, Claimed)
        assert after.delivery.place not in {each.delivery.place for each in (*claimed[:1], *claimed[2:])}
        for each in (claimed[0], *claimed[2:], after):
            courier.carry_out(each)
        post.deliver()
        assert (post.owed(), courier.under_way) == ([], 0)
        ends = [said for said, _ in post.sent if said]
        assert len(set(ends)) == len(ends) == 6 * AT_ONCE
        starts = [number for number, (said, _) in enumerate(post.sent) if not said]
        assert len(starts) == 3 * AT_ONCE


def test_what_is_told_while_another_looks_for_what_is_owed_is_not_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with postman() as post:
        post.run(post.add())
        post.end()
        courier, outbox = post.notifier.courier, post.notifier.outbox
        first, waiting = courier.claim(), outbox.waiting
        assert isinstance(first, Claimed)

        def told_meanwhile() -> list[Letter]:
            found = waiting()
            courier.carry_out(first)
            return found

        monkeypatch.setattr(outbox, "waiting", told_meanwhile)
        assert courier.claim() is None
        monkeypatch.undo()
        assert (courier.claim(), len(post.sent)) == (None, 1)


def test_what_a_receiver_asks_for_is_waited_for_and_what_it_refuses_is_given_up() -> None:
    with postman() as post:
        job = post.add()
        for error, waits in ((silence(retry_after="90"), 90.0), (silence(retry_after="999999"), LONGEST)):
            post.dead[URL] = error
            post.run(job)
            post.end()
            assert post.deliver() == waits
            post.dead.clear()
            post.clock.pass_by(waits)
            post.deliver()
        assert len(post.sent) == 2
        post.dead[URL] = silence(permanent=True)
        post.run(job)
        post.end()
        assert (post.deliver(), post.owed()) == (None, [])
        (failed,) = OutboxDesk(post.notifier, post.jobs.home).list()
        assert (failed.state, failed.tries, failed.error) == (State.FAILED, 1, "Nobody answered.")


def test_what_cannot_be_told_in_time_expires() -> None:
    with postman(expire_hours=1) as post:
        post.dead[URL] = silence()
        post.run(post.add())
        post.end()
        for _ in range(100):
            wait = post.deliver()
            if wait is None:
                break
            post.clock.pass_by(wait)
        (expired,) = OutboxDesk(post.notifier, post.jobs.home).list()
        assert expired.state is State.EXPIRED
        assert expired.tries == 8
        assert expired.settled_at == post.clock.wall
        assert timedelta(0) <= expired.settled_at - expired.expires_at <= timedelta(seconds=1)


def test_the_outbox_is_bounded_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox_module, "MOST_SETTLED", 3)
    with postman(most_waiting=10) as post:
        post.dead[URL] = silence()
        job = post.add()
        for number in range(30):
            post.notifier.owe(job, run := make_ended(number))
            post.notifier.tell(job, run)
        assert [letter.run_id for letter in post.notifier.outbox.waiting()] == [f"run-{n:04}" for n in range(20, 30)]
        found = letters(post.jobs.home)
        assert len(found) == 13
        dropped = [letter for letter in found if not letter.waits]
        assert {each.state for letter in dropped for each in letter.deliveries} == {State.DROPPED}


# ---- what people do about it


def test_one_may_retry_and_drop() -> None:
    with postman() as post:
        desk = OutboxDesk(post.notifier, post.jobs.home)
        post.dead[URL] = silence(permanent=True)
        first, second = (post.run(post.add(id=f"job-{number}")).id for number in range(2))
        post.end()
        post.deliver()
        assert [each.state for each in desk.list()] == [State.FAILED] * 2
        post.dead[URL] = silence()
        assert [each.run_id for each in desk.retry(first)] == [first]
        assert post.deliver() == 0.5
        (dropped,) = desk.drop(first[:8])
        assert (dropped.state, post.deliver()) == (State.DROPPED, None)
        post.dead.clear()
        assert len(desk.retry("all")) == 2
        post.deliver()
        assert {said for said, _ in post.sent} == {f"msg_{run_id}_webhook" for run_id in (first, second)}
        assert (desk.list(), len(desk.list(settled=True)), desk.retry("all"), desk.drop("all")) == ([], 2, [], [])
        with pytest.raises(RefusedError):
            desk.retry(first)
        with pytest.raises(NotFoundError):
            desk.retry("no-such-run")
        with pytest.raises(NotFoundError):
            desk.drop("../jobs/x")


def test_several_runs_that_begin_alike_are_not_guessed_at() -> None:
    with postman() as post:
        job = post.add()
        for number in range(2):
            post.notifier.owe(job, make_ended(number))
        with pytest.raises(InvalidError, match="run-0000, run-0001"):
            OutboxDesk(post.notifier, post.jobs.home).retry("run-0")


def test_what_was_dropped_while_it_was_tried_stays_dropped() -> None:
    with postman() as post:
        desk = OutboxDesk(post.notifier, post.jobs.home)
        run = post.run(post.add())
        post.end()
        (owed,) = post.owed()
        desk.drop(run.id)
        post.notifier.outbox.change(run.id, owed.postponed("No.", 1.0, post.clock.wall))
        assert post.owed() == []


def test_after_the_lock_is_given_up_nothing_is_written() -> None:
    with postman() as post:
        run = post.run(post.add())
        post.end()
        (owed,) = post.owed()
        post.notifier.close()
        post.notifier.outbox.change(run.id, owed.settled(State.DELIVERED, post.clock.wall))
        fresh = Outbox(post.jobs.home)
        assert fresh.load(lambda _letter: None) == 1


# ---- incidents


def test_one_alert_per_incident_also_across_restarts() -> None:
    with postman(targets={"phone": {"url": "https://phone.example/"}}) as post:
        job = post.add(on_fail="", on_complete="", notify=["phone"])
        said: list[str] = []
        for reason, hours in [
            (Reason.AGENT_ERROR, 1),
            (Reason.AGENT_ERROR, 30),
            (Reason.AGENT_ERROR, 1),
            (Reason.OK, 1),
        ]:
            for _ in range(2):
                post.run(job)
                post.end(reason)
                said += [each.news.value for each in post.owed()]
                post.deliver()
                post.open()
            post.clock.pass_by(hours * 3600)
        assert said == ["failure", "reminder", "recovery"]
        assert list((post.jobs.home.outbox / "incidents").iterdir()) == []
