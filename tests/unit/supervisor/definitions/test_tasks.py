"""Gates and checks: found as an agent's program is, and a check never where the agent's work is judged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from shared.messages import AgentSpec
from supervisor.config import Config
from supervisor.definitions.tasks import check_tasks, with_search, with_tasks
from supervisor.errors import InvalidError
from supervisor.models import CronJob
from tests.fakes import make_job, make_request


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """With a script of ours in it, that a link outside leads to."""
    place = tmp_path / "work"
    place.mkdir()
    script(place / "judge")
    (tmp_path / "link").symlink_to(place / "judge")
    return place


def script(path: Path) -> Path:
    path.write_text("#!/bin/sh\nexit 0\n")
    path.chmod(0o755)
    return path


def job_in(work: Path, **fields: Any) -> CronJob:
    return make_job(agent="command", command="true", work_dir=str(work), **fields)


def test_a_check_in_the_work_directory_is_refused_however_it_is_named(work: Path) -> None:
    for check in ("./judge", str(work / "judge"), "sub/../judge", str(work.parent / "x" / ".." / work.name / "judge")):
        for mode in ("inplace", "read"):
            with pytest.raises(InvalidError, match="lies in the work directory"):
                check_tasks(job_in(work, check=check, work_mode=mode))
    for check in (str(work.parent / "link"), "../link"):
        for mode in ("inplace", "read"):
            with pytest.raises(InvalidError, match="could change"):
                check_tasks(job_in(work, check=check, work_mode=mode))
    with pytest.raises(InvalidError, match="could change"):
        check_tasks(job_in(work, check="judge", search_path=f"{work}:/usr/bin"))


def test_a_check_elsewhere_may_look_at_what_is_there(work: Path) -> None:
    outside = script(work.parent / "outside")
    for check in (str(outside), "../outside", "sh -c 'test -f judge'", f"test -f {work}/judge"):
        check_tasks(job_in(work, check=check))


def test_a_gate_may_lie_where_the_agent_only_reads(work: Path) -> None:
    check_tasks(job_in(work, gate="./judge", work_mode="read"))
    os.chmod(work, 0o777)  # noqa: PTH101 - also where root asks: others may write
    with pytest.raises(InvalidError, match="The job's gate cannot be used"):
        check_tasks(job_in(work, gate="./judge"))


def test_what_cannot_be_started_is_refused_in_a_sentence(tmp_path: Path) -> None:
    table = {
        "no-such-program": "is not in",
        str(tmp_path / "nowhere"): "is not there",
        "'unclosed": "cannot be split into words",
        "''": "names no program",
        "~/gate": "No shell",
    }
    for text, words in table.items():
        for name in ("gate", "check"):
            with pytest.raises(InvalidError, match=words) as raised:
                check_tasks(make_job(**{name: text}))
            assert name in str(raised.value), "which of the two is meant"


def test_a_request_has_what_each_needs_and_nothing_of_the_agent(tmp_path: Path) -> None:
    program = script(tmp_path / "own")
    agent = AgentSpec(name="x", argv=("x",), env={"CRONWARD_RUN_ID": "run-1", "AGENT_KEY": "v"}, files={"/f": "login"})
    request = make_request("run-1", 1, Path("/logs"), agent=agent)
    job = make_job(gate=f"{program} --since '1 day'", check="test -d .", search_path="/usr/bin")
    made = with_tasks(request, job, Config())
    assert made.gate is not None
    assert made.check is not None
    assert made.gate.argv == (str(program), "--since", "1 day")
    assert [bind.source for bind in made.gate.binds] == [str(program)]
    assert made.check.argv == ("/usr/bin/test", "-d", ".")
    for task in (made.gate, made.check):
        assert task.env.get("CRONWARD_RUN_ID") == "run-1"
        assert "AGENT_KEY" not in task.env
    assert made.agent == agent
    assert with_tasks(request, make_job(), Config()) == request


def test_where_they_are_looked_for_is_kept_whatever_the_agent_needs() -> None:
    for fields, expected in (({"gate": "true"}, "/usr/bin:/bin"), ({"check": "true"}, "/usr/bin:/bin"), ({}, "")):
        job = make_job(search_path="", **fields)
        assert with_search(job, "/usr/bin:relative:/bin:/usr/bin").search_path == expected


def test_the_sites_certificates_are_for_a_gate_with_a_network(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("certificates")
    job = make_job(gate="true", check="true", network="public")
    made = with_tasks(make_request("run-1", 1, Path("/logs")), job, Config(ca_bundle=str(bundle)))
    assert made.gate is not None
    assert made.check is not None
    assert "SSL_CERT_FILE" in made.gate.env
    assert "SSL_CERT_FILE" not in made.check.env
