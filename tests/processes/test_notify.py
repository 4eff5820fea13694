"""The notifier with its thread: real files, real receivers on the loopback, callbacks of a program."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shared.reasons import Reason
from supervisor.definitions.secrets import SecretStore
from supervisor.models import CronJob, CronRun
from supervisor.notifications import notify
from supervisor.notifications.notify import CronCallback, Notifier
from supervisor.notifications.targets import Notify
from supervisor.notifications.webhook import WebhookError
from supervisor.scheduler import Scheduler
from supervisor.status import final_status
from supervisor.stores.jobs import CronStore
from supervisor.stores.runs import RunsStore
from supervisor.timing.clock import SystemClock
from tests.driver import eventually
from tests.fakes import make_job, make_run
from tests.postman import CONFIG
from tests.receiver import receiver

LOGGER = logging.getLogger("test.notify")
CLOCK = SystemClock()
KEY = b"0123456789abcdef0123456789abcdef"


def ended(reason: Reason) -> CronRun:
    now = CLOCK.now().wall
    return make_run(id=f"run-{reason.value}", status=final_status(reason), reason=reason, finished_at=now)


COMPLETED, FAILED, CANCELED = ended(Reason.OK), ended(Reason.AGENT_ERROR), ended(Reason.REPLACED)


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


@contextmanager
def notifier(root: Path, callbacks: Sequence[CronCallback] = (), **settings: Any) -> Iterator[Notifier]:
    jobs, found = CronStore(root), Notify.model_validate(settings)
    jobs.home.create()
    core = Scheduler(jobs, RunsStore(root), CONFIG, None, new_id=str, prepare=None)  # type: ignore[arg-type]
    made = Notifier(jobs.home, callbacks, lambda: found, CLOCK, LOGGER)
    made.begin(core)
    try:
        yield made
    finally:
        made.close()


def tell(made: Notifier, *runs: CronRun, job: CronJob | None = None) -> None:
    for run in runs:
        made.owe(job or make_job(), run)
        made.tell(job or make_job(), run)


def test_each_end_is_told_once_in_order_in_a_thread_of_its_own(tmp_path: Path, listener: Listener) -> None:
    threads: list[str] = []
    listener.does = lambda: threads.append(threading.current_thread().name)
    with notifier(tmp_path, [listener]) as made:
        tell(made, COMPLETED, FAILED, CANCELED, ended(Reason.OVERLAP), ended(Reason.SUPERVISOR_DIED))
        eventually(lambda: len(listener.heard) == 4)
    told = [("complete", COMPLETED.id), ("fail", FAILED.id), ("fail", CANCELED.id), ("fail", "run-supervisor_died")]
    assert listener.heard == told
    assert set(threads) == {"cronward-notify"}


def test_receivers_that_hang_keep_no_other_waiting(tmp_path: Path) -> None:
    gate = threading.Event()
    dead, fine = [Listener() for _ in range(3)], [Listener() for _ in range(3)]
    for each in dead:
        each.does = lambda: gate.wait(60)
    runs = [COMPLETED.model_copy(update={"id": f"run-{number}"}) for number in range(5)]
    try:
        with notifier(tmp_path, [*dead, *fine]) as made:
            tell(made, *runs)
            eventually(lambda: all(len(each.heard) == len(runs) for each in fine), 20)
            assert [len(each.heard) for each in dead] == [1, 1, 1]
            gate.set()
            eventually(lambda: all(len(each.heard) == len(runs) for each in dead), 20)
    finally:
        gate.set()
    for each in (*dead, *fine):
        assert [run_id for _, run_id in each.heard] == [run.id for run in runs]


def test_who_has_nobody_to_tell_starts_no_thread_and_writes_nothing(tmp_path: Path) -> None:
    before = threading.active_count()
    with notifier(tmp_path) as made:
        tell(made, COMPLETED)
        assert threading.active_count() == before
    assert [path.name for path in (tmp_path / "outbox").iterdir()] == ["incidents"]


def test_the_urls_of_a_job_are_called_with_ids_and_signatures_that_can_be_checked(tmp_path: Path) -> None:
    with receiver(500, 200) as got, notifier(tmp_path, key="WEBHOOK_KEY") as made:
        SecretStore(CronStore(tmp_path).home).set("WEBHOOK_KEY", f"whsec_{base64.b64encode(KEY).decode()}")
        tell(made, COMPLETED, FAILED, job=make_job(on_complete=f"{got.url}good", on_fail=f"{got.url}bad?s=1"))
        eventually(lambda: len(got.requests) == 3)
    # They are tried side by side: whichever came first was answered 500, and came again under the same id.
    assert len(got.requests) == 3
    ids = {(path, headers["webhook-id"]) for path, headers, _ in got.requests}
    assert ids == {("/good", f"msg_{COMPLETED.id}_webhook"), ("/bad?s=1", f"msg_{FAILED.id}_webhook")}
    for path, headers, body in got.requests:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}", path
        run = COMPLETED if path == "/good" else FAILED
        assert json.loads(body) == run.record()
        assert (headers["x-cronrun-id"], headers["x-cronevent"]) == (run.id, run.status.value)
        assert "authorization" not in headers


def test_without_its_key_nothing_is_sent_unsigned(tmp_path: Path) -> None:
    with receiver() as got, notifier(tmp_path, key="WEBHOOK_KEY") as made:
        tell(made, FAILED, job=make_job(on_fail=got.url))
        eventually(lambda: made.desk.list()[0].tries)
        (waits,) = made.desk.list()
        assert "The secret WEBHOOK_KEY is not set." in waits.error
        assert got.requests == []
        SecretStore(CronStore(tmp_path).home).set("WEBHOOK_KEY", f"whsec_{base64.b64encode(KEY).decode()}")
        made.desk.retry("all")
        eventually(lambda: got.requests)


def test_a_target_gets_its_token_and_status_reason_and_ids(tmp_path: Path) -> None:
    with receiver() as got:
        target = {"url": f"{got.url}in", "token": "OPS_TOKEN"}
        with notifier(tmp_path, targets={"ops": target}) as made:
            SecretStore(CronStore(tmp_path).home).set("OPS_TOKEN", "s3cret-token")
            tell(made, FAILED, job=make_job(notify=["ops"]))
            eventually(lambda: got.requests)
    ((path, headers, body),) = got.requests
    assert (path, headers["authorization"]) == ("/in", "Bearer s3cret-token")
    said = json.loads(body)
    assert (said["type"], said["data"]["reason"], said["data"]["run_id"]) == (
        "cronward.failure",
        "agent_error",
        FAILED.id,
    )
    assert "answer" not in said["data"]
    assert b"s3cret" not in b"".join(path.read_bytes() for path in (tmp_path / "outbox").glob("*.json"))


def test_a_ping_says_start_success_and_failure(tmp_path: Path) -> None:
    with receiver() as got, notifier(tmp_path) as made:
        job = make_job(ping=f"{got.url}uuid?team=1", silent=True)
        made.started(job, make_run(status="running", started_at=CLOCK.now().wall))
        eventually(lambda: len(got.requests) == 1)
        tell(made, COMPLETED, FAILED, CANCELED, job=job)
        eventually(lambda: len(got.requests) == 3)
    said = [(path.partition("&rid=")[0], body) for path, _, body in got.requests]
    assert said == [
        ("/uuid/start?team=1", b"running"),
        ("/uuid?team=1", b"completed ok"),
        ("/uuid/fail?team=1", b"failed agent_error"),
    ]


@pytest.mark.parametrize("error", [WebhookError("It answered 400.", permanent=True), ValueError("a bug of theirs")])
def test_a_callback_that_fails_keeps_nobody_from_hearing(
    tmp_path: Path, listener: Listener, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise error

    listener.does = fail
    with notifier(tmp_path, [listener]) as made:
        tell(made, COMPLETED, FAILED)
        eventually(lambda: len(listener.heard) == 2)
    assert COMPLETED.id in caplog.text
    assert {record.levelname for record in caplog.records} == {"ERROR"}


def test_telling_never_waits_and_what_was_not_told_is_there_for_the_next(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "CLOSE_WITHIN", 0.02)
    gate = threading.Event()
    listener.does = gate.wait
    runs = [COMPLETED.model_copy(update={"id": f"run-{number}"}) for number in range(9)]
    try:
        with notifier(tmp_path, [listener]) as made:
            tell(made, *runs)  # returns although nobody hears
        assert len(listener.heard) <= 1
    finally:
        gate.set()
    later = Listener()
    with notifier(tmp_path, [later]):
        eventually(lambda: len(later.heard) == 9)
    assert [run_id for _, run_id in later.heard] == [run.id for run in runs]


def test_a_host_without_a_thread_left_costs_no_run(
    tmp_path: Path, listener: Listener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def none_left(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with notifier(tmp_path, [listener]) as made:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", none_left)
            tell(made, FAILED)
        assert "can't start new thread" in caplog.text
        tell(made, COMPLETED)
        eventually(lambda: len(listener.heard) == 2)
    assert {run_id for _, run_id in listener.heard} == {FAILED.id, COMPLETED.id}
