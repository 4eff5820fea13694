from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.reasons import Reason
from supervisor import notify
from supervisor.models import CronJob, CronRun, Event
from supervisor.notify import Notifier, wanted
from supervisor.status import Status, final_status
from supervisor.webhook import WebhookError
from tests.fakes import make_job, make_run
from tests.receiver import receiver


def ended(reason: Reason) -> CronRun:
    return make_run(id=f"run-{reason.value}", status=final_status(reason), reason=reason)


COMPLETED, FAILED, CANCELED = ended(Reason.OK), ended(Reason.AGENT_ERROR), ended(Reason.REPLACED)
LOGGER = logging.getLogger("test.notify")


@dataclass
class Listener:
    heard: list[tuple[str, str]] = field(default_factory=list)
    does: Callable[[], Any] = lambda: None

    def on_complete(self, run: CronRun) -> None:
        self.heard.append(("complete", run.id))
        self.does()

    def on_fail(self, run: CronRun) -> None:
        self.heard.append(("fail", run.id))
        self.does()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def notifier(listener: Listener) -> Iterator[Notifier]:
    made = Notifier([listener], LOGGER)
    yield made
    made.close()


def tell(notifier: Notifier, *runs: CronRun, job: CronJob | None = None) -> None:
    for run in runs:
        notifier.tell(job or make_job(), run)
    notifier.close()


# ---- who wants to hear of what


@pytest.mark.parametrize("status", [status for status in Status if status.final])
def test_of_skips_and_unknowns_nobody_is_told(status: Status) -> None:
    run = make_run(status=status)
    told = status in (Status.COMPLETED, Status.FAILED, Status.CANCELED)
    assert wanted(make_job(), run) == told
    assert wanted(make_job(notify_on=list(Event)), run) == told
    assert not wanted(make_job(silent=True), run)


@pytest.mark.parametrize("event", Event)
def test_one_may_ask_for_some_ends_only(event: Event) -> None:
    job = make_job(notify_on=[event])
    assert [wanted(job, run) for run in (COMPLETED, FAILED, CANCELED)] == [event.value == each.value for each in Event]


# ---- telling


def test_each_end_is_told_once_in_order_in_a_thread_of_its_own(notifier: Notifier, listener: Listener) -> None:
    threads: list[str] = []
    listener.does = lambda: threads.append(threading.current_thread().name)
    tell(notifier, COMPLETED, FAILED, CANCELED, ended(Reason.OVERLAP))
    assert listener.heard == [("complete", COMPLETED.id), ("fail", FAILED.id), ("fail", CANCELED.id)]
    assert set(threads) == {"cronward-notify"}


def test_the_urls_of_a_job_are_called() -> None:
    with receiver() as got:
        job = make_job(on_complete=f"{got.url}good", on_fail=f"{got.url}bad")
        tell(Notifier([], LOGGER), COMPLETED, FAILED, CANCELED, job=job)
    assert [path for path, _, _ in got.requests] == ["/good", "/bad", "/bad"]


def test_who_has_nobody_to_tell_starts_no_thread() -> None:
    before = threading.active_count()
    notifier = Notifier([], LOGGER)
    notifier.tell(make_job(), COMPLETED)
    assert threading.active_count() == before
    notifier.close()


@pytest.mark.parametrize("error", [WebhookError("It answered 500.", permanent=False), ValueError("a bug of theirs")])
def test_a_callback_that_fails_keeps_nobody_from_hearing(
    notifier: Notifier, listener: Listener, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    listener.does = fail
    tell(notifier, COMPLETED, FAILED)
    assert len(listener.heard) == 2
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert COMPLETED.id in caplog.text


def test_telling_never_waits_and_what_does_not_fit_is_said(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notify, "MAX_WAITING", 2)
    monkeypatch.setattr(notify, "CLOSE_WITHIN", 0.02)
    gate = threading.Event()
    listener.does = gate.wait
    notifier = Notifier([listener], LOGGER)
    try:
        for _ in range(9):
            notifier.tell(make_job(), FAILED)
        assert "is not told" in caplog.text
        notifier.close()  # returns although the receiver does not
    finally:
        gate.set()
        notifier.close()


def test_a_host_without_a_thread_left_costs_no_run(
    notifier: Notifier, listener: Listener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none_left(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none_left)
        notifier.tell(make_job(), FAILED)
    assert "can't start new thread" in caplog.text
    tell(notifier, COMPLETED)
    assert [run_id for _, run_id in listener.heard] == [FAILED.id, COMPLETED.id]
