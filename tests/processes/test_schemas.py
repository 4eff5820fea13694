"""What commands print with --json, beside the schemas that docs/reference.md promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from supervisor.notifications.outbox import Outbox
from supervisor.notifications.sender import test_of as trial_of
from supervisor.stores.home import Home
from supervisor.stores.runs import RunsStore
from tests.command import Command
from tests.fakes import NOON, make_run

SCHEMAS = Path(__file__).parents[2] / "docs/schemas"


def check(name: str, value: Any) -> None:
    schema = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))
    for record in value if isinstance(value, list) else [value]:
        Draft202012Validator(schema).validate(record)
        assert set(record) == set(schema["properties"]), name


def test_what_is_printed_is_what_the_schemas_say(cronward: Command) -> None:
    job = cronward.json(
        "add", "--cron", "0 7 * * *", "--prompt", "x", "--name", "n", "--command", "cat", "--until", "+3d"
    )
    home = Home(cronward.home)
    RunsStore(home).record(make_run(job_id=job["id"]))
    Outbox(home).keep(trial_of("phone", "88888888-0000-4000-8000-000000000001", NOON))
    assert cronward("secret", "set", "DEPLOY_KEY", stdin=b"sesame-open").code == 0
    calls = {
        "job": (("show", "n"), ("list",), ("pause", "n"), ("cron", "list_crons")),
        "run": (("runs",), ("runs", "n")),
        "secret": (("secret", "list"),),
        "session": (("sessions", "list"),),
        "delivery": (("outbox", "list"),),
    }
    check("job", job)
    for name, lines in calls.items():
        for line in lines:
            found = cronward.json(*line)
            assert found or name == "session", line
            check(name, found)
