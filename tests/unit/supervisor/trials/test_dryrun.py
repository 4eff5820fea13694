"""A dry run says what a run would be made of, as its cell would have it, and leaves no trace."""

from __future__ import annotations

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from runner import cell
from shared.messages import Caps, Cell, Secret
from supervisor.cli.dryrun import facts
from supervisor.config import Config
from supervisor.definitions.secrets import SecretStore
from supervisor.errors import InvalidError
from supervisor.models import CronJob
from supervisor.stores.home import Home
from supervisor.stores.runs import RunsStore
from supervisor.trials.dryrun import environment, plan
from tests.command import snapshot
from tests.driver import request
from tests.fakes import NOON, make_job
from tests.fakes import make_run as a_run
from tests.madeup import ADAPTER, NAME, adapters, programs


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.create()
    SecretStore(made).set("TOKEN", "a value that nobody sees")
    return made


def planned(home: Home, job: CronJob, **config: Any) -> Any:
    return json.loads(json.dumps(plan(home, Config(**config), job, RunsStore(home), NOON, UTC)))


def job_of(**fields: Any) -> CronJob:
    return make_job(**{"agent": "command", "command": "cat -n", "name": "nightly", **fields})


def test_it_says_all_that_a_run_would_be_made_of(home: Home, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    job = job_of(
        prompt="For {{ job.name }} at {{ scheduled_at }}: {{ gate.output }}!",
        gate="echo 'two words'",
        check="test -s made",
        untrusted_input=True,
        secrets_when_tainted=True,
        secrets=("TOKEN=API_TOKEN",),
        work_dir=str(work),
        work_mode="read",
        network="allow",
        allow_hosts=("example.com",),
    )
    found = planned(home, job)
    assert found["argv"] == ["cat", "-n"]
    assert found["prompt"] == f"For nightly at {NOON.isoformat()}: {{{{ gate.output }}}}!"
    assert (found["gate"]["argv"], found["check"]["argv"]) == (
        ["/usr/bin/echo", "two words"],
        ["/usr/bin/test", "-s", "made"],
    )
    assert found["mounts"] == [{"source": str(work), "target": str(work), "writable": False}]
    assert found["network"]["hosts"] == ["example.com"]
    assert found["secrets"] == ["TOKEN"]
    assert {"API_TOKEN", "CRONWARD_RUN_ID", "HOME", "HTTP_PROXY"} <= set(found["environment"])
    assert found["tainted"] is True
    assert found["limits"]["wall_seconds"] == job.timeout_seconds
    assert "nobody sees" not in json.dumps(found)


def test_what_a_run_could_spend_now_stands_in_it(home: Home, tmp_path: Path) -> None:
    assert planned(home, job_of())["caps"] == {"tokens": None, "cost_usd": None, "turns": None}
    bird = {"agent": NAME, "command": "", "search_path": str(programs(tmp_path / "bin"))}
    config = {"agents_dir": str(adapters(tmp_path / "agents", ADAPTER))}
    job = job_of(**bird, max_tokens=1000)
    assert planned(home, job, **config)["caps"] == {"tokens": 1000, "cost_usd": None, "turns": None}
    used = {"counts_on": NOON.date(), "agent": NAME, "started_at": NOON}
    RunsStore(home).record(a_run(id="run-0", status="completed", charged_usd=0.75, **used))
    config["budget"] = {"day": {"cost_usd": 2.0}}
    assert planned(home, job, **config)["caps"] == {"tokens": 1000, "cost_usd": 1.25, "turns": None}
    RunsStore(home).record(a_run(id="run-1", status="running", caps=Caps(cost_usd=1.0), charged_usd=1.0, **used))
    found = planned(home, job_of(**bird, max_cost=0.2, per_day={"tokens": 5000}), **config)
    assert (found["caps"]["tokens"], found["caps"]["cost_usd"], found["over_budget"]) == (5000, 0.2, "")
    waits = planned(home, job_of(**bird, max_cost=0.5), **config)
    assert waits["over_budget"].startswith("It would have to wait: 1.75 USD of 2.00 USD"), waits
    assert waits["caps"]["cost_usd"] == 0.5
    config["budget"] = {"day": {"cost_usd": 0.75}}
    over = planned(home, job, **config)["over_budget"]
    assert over.startswith("All jobs together have used 0.75 USD of 0.75 USD today; it resumes at")


def test_where_it_would_start_is_said_and_what_stands_in_its_way(home: Home, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    work.chmod(0o555)
    for mode, writable, starts_in, words in (
        ("inplace", False, "", f"a private directory: it can only read {work}"),
        ("read", False, str(work), f"{work} (read)"),
        ("inplace", True, str(work), f"{work} (inplace)"),
    ):
        work.chmod(0o777 if writable else 0o555)
        found = planned(home, job_of(work_dir=str(work), work_mode=mode))
        assert (found["starts_in"], dict(facts(found))["works in"]) == (starts_in, words), mode
        assert found["mounts"][0]["writable"] is writable
    assert dict(facts(planned(home, job_of(max_turns=3))))["may spend"] == "3 turns"
    over = {**planned(home, job_of()), "over_budget": "All is used."}
    assert dict(facts(over))["may spend"] == "nothing now. All is used."


def test_nothing_is_written(home: Home) -> None:
    before = snapshot(home.root)
    planned(home, job_of(prompt="{{ last_run.status }}"))
    assert snapshot(home.root) == before


def test_the_last_answer_stands_in_it(home: Home) -> None:
    runs = RunsStore(home)
    for number, (status, response) in enumerate((("completed", "first"), ("failed", "second"))):
        runs.record(a_run(id=f"run-{number}", status=status, response=response, started_at=NOON, finished_at=NOON))
    runs.record(a_run(id="run-2", status="skipped", reason="overlap", finished_at=NOON))
    runs.record(a_run(id="run-3", status="running", started_at=NOON))
    found = planned(home, job_of(prompt="{{ last_run.status }} {{ last_run.response }}", untrusted_input=True))
    assert found["prompt"].startswith("failed ")
    assert "\nsecond\n</data id=" in found["prompt"]


def test_it_is_refused_in_the_words_in_which_a_run_would_fail(home: Home, tmp_path: Path) -> None:
    table = {
        "is gone, or a link": {"work_dir": str(tmp_path / "nowhere")},
        "is not there": {"command": str(tmp_path / "no-program")},
        "The job's check cannot be used": {"check": "no-such-program"},
        "MISSING is not set": {"secrets": ("MISSING",)},
        "not permitted here": {"network": "host"},
        "which is unknown": {"prompt": "{{ nobody.knows }}"},
        "needs a work directory": {"work_mode": "branch"},
    }
    for words, fields in table.items():
        with pytest.raises(InvalidError, match=words):
            planned(home, job_of(**fields))


def test_the_variables_are_those_of_the_cell(tmp_path: Path) -> None:
    """The names are written down twice, for the two sides never import each other."""
    key = Secret(name="KEY", value="value", variable="API_KEY")
    for made in (Cell(), Cell(network="public"), Cell(git_write=True)):
        for granted in ((), (key,)):
            wanted = request(tmp_path, "x", env={"CRONWARD_RUN_ID": "r"}, cell=made, secrets=granted)
            assert set(environment(wanted)) == set(cell.environment(wanted, "/")), (made, granted)
