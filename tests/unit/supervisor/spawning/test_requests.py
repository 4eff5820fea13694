from __future__ import annotations

from pathlib import Path

import pytest

from shared.findings import Spending
from shared.messages import Caps
from supervisor.agents.invocation import Terms
from supervisor.config import Config
from supervisor.errors import InvalidError
from supervisor.models import JobType
from supervisor.spawning.requests import request_for, throw_away_uid
from tests.fakes import make_job, make_run
from tests.madeup import ADAPTER, NAME, adapters, programs

RUN = make_run(attempt=2)


def test_a_request_says_what_the_job_and_the_run_say(tmp_path: Path) -> None:
    job = make_job(agent="command", command="true", type="medium", work_dir=str(tmp_path))
    config = Config(response_bytes=100)
    made = request_for(job, RUN, config, Path("/logs/2"), 12.5, None)
    assert (made.run_id, made.attempt, made.job_id, made.prompt) == (RUN.id, 2, job.id, job.prompt)
    assert (made.log_dir, made.response_bytes, made.cell.work_dir) == ("/logs/2", 100, str(tmp_path))
    assert made.limits == config.limits_for(JobType.MEDIUM, 12.5)
    assert made.agent.env == {
        "CRONWARD_JOB_ID": job.id,
        "CRONWARD_RUN_ID": RUN.id,
        "CRONWARD_ATTEMPT": "2",
        "CRONWARD_SCHEDULED_AT": RUN.scheduled_at.isoformat(),
    }
    assert made.import_paths == ()


def test_an_attempt_may_spend_what_the_ones_before_it_left() -> None:
    run = RUN.noted(caps=Caps(tokens=1000, cost_usd=1.0, turns=5), charged_tokens=400, charged_usd=0.25)
    run = run.noted(spending=Spending(input_tokens=400, cost_usd=0.25, turns=2))
    made = request_for(make_job(agent="command", command="true"), run, Config(), Path("/logs"), 1.0, None)
    assert made.caps == Caps(tokens=600, cost_usd=0.75, turns=3)


def test_each_run_has_a_session_of_its_own() -> None:
    job = make_job(agent="command", command="true")
    made = [request_for(job, make_run(id=name), Config(), Path("/logs"), 1.0, None) for name in ("a", "b")]
    assert [one.session_id for one in made] == ["a", "b"]


def test_what_judges_answers_can_be_found_by_the_runner() -> None:
    job = make_job(agent="command", command="true", output_format="structured", output_schema="{}")
    (folder,) = request_for(job, RUN, Config(), Path("/logs"), 1.0, None).import_paths
    assert (Path(folder) / "jsonschema" / "__init__.py").is_file()


@pytest.mark.parametrize("became", ["gone", "a link", "below a link", "a file"])
def test_a_work_directory_that_is_another_than_when_the_job_was_added_is_refused(tmp_path: Path, became: str) -> None:
    (tmp_path / "secret" / "in").mkdir(parents=True)
    work = tmp_path / "outer" / "in"
    if became == "a link":
        work.parent.mkdir()
        work.symlink_to(tmp_path / "secret")
    elif became == "below a link":
        work.parent.symlink_to(tmp_path / "secret")
    elif became == "a file":
        work.parent.mkdir()
        work.touch()
    job = make_job(agent="command", command="true", work_dir=str(work))
    with pytest.raises(InvalidError, match="is gone, or a link"):
        request_for(job, RUN, Config(), Path("/logs"), 1.0, None)


# ---- throw-away uids


def test_a_job_keeps_its_uid_while_nobody_else_has_it() -> None:
    config = Config(uid_base=5000, uid_count=100)
    first = throw_away_uid("job-1", config, frozenset())
    assert first == throw_away_uid("job-1", config, frozenset({first.uid + 1}))
    assert first.uid == first.gid
    assert 5000 <= first.uid < 5100


def test_a_uid_that_is_taken_is_not_given_out() -> None:
    config = Config(uid_base=5000, uid_count=3)
    taken: set[int] = set()
    for _ in range(3):
        taken.add(throw_away_uid("job-1", config, frozenset(taken)).uid)
    assert taken == {5000, 5001, 5002}
    with pytest.raises(InvalidError, match="All 3 user ids"):
        throw_away_uid("job-1", config, frozenset(taken))


def test_a_request_tells_the_schema_as_the_agent_takes_it_and_what_may_be_spent(tmp_path: Path) -> None:
    schema = '{"type": "object"}'
    adapters(tmp_path / "agents")
    config = Config(agents_dir=str(tmp_path / "agents"))
    asked = {"search_path": str(programs(tmp_path / "bin")), "output_format": "structured", "output_schema": schema}
    job = make_job(agent=NAME, **asked)
    capped, terms = RUN.noted(caps=Caps(turns=3)), Terms(session="talk-7")
    made = request_for(job, capped, config, Path("/logs/2"), 12.5, None, terms=terms)
    assert (made.prompt, made.caps) == (job.prompt, Caps(turns=3))
    assert made.agent.files["/run/agent/schema.json"] == schema
    assert made.agent.argv[-2:] == ("--go-on", "talk-7")
    adapters(tmp_path / "agents", ADAPTER.replace('structured = "flag"\n', ""))
    made = request_for(job, RUN, config, Path("/logs/2"), 12.5, None)
    assert made.prompt.startswith(job.prompt)
    assert schema in made.prompt
    assert "/run/agent/schema.json" not in made.agent.files
    assert made.agent.argv[1:] == ("--json",)
