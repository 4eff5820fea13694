"""What a job may reach: checked when it is added, and before each attempt, for the configuration may have changed."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path

from shared.hostrule import MOST_RULES, HostRuleError, parse_rule
from shared.messages import PROXIED, AgentSpec, Bind
from supervisor.agents.adapter import Adapter
from supervisor.errors import InvalidError
from supervisor.models import CronJob

CA_INSIDE = "/run/agent/ca-bundle.pem"
CA_VARIABLES = (
    "SSL_CERT_FILE",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
)


def check_network(job: CronJob, permit_host: bool) -> None:
    """Raise InvalidError where the job asks for a network that it cannot have."""
    if job.network == "host" and not permit_host:
        raise InvalidError(
            "The network of the host itself is not permitted here, for nothing confines an agent in it. "
            "Name the hosts that it needs (allow_hosts), or set permit_host_network = true in the configuration."
        )
    if job.allow_hosts and job.network not in PROXIED:
        raise InvalidError(f"Hosts are allowed, but the network is {job.network!r}; use allow, or leave them out.")
    if job.network == "allow" and not job.allow_hosts:
        raise InvalidError("The network is `allow`, but no host is named; give allow_hosts, or the network none.")
    if len(job.allow_hosts) > MOST_RULES:
        raise InvalidError(f"{len(job.allow_hosts)} hosts are allowed; at most {MOST_RULES} can be. Use suffixes.")
    for text in job.allow_hosts:
        try:
            parse_rule(text)
        except HostRuleError as error:
            raise InvalidError(str(error)) from None


def with_reach(job: CronJob, agent: Adapter, said: Container[str]) -> CronJob:
    """The job with what its agent needs to reach, where that is for us to say. `said`: the fields that somebody gave.

    A list of hosts is one of what the agent may reach beside what it needs.
    """
    if "network" not in said:
        of_agent = agent.network if not job.allow_hosts else "allow"
        job = job.model_copy(update={"network": of_agent})
    if job.network != "allow":
        return job
    further = tuple(host for host in agent.hosts if host not in job.allow_hosts)
    return job.model_copy(update={"allow_hosts": (*job.allow_hosts, *further)})


def with_other_reach(job: CronJob, before: Adapter | None, after: Adapter, said: Container[str]) -> CronJob:
    """An edited job of which the agent may have become another: what only the one before needed is gone."""
    if "network" in said or "allow_hosts" in said or before is None or before.name == after.name:
        return with_reach(job, after, ("network",))
    left = tuple(host for host in job.allow_hosts if host not in before.hosts)
    usual = job.network == before.network and not left
    return with_reach(job.model_copy(update={"allow_hosts": left}), after, () if usual else ("network",))


def ca_bundle(agent: AgentSpec, path: str) -> tuple[tuple[Bind, ...], dict[str, str]]:
    """What the cell shows of the site's certificates, and the variables by which programs find them."""
    if not path:
        return agent.binds, agent.env
    if not os.access(path, os.R_OK) or not Path(path).is_file():
        raise InvalidError(f"The certificates {path[:200]!r} (ca_bundle) are not there, or cannot be read.")
    shown = Bind(source=os.path.realpath(path), target=CA_INSIDE)
    return (*agent.binds, shown), {**dict.fromkeys(CA_VARIABLES, CA_INSIDE), **agent.env}
