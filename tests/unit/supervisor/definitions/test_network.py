"""What a job may ask to reach, and what of it an attempt is told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from shared.findings import Traffic
from supervisor.admission.attempts import with_result
from supervisor.agents.adapter import Adapter
from supervisor.agents.adapters import adapter
from supervisor.config import Config, ConfigError, load_config
from supervisor.definitions.definition import Setting, define
from supervisor.definitions.network import with_other_reach, with_reach
from supervisor.errors import InvalidError
from supervisor.models import CronJob
from supervisor.spawning.requests import request_for
from tests.fakes import NOON, make_job, make_result, make_run


def defined(tmp_path: Path, *, permit: bool = False, **fields: Any) -> CronJob:
    setting = Setting(tmp_path / "home", "UTC", "local", lambda: "j1", permit_host_network=permit)
    return define({"cron_expr": "@daily", "prompt": "x", "command": "cat", **fields}, setting, NOON)


def test_a_job_reaches_nothing_unless_it_says_so(tmp_path: Path) -> None:
    job = defined(tmp_path)
    assert (job.network, job.allow_hosts) == ("none", ())


def test_hosts_alone_mean_these_and_no_others(tmp_path: Path) -> None:
    job = defined(tmp_path, allow_hosts=["api.example.com", ".example.org:8443"])
    assert (job.network, job.allow_hosts) == ("allow", ("api.example.com", ".example.org:8443"))
    assert defined(tmp_path, network="public", allow_hosts=["git.example:22"]).network == "public"


def test_an_agent_reaches_what_it_needs_unless_the_job_says_otherwise() -> None:
    claude = adapter("claude")
    rows: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
        "nothing said": ({}, "allow", claude.hosts),
        "hosts beside": ({"allow_hosts": ("git.example",)}, "allow", ("git.example", *claude.hosts)),
        "one of its own": ({"allow_hosts": claude.hosts[1:]}, "allow", (*claude.hosts[1:], claude.hosts[0])),
        "allow alone": ({"network": "allow"}, "allow", claude.hosts),
        "none": ({"network": "none"}, "none", ()),
        "public": ({"network": "public"}, "public", ()),
    }
    for row, (said, network, hosts) in rows.items():
        job = with_reach(make_job(agent="claude", **said), claude, said)
        assert (job.network, job.allow_hosts) == (network, hosts), row
    for name in ("local", "command"):
        assert with_reach(make_job(agent=name), adapter(name), ()) == make_job(agent=name)


def test_a_job_whose_agent_becomes_another_reaches_what_that_one_needs() -> None:
    claude, codex, local = adapter("claude"), adapter("codex"), adapter("local")
    usual = {"network": "allow", "allow_hosts": claude.hosts}
    more = {"network": "allow", "allow_hosts": ("git.example", *claude.hosts)}
    rows: dict[str, tuple[dict[str, Any], Adapter | None, Adapter, tuple[str, ...], str, tuple[str, ...]]] = {
        "the usual": (usual, claude, codex, (), "allow", codex.hosts),
        "to none": (usual, claude, local, (), "none", ()),
        "from none": ({"network": "none"}, local, codex, (), "allow", codex.hosts),
        "with hosts of its own": (more, claude, codex, (), "allow", ("git.example", *codex.hosts)),
        "these to none": (more, claude, local, (), "allow", ("git.example",)),
        "public stays": ({"network": "public"}, claude, codex, (), "public", ()),
        "none stays": ({"network": "none"}, claude, codex, (), "none", ()),
        "said": ({"network": "none"}, local, codex, ("network",), "none", ()),
        "no agent any more": (usual, None, codex, (), "allow", (*claude.hosts, *codex.hosts)),
        "the same agent": ({"network": "none"}, claude, claude, (), "none", ()),
    }
    for row, (had, before, after, said, network, hosts) in rows.items():
        job = with_other_reach(make_job(agent=after.name, **had), before, after, said)
        assert (job.network, job.allow_hosts) == (network, hosts), row


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"network": "allow"}, "no host is named"),
        ({"network": "none", "allow_hosts": ["a.example"]}, "use allow"),
        ({"network": "host", "allow_hosts": ["a.example"]}, "permit_host_network"),
        ({"network": "host"}, "permit_host_network = true"),
        ({"network": "open"}, "'none', 'allow', 'public' or 'host'"),
        ({"allow_hosts": ["*.com"]}, "wildcard"),
        ({"allow_hosts": ["a.example", "https://b.example"]}, "URL"),
        ({"allow_hosts": ["169.254.169.254"]}, "metadata"),
        ({"allow_hosts": ["a.example"] * 101}, "at most 100"),
        ({"allow_hosts": "a.example"}, "allow_hosts"),
        ({"allow_hosts": ["x" * 400]}, "320"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(tmp_path: Path, fields: dict[str, Any], word: str) -> None:
    with pytest.raises(InvalidError, match=word.replace(".", r"\.")):
        defined(tmp_path, **fields)


def test_the_hosts_network_needs_the_owners_permission(tmp_path: Path) -> None:
    assert defined(tmp_path, network="host", permit=True).network == "host"
    with pytest.raises(InvalidError, match="use allow"):
        defined(tmp_path, network="host", allow_hosts=["a.example"], permit=True)


def test_an_attempt_is_told_what_it_may_reach(tmp_path: Path) -> None:
    job = make_job(agent="command", command="cat", network="allow", allow_hosts=("a.example",))
    config = Config(network_bytes=5, upstream_proxy="http://proxy.corp:3128")
    cell = request_for(job, make_run(), config, tmp_path, 60.0, None).cell
    assert (cell.network, cell.allow_hosts, cell.network_bytes) == ("allow", ("a.example",), 5)
    assert cell.upstream_proxy == "http://proxy.corp:3128"


def test_a_permission_that_was_taken_back_counts_at_the_next_attempt(tmp_path: Path) -> None:
    job = make_job(agent="command", command="cat", network="host")
    assert request_for(job, make_run(), Config(permit_host_network=True), tmp_path, 60.0, None).cell.network == "host"
    with pytest.raises(InvalidError, match="permit_host_network"):
        request_for(job, make_run(), Config(), tmp_path, 60.0, None)


def test_the_sites_certificates_are_shown_and_named_where_there_is_a_network(tmp_path: Path) -> None:
    bundle = tmp_path / "real.pem"
    bundle.write_text("certificates")
    (tmp_path / "link.pem").symlink_to(bundle)
    config = Config(ca_bundle=str(tmp_path / "link.pem"))
    job = make_job(agent="command", command="cat", network="public")
    agent = request_for(job, make_run(), config, tmp_path, 60.0, None).agent
    (bind,) = agent.binds
    assert (bind.source, bind.writable) == (os.path.realpath(bundle), False)
    assert {name for name, value in agent.env.items() if value == bind.target} == {
        *("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"),
    }
    none = request_for(make_job(agent="command", command="cat"), make_run(), config, tmp_path, 60.0, None)
    assert none.agent.binds == ()
    bundle.unlink()
    with pytest.raises(InvalidError, match="ca_bundle"):
        request_for(job, make_run(), config, tmp_path, 60.0, None)


@pytest.mark.parametrize(
    "url",
    ["proxy:3128", "https://proxy:3128", "http://proxy", "http://me:secret@proxy:1", "http://proxy:1/", "http://a b:1"],
)
def test_the_sites_proxy_is_a_host_and_a_port(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="http://HOST:PORT") as refused:
        load_config(None, {"HOME": str(tmp_path), "CRONWARD_UPSTREAM_PROXY": url})
    assert "secret" not in str(refused.value)


def test_traffic_adds_up_over_attempts() -> None:
    first = Traffic(connections=1, denied=1, bytes_up=2, bytes_down=3)
    run = with_result(with_result(make_run(), make_result(traffic=first)), make_result())
    assert run.traffic == first
    assert with_result(run, make_result(traffic=first)).traffic == Traffic(
        connections=2, denied=2, bytes_up=4, bytes_down=6
    )
