"""The bearer token of a job's own webhooks: a secret by its name, read when it is sent; and who else sends secrets."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from shared.reasons import Reason
from supervisor.definitions.secrets import SecretStore
from supervisor.models import CronJob
from supervisor.notifications.deliveries import letter_of
from supervisor.notifications.sender import Sender
from supervisor.notifications.targets import Notify, Target
from supervisor.notifications.webhookurl import WebhookError
from supervisor.status import Status
from supervisor.stores.home import Home
from supervisor.timing.clock import SystemClock
from tests.command import Command
from tests.fakes import make_job, make_run
from tests.receiver import receiver

VALUE = "s3cret-of-the-hook"
RUN = make_run(status=Status.RUNNING).moved(Status.FAILED, reason=Reason.AGENT_ERROR)


def tell(home: Home, job: CronJob, notify: Notify) -> str:
    """Try each delivery once; what was stored of them."""
    letter = letter_of(job, RUN, notify)
    send = Sender(home, lambda: notify, SystemClock(), logging.getLogger("test"))
    for delivery in letter.deliveries:
        send(letter, delivery)
    return json.dumps(letter.record()) + job.model_dump_json()


def test_it_goes_to_the_jobs_own_webhooks_alone_and_its_value_is_stored_nowhere_else(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    SecretStore(home).set("HOOK", VALUE)
    with receiver() as got, receiver() as other:
        notify = Notify(targets={"ops": Target(url=other.url, every_run=True)})
        facts = {"on_fail": got.url, "webhook_token": "HOOK", "notify": ("ops",), "ping": f"{other.url}ping"}
        stored = tell(home, make_job(**facts), notify)
        tell(home, make_job(on_fail=got.url), notify)
    assert [headers.get("authorization") for _, headers, _ in got.requests] == [f"Bearer {VALUE}", None]
    assert got.requests[0][1]["x-cronevent"] == "failed"
    assert len(other.requests) == 2
    assert not any("authorization" in headers for _, headers, _ in other.requests)
    assert VALUE not in stored


def test_while_it_is_not_set_or_is_none_nothing_is_sent_and_that_may_pass(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.create()
    with receiver() as got:
        job = make_job(on_fail=got.url, webhook_token="HOOK")
        with pytest.raises(WebhookError, match="HOOK is not set") as missing:
            tell(home, job, Notify())
        SecretStore(home).set("HOOK", "two\nlines of it")
        with pytest.raises(WebhookError) as broken:
            tell(home, job, Notify())
        assert got.requests == []
    assert not missing.value.permanent
    assert "lines of it" not in str(broken.value)


def test_a_change_of_where_it_is_sent_takes_it_away_unless_the_same_edit_says_so(cronward: Command) -> None:
    url = "https://hooks.example.org/"
    refused = cronward("add", "--every", "1h", "--prompt", "x", "--webhook-token", "HOOK")
    assert (refused.code, "has neither" in refused.err) == (2, True)
    for value in ("Bearer abc-mistaken", "abc-mistaken" * 99):
        wrong = cronward("add", "--every", "1h", "--prompt", "x", "--on-fail", url, "--webhook-token", value)
        assert (wrong.code, cronward.json("list")) == (2, [])
        assert "mistaken" not in wrong.err
    hook = ("--on-fail", url, "--webhook-token", "HOOK")
    assert cronward("add", "--name", "n", "--every", "1h", "--prompt", "x", *hook).code == 0
    assert "with the token HOOK" in cronward("show", "n").out
    cronward("edit", "n", "--prompt", "y")
    assert cronward.json("show", "n")["webhook_token"] == "HOOK"
    said = cronward("edit", "n", "--on-fail", f"{url}elsewhere")
    assert cronward.json("show", "n")["webhook_token"] == ""
    assert "(on_fail): HOOK." in said.err
    assert "--webhook-token HOOK" in said.err
    for more in (("--webhook-token", "OTHER"), ("--keep-secrets",)):
        cronward("edit", "n", "--on-fail", f"{url}{more[0]}", *more)
        assert cronward.json("show", "n")["webhook_token"] == "OTHER"


def test_secrets_that_are_sent_are_listed_and_not_removed_by_the_way(
    cronward: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        '[notify]\nkey = "KEY"\n[notify.targets.ops]\nurl = "https://x.example/"\ntoken = "OPS"\nkey = "OPS"\n'
        '[notify.targets.phone]\napprise = "PHONE"\n'
    )
    monkeypatch.setenv("CRONWARD_CONFIG", str(config))
    for name in ("HOOK", "OPS", "FREE"):
        assert cronward("secret", "set", name, stdin=VALUE.encode()).code == 0
    hook = ("--on-fail", "https://hooks.example.org/", "--webhook-token", "HOOK")
    cronward("add", "--name", "n", "--every", "1h", "--prompt", "x", *hook)
    found = {each["name"]: (each["used_by"], each["set_at"] is not None) for each in cronward.json("secret", "list")}
    assert found == {
        "FREE": ([], True),
        "HOOK": (["the webhooks of n"], True),
        "KEY": (["[notify]"], False),
        "OPS": (["[notify.targets.ops]"], True),
        "PHONE": (["[notify.targets.phone]"], False),
    }
    assert "[notify.targets.phone]" in cronward("secret", "list").out
    for name, user in (("HOOK", "the webhooks of n"), ("OPS", "[notify.targets.ops]")):
        said = cronward("secret", "remove", name)
        assert (said.code, f"is used by: {user}." in said.err) == (5, True)
    said = cronward("secret", "remove", "OPS", "--force")
    assert (said.code, "Nothing is sent by [notify.targets.ops] until then." in said.out) == (0, True)
    assert cronward("secret", "remove", "FREE").code == 0
