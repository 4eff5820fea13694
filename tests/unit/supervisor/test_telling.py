"""The pure parts of telling: incidents, words, signatures, where one may send to."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest

from shared.addresses import parse_address
from shared.reasons import Reason
from supervisor.errors import InvalidError
from supervisor.models import CronRun
from supervisor.notifications import signature, wording
from supervisor.notifications.deliveries import News, letter_of
from supervisor.notifications.incident import Incident, judge
from supervisor.notifications.posting import seconds_of
from supervisor.notifications.reach import refusal
from supervisor.notifications.targets import Notify
from supervisor.notifications.tellable import check_told
from supervisor.status import final_status
from tests.fakes import NOON, make_job, make_run

DAY = timedelta(days=1)


def ended(reason: Reason, hours: float = 0, **fields: object) -> CronRun:
    at = NOON + timedelta(hours=hours)
    return make_run(status=final_status(reason), reason=reason, finished_at=at, **fields)


def told(remind: timedelta, *reasons: Reason) -> list[News | None]:
    """What is told of these ends, one every ten hours."""
    incident: Incident | None = None
    said = []
    for number, reason in enumerate(reasons):
        verdict = judge(incident, ended(reason, 10 * number), remind)
        incident = verdict.after
        said.append(verdict.news)
    return said


def test_an_incident_is_told_once_with_reminders_and_one_recovery() -> None:
    bad, good, died, stopped = Reason.AGENT_ERROR, Reason.OK, Reason.SUPERVISOR_DIED, Reason.REPLACED
    skipped = Reason.OVERLAP
    first, again, over = News.FAILURE, News.REMINDER, News.RECOVERY
    rows = [
        ((good, bad, bad, bad, bad, bad, good, good), (None, first, None, None, again, None, over, None)),
        ((died, bad, good, bad), (first, None, over, first)),
        ((bad, skipped, stopped, bad, good), (first, None, None, again, over)),
        ((stopped, skipped, good), (None, None, None)),
    ]
    for reasons, expected in rows:
        assert told(DAY, *reasons) == list(expected), reasons
    assert told(timedelta(0), *[bad] * 20).count(None) == 19


def test_a_reminder_says_since_when_and_starts_the_wait_anew() -> None:
    begun = judge(None, ended(Reason.AGENT_ERROR), DAY).after
    later = judge(begun, ended(Reason.AGENT_ERROR, 30), DAY)
    assert (later.news, later.since) == (News.REMINDER, NOON)
    assert judge(later.after, ended(Reason.AGENT_ERROR, 50), DAY).news is None
    assert judge(later.after, ended(Reason.OK, 60), DAY).since == NOON


def test_a_signature_is_the_one_of_the_specification() -> None:
    """Key, id, time, body and signature of the reference libraries' own test."""
    key = signature.key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', key)
    assert made == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert "webhook-signature" not in signature.headers("msg_1", 1, b"", None)


def test_a_key_that_is_none_is_refused_in_words_without_it() -> None:
    short = "whsec_" + base64.b64encode(b"x" * 23).decode()
    long = "whsec_" + base64.b64encode(b"x" * 65).decode()
    for text in ("", "hunter2-hunter2-hunter2-hunter2", "whsec_", "whsec_hunter2!", short, long):
        with pytest.raises(InvalidError) as refused:
            signature.key_of(text)
        assert "hunter2" not in str(refused.value), text
    assert signature.key_of(" whsec_" + base64.b64encode(b"x" * 24).decode() + "\n") == b"x" * 24


def test_where_something_may_be_sent() -> None:
    rows = [
        ("hooks.example", "93.184.215.14", "", True),
        ("hooks.example", "127.0.0.1", "", False),
        ("hooks.example", "10.1.2.3", "", False),
        ("hooks.example", "10.1.2.3", "hooks.example", True),
        ("hooks.example", "10.1.2.3", "other.example", False),
        ("hooks.example", "169.254.169.254", "hooks.example", False),
        ("hooks.example", "::ffff:10.1.2.3", "hooks.example", False),
        ("127.0.0.1", "127.0.0.1", "", True),
        ("[::1]", "::1", "", True),
        ("localhost", "127.0.0.1", "", True),
        ("a.localhost", "::1", "", True),
        ("notlocalhost", "127.0.0.1", "", False),
        ("169.254.169.254", "169.254.169.254", "", False),
        ("0.0.0.0", "0.0.0.0", "", False),
        ("192.168.1.1", "192.168.1.1", "", True),
    ]
    for host, found, named, may in rows:
        address = parse_address(found)
        assert address is not None
        assert (refusal(host, address, {named}) == "") == may, (host, found, named)


def test_how_long_a_receiver_asks_to_wait() -> None:
    now = 1_000_000_000.0  # 9 September 2001, 01:46:40
    rows = [("120", 120.0), (" 7 ", 7.0), ("Sun, 09 Sep 2001 01:47:40 GMT", 60.0), ("9" * 400, 999999999.0)]
    rows += [("Sun, 09 Sep 2001 01:45:40 GMT", 0.0), ("soon", 0.0), ("-5", 0.0), ("", 0.0), ("١٢", 0.0)]
    for text, seconds in rows:
        assert seconds_of(text, now) == seconds, text


def test_by_default_a_target_hears_status_reason_and_ids_alone() -> None:
    run = ended(Reason.AGENT_ERROR, error="It said hush.", response="A \x1b[31msecret\u202e\ud800\nanswer" + "x" * 5000)
    job = make_job(name="backup", notify=["phone"], prompt="hush hush")
    letter = letter_of(job, run, Notify(), News.FAILURE, NOON)
    (alert,) = letter.deliveries
    said = wording.title(letter, alert) + wording.text(letter, alert, answer=False)
    assert said == f"cronward: backup failed (agent_error)run {run.id}\njob {job.id}"
    message = wording.message(letter, alert, answer=False)
    assert message["type"] == "cronward.failure"
    assert sorted(message["data"]) == ["job_id", "job_name", "reason", "run_id", "since", "status", "text"]
    assert not {"hush", "secret"} & set(str(message).replace(".", " ").split())
    answer = wording.message(letter, alert, answer=True)["data"]["answer"]
    assert (answer[:20], len(answer)) == ("A  [31msecret  \nansw", wording.ANSWER_CHARS)
    assert wording.text(letter, alert, answer=True).endswith(answer)


def test_what_a_reminder_and_a_recovery_say() -> None:
    run = ended(Reason.AGENT_ERROR)
    for news, words in ((News.REMINDER, "still fails (agent_error)"), (News.RECOVERY, "works again")):
        letter = letter_of(make_job(notify=["phone"]), run, Notify(), news, NOON)
        assert wording.title(letter, letter.deliveries[0]).endswith(words)
        assert "failing since 2026-11-24 12:00 UTC" in wording.text(letter, letter.deliveries[0], answer=False)


def test_whom_a_job_may_name() -> None:
    check_told(make_job(notify=["phone"], ping="https://hc.example/u"), {"phone"})
    rows = [
        ({"notify": ["phome"]}, "Did you mean `phone`?"),
        ({"ping": "ftp://s3cret/"}, "The field ping cannot be used."),
        ({"on_fail": "http://169.254.169.254/s3cret"}, "at a metadata address"),
    ]
    for fields, words in rows:
        with pytest.raises(InvalidError) as refused:
            check_told(make_job(**fields), {"phone"})
        assert words in str(refused.value), fields
        assert "s3cret" not in str(refused.value), fields
