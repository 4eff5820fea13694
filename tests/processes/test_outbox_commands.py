"""The commands about notifications, without a supervisor: `outbox list`, `retry`, `drop`, and `notify test`."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from supervisor.definitions.secrets import SecretStore
from supervisor.notifications.deliveries import State, letter_of
from supervisor.notifications.targets import Notify
from supervisor.stores.disk import REAL
from supervisor.stores.history import encoded
from supervisor.stores.home import Home
from tests.command import Command
from tests.fakes import NOON, make_job, make_run
from tests.receiver import receiver

RUN = make_run(id="abcd1234-run", status="failed", reason="agent_error", finished_at=NOON)


@pytest.fixture
def letter(cronward: Command) -> Path:
    """A home that owes one letter, with a webhook that waits and a ping that failed."""
    home = Home.of(cronward.home)
    home.create()
    job = make_job(name="backup", on_fail="https://hooks.example/s3cret-path", ping="https://hc.example/s3cret-uuid")
    owed = letter_of(job, RUN, Notify())
    owed = owed.having(owed.deliveries[1].settled(State.FAILED, NOON, "The webhook answered 404."))
    path = home.outbox / f"{RUN.id}.json"
    REAL.replace(path, encoded(owed.record()))
    return path


def states(path: Path) -> list[str]:
    return [each["state"] for each in json.loads(path.read_text())["deliveries"]]


def test_the_list_says_what_waits_and_shows_no_more_of_a_url_than_its_host(cronward: Command, letter: Path) -> None:
    said = cronward("outbox", "list").out
    assert all(words in said for words in ("abcd1234-run", "backup", "webhook https://hooks.example", "answered 404"))
    assert "s3cret" not in said + cronward("outbox", "list", "--all", "--json").out
    assert [each["state"] for each in json.loads(cronward("outbox", "list", "--json").out)] == ["waiting", "failed"]


def test_what_is_overdue_is_not_called_tried_now(cronward: Command, letter: Path) -> None:
    """It may rest with its receiver for minutes, or nothing keeps time."""
    over = RUN.model_copy(update={"finished_at": datetime.now(UTC) - timedelta(minutes=3)})
    job = make_job(name="backup", on_fail="https://hooks.example/s3cret-path")
    REAL.replace(letter, encoded(letter_of(job, over, Notify()).record()))
    said = cronward("outbox", "list")
    assert re.search(r"due \d+ \w+ ago", said.out), said.out
    assert "next try now" not in said.out
    assert "cronward outbox retry RUN" in said.err


def test_one_may_drop_and_retry_without_a_supervisor(cronward: Command, letter: Path) -> None:
    assert "1 notification dropped" in cronward("outbox", "drop", "abcd").out
    assert states(letter) == ["dropped", "failed"]
    assert cronward("outbox", "drop", "abcd").code == 5
    assert "2 notifications to be tried" in cronward("outbox", "retry", "all").out
    assert states(letter) == ["waiting", "waiting"]
    assert "There is nothing." in (cronward("outbox", "drop", "all"), cronward("outbox", "drop", "all"))[1].out
    assert (letter.stat().st_mode & 0o777, letter.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_who_is_not_there_is_said_and_nothing_changes(cronward: Command, letter: Path) -> None:
    before = letter.read_bytes()
    for ref, code in (("nope", 3), ("abc", 3), ("", 3), ("../jobs", 3)):
        for verb in ("retry", "drop"):
            assert cronward("outbox", verb, ref).code == code, (verb, ref)
    assert letter.read_bytes() == before


def test_an_empty_outbox_is_said(cronward: Command) -> None:
    assert "Nothing is still to be told." in cronward("outbox", "list").out
    assert cronward("outbox", "list", "--json").out.strip() == "[]"


def test_a_target_can_be_tried_before_somebody_relies_on_it(cronward: Command, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    with receiver(204, 500) as got:
        config.write_text(f'[notify.targets.ops]\nurl = "{got.url}in"\ntoken = "OPS_TOKEN"\n')
        wrong = cronward("--config", str(config), "notify", "test", "osp")
        assert (wrong.code, "Did you mean `ops`?" in wrong.err) == (3, True)
        unset = cronward("--config", str(config), "notify", "test", "ops")
        assert (unset.code, "The secret OPS_TOKEN is not set" in unset.err, got.requests) == (1, True, [])
        home = Home.of(cronward.home)
        home.create()
        SecretStore(home).set("OPS_TOKEN", "s3cret-token")
        told = cronward("--config", str(config), "notify", "test", "ops")
        assert (told.code, "Told ops." in told.out) == (0, True)
        failed = cronward("--config", str(config), "notify", "test", "ops")
        assert (failed.code, "answered 500" in failed.err) == (1, True)
    path, headers, body = got.requests[0]
    assert (path, headers["authorization"]) == ("/in", "Bearer s3cret-token")
    assert json.loads(body)["type"] == "cronward.test"
