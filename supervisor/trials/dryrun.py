"""What a run of a job would be made of, and nothing of it happens: no claim, no directory, no process.

It is decided by what decides about a real attempt, and therefore refused in the same sentences.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import datetime, tzinfo
from typing import Any

from shared.messages import PROXIED, Bind, Caps, ExecuteRequest, Task
from supervisor.budgets.budget import Over
from supervisor.budgets.metering import meter_of
from supervisor.budgets.purse import own_caps, would_fit
from supervisor.config import Config
from supervisor.definitions.prompts import GATE_OUTPUT, taints, with_prompt
from supervisor.definitions.tasks import with_tasks
from supervisor.definitions.writable import writable_paths
from supervisor.models import CronJob, CronRun, Trigger
from supervisor.spawning.clones import check_clone
from supervisor.spawning.identity import would_be
from supervisor.spawning.preparation import granted
from supervisor.status import Status
from supervisor.stores.home import Home
from supervisor.stores.runs import RunsStore

RUN_ID = "dry-run"
CELLS = ("HOME", "LANG", "LOGNAME", "PATH", "PWD", "SHELL", "TMPDIR", "USER")
PROXYS = tuple(f"{kind}_proxy" for kind in ("http", "https", "all", "no"))
Plan = Mapping[str, Any]


def plan(home: Home, config: Config, job: CronJob, runs: RunsStore, now: datetime, zone: tzinfo) -> Plan:
    """All of it, ready for JSON. `zone`: whose days budgets are about. Raises InvalidError or StoreError where a run
    would fail before it began."""
    caps = would_fit(job, config.budget, runs, now, zone, meter_of(job, config.agents_dir))
    # What does not fit now may later: it is shown with the job's own caps, and with what stands in its way.
    request = _request(home, config, job, runs, now, own_caps(job) if isinstance(caps, Over) else caps)
    return {
        "job": {"id": job.id, "name": job.name},
        "agent": job.agent,
        "argv": request.agent.argv,
        "environment": sorted(environment(request)),
        "mounts": [asdict(bind) for bind in mounts(request, job)],
        "links": request.agent.links,
        "files": sorted(request.agent.files),
        "work_dir": job.work_dir,
        "work_mode": job.work_mode,
        "starts_in": _starts_in(job),
        "isolation": request.cell.isolation,
        "run_as": asdict(request.cell.run_as) if request.cell.run_as else None,
        "network": {
            "network": request.cell.network,
            "hosts": request.cell.allow_hosts,
            "bytes": request.cell.network_bytes if request.cell.network in PROXIED else None,
        },
        "limits": asdict(request.limits),
        "caps": asdict(request.caps),
        "over_budget": _over(caps) if isinstance(caps, Over) else "",
        "retries": job.retries,
        "secrets": [secret.name for secret in request.secrets],
        "login": [file.path for file in request.keep.login] if request.keep is not None else [],
        "session": job.session_key,
        "gate": _task(request.gate),
        "check": _task(request.check),
        "output_format": request.output_format,
        "tainted": taints(job.prompt),
        "prompt": _prompt(request),
    }


def _request(home: Home, config: Config, job: CronJob, runs: RunsStore, now: datetime, caps: Caps) -> ExecuteRequest:
    check_clone(job)
    run = CronRun(
        id=RUN_ID,
        job_id=job.id,
        status=Status.QUEUED,
        trigger=Trigger.MANUAL,
        scheduled_at=now,
        attempt=1,
        caps=caps,
    )
    log_dir, ids = home.log_dir(RUN_ID, 1), would_be(home, config, job)
    request, _plan = granted(home, config, job, run, log_dir, job.timeout_seconds, ids)
    request = with_tasks(request, job, config)
    request = with_prompt(request, job, run, lambda: runs.last_ended(job.id), secrets.token_hex(16))
    # Their names are all that is wanted from here on.
    return replace(request, secrets=tuple(replace(secret, value="") for secret in request.secrets))


def _over(over: Over) -> str:
    return f"It would have to wait: {over.why}." if over.held else over.why


def environment(request: ExecuteRequest) -> Iterator[str]:
    """The names of the agent's variables."""
    yield from {*CELLS, *request.agent.env, *(secret.variable for secret in request.secrets if secret.variable)}
    if not request.cell.git_write:
        yield "GIT_OPTIONAL_LOCKS"
    if request.secrets:
        yield "CRONWARD_SECRETS"
    if request.cell.network in PROXIED:
        yield from (*PROXYS, *(name.upper() for name in PROXYS), "NODE_USE_ENV_PROXY")


def mounts(request: ExecuteRequest, job: CronJob) -> Iterator[Bind]:
    """What of the host its cell shows beside the system."""
    yield from request.agent.binds
    writable = writable_paths(job)
    for path in (*((job.work_dir,) if job.work_dir else ()), *job.read_paths, *job.write_paths):
        yield Bind(source=path, target=path, writable=path in writable)


def _starts_in(job: CronJob) -> str:
    """Its work directory; nothing where that is a private one, since the run's user will not be able to write there."""
    return job.work_dir if job.work_mode != "inplace" or job.work_dir in writable_paths(job) else ""


def _task(task: Task | None) -> dict[str, Any] | None:
    return None if task is None else {"argv": task.argv, "mounts": [asdict(bind) for bind in task.binds]}


def _prompt(request: ExecuteRequest) -> str:
    """As the agent would be told it, but for what the gate would say: that stands there by its name."""
    at = request.gate_at
    return request.prompt if at is None else f"{request.prompt[:at]}{{{{ {GATE_OUTPUT} }}}}{request.prompt[at:]}"
