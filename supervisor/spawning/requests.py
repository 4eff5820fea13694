"""What one attempt is told: a job and its run, put into the request that a runner gets."""

from __future__ import annotations

import importlib.util
import pwd
from collections.abc import Set
from dataclasses import replace
from pathlib import Path
from zlib import crc32

from shared.messages import Cell, ExecuteRequest, RunAs, Secret
from supervisor.agents.adapters import adapter
from supervisor.agents.agents import resolve
from supervisor.agents.invocation import NOTHING_MORE, Terms
from supervisor.agents.schemaways import prompted
from supervisor.budgets import charge
from supervisor.config import Config
from supervisor.definitions import gitgrants
from supervisor.definitions.isolation import check_isolation
from supervisor.definitions.network import ca_bundle, check_network
from supervisor.definitions.paths import check_paths
from supervisor.definitions.permitted import check_limits
from supervisor.errors import InvalidError
from supervisor.models import NEVER, CronJob, CronRun, OutputFormat


def request_for(
    job: CronJob,
    run: CronRun,
    config: Config,
    log_dir: Path,
    seconds_left: float,
    run_as: RunAs | None,
    secrets: tuple[Secret, ...] = (),
    terms: Terms = NOTHING_MORE,
) -> ExecuteRequest:
    """The request of the run's current attempt. Raises InvalidError when the host lacks what the job needs.

    `log_dir` exists; `seconds_left` is what remains of the run's wall time.
    """
    check_paths(job)
    check_isolation(job, config.permit_no_isolation)
    check_network(job, config.permit_host_network or job.isolation == "none")
    check_limits(job, config.maxima)
    terms = replace(terms, caps=charge.left(run))  # earlier attempts have used some of it
    agent = resolve(job, config, terms)
    binds, env = ca_bundle(agent, config.ca_bundle) if job.network != "none" else (agent.binds, agent.env)
    about = {"CRONWARD_JOB_ID": job.id, "CRONWARD_RUN_ID": run.id, "CRONWARD_ATTEMPT": str(run.attempt)}
    about["CRONWARD_SCHEDULED_AT"] = run.scheduled_at.isoformat()
    return ExecuteRequest(
        run_id=run.id,
        attempt=run.attempt,
        job_id=job.id,
        session_id=run.id,
        prompt=prompted(adapter(job.agent, config.agents_dir), job, job.prompt),
        agent=replace(agent, binds=binds, env={**env, **gitgrants.environment(job, config), **about}),
        cell=cell_of(job, config, run_as),
        limits=config.limits_for(job.type, seconds_left, job.idle_timeout_secs, job.limits),
        output_format=job.output_format.value,
        output_schema=job.output_schema,
        response_bytes=config.response_bytes,
        run_started=run.started_at.timestamp() if run.started_at != NEVER else 0.0,
        log_dir=str(log_dir),
        import_paths=_judging_libraries() if job.output_format is OutputFormat.STRUCTURED else (),
        caps=terms.caps,
        secrets=secrets,
    )


def cell_of(job: CronJob, config: Config, run_as: RunAs | None) -> Cell:
    """What is to confine the job's agent."""
    return Cell(
        isolation=job.isolation,
        network=job.network,
        allow_hosts=job.allow_hosts,
        network_bytes=config.network_bytes,
        upstream_proxy=config.upstream_proxy,
        work_dir=job.work_dir or None,
        work_mode=job.work_mode,
        git_write=job.git_write,
        read_paths=job.read_paths,
        write_paths=job.write_paths,
        run_as=run_as,
        bwrap=config.bwrap,
    )


def throw_away_uid(job_id: str, config: Config, taken: Set[int]) -> RunAs:
    """A uid of the job's own out of the configured range, for a supervisor run by root: none of `taken`, and nobody's
    on this host. Raises InvalidError when none is left."""
    start = crc32(job_id.encode())
    offsets = ((start + step) % config.uid_count for step in range(config.uid_count))
    uids = (config.uid_base + offset for offset in offsets)
    uid = next((uid for uid in uids if uid not in taken and not _is_somebodys(uid)), None)
    if uid is None:
        raise InvalidError(f"All {config.uid_count} user ids for runs are in use; configure more of them (uid_count).")
    return RunAs(uid=uid, gid=uid)


def _is_somebodys(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _judging_libraries() -> tuple[str, ...]:
    spec = importlib.util.find_spec("jsonschema")
    assert spec is not None  # a dependency of ours
    assert spec.origin is not None
    return (str(Path(spec.origin).parent.parent),)
