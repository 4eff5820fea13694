"""What an attempt needs before it can be spawned: its directory, its request, and an executor that spawns it."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from shared.messages import ExecuteRequest, RunAs
from supervisor.admission import restatement
from supervisor.agents.invocation import Terms
from supervisor.agents.keeps import Plan, make_place, planned, with_keep
from supervisor.config import Config
from supervisor.definitions.grants import secrets_for
from supervisor.definitions.prompts import trusted, with_prompt
from supervisor.definitions.secrets import SecretStore
from supervisor.definitions.tasks import with_tasks
from supervisor.errors import StoreError
from supervisor.models import CronJob, CronRun
from supervisor.spawning.bytecode import compile_package
from supervisor.spawning.cgroup import Cgroup
from supervisor.spawning.clones import with_offer
from supervisor.spawning.identity import Identity
from supervisor.spawning.launcher import Executor
from supervisor.spawning.requests import request_for
from supervisor.stores.home import Home
from supervisor.stores.runs import RunsStore


def prepare(
    home: Home, identity: Identity, config: Config, runs: RunsStore, job: CronJob, run: CronRun, seconds_left: float
) -> ExecuteRequest:
    """The request of the run's current attempt, and its directory. Raises InvalidError or StoreError."""
    log_dir = home.log_dir(run.id, run.attempt)
    try:
        log_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        request, plan = granted(home, config, job, run, log_dir, seconds_left, identity.of(job, config))
        if run.repair_of:  # neither gate nor check nor branch: it does nothing again
            request = restatement.of(trusted(request, job), run, home)
        else:
            request = with_tasks(request, job, config)
            request = with_prompt(request, job, run, lambda: runs.last_ended(job.id), secrets.token_hex(16))
            request = with_offer(request, job, run, home)
        make_place(home, plan, job)
        return request
    except OSError as error:
        raise StoreError(f"The run's directory {log_dir} cannot be written: {error.strerror}.") from error


def granted(
    home: Home, config: Config, job: CronJob, run: CronRun, log_dir: Path, seconds_left: float, run_as: RunAs | None
) -> tuple[ExecuteRequest, Plan]:
    """The request with all that the job is granted, as it is now: an attempt gets the value that was set last. And the
    plan of what lives on, for which `make_place` has yet to make the place. Raises InvalidError or StoreError."""
    plan = planned(home, config, job, run)
    values, terms = (*secrets_for(job, SecretStore(home)), *plan.secrets), Terms(session=plan.conversation)
    return with_keep(request_for(job, run, config, log_dir, seconds_left, run_as, values, terms), plan), plan


def make_executor(
    home: Path, sweep: Callable[[int], bool] = lambda _session: False, cgroup: Cgroup | None = None
) -> Executor:
    """An executor whose runners find their modules compiled, whatever the environment says about bytecode."""
    pycache = compile_package(("runner", "shared"), home / "pycache")
    return Executor(sys.executable, pycache, sweep=sweep, cgroup=cgroup)
