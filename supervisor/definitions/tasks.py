"""A job's gate and its check: from what their owner wrote to what a runner starts in cells of their own.

Both are programs found as an agent's is. The check judges what the agent did, so no step on the way to it may lie in
the work directory, whatever the agent may do there: in its cell that is what the agent left.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import replace

from shared.messages import AgentSpec, Bind, ExecuteRequest, Task
from shared.places import holds
from supervisor.config import Config
from supervisor.definitions.network import ca_bundle
from supervisor.definitions.permitted import named_ids
from supervisor.definitions.writable import writable_paths
from supervisor.errors import InvalidError
from supervisor.models import CronJob, Program
from supervisor.programs import programs, trust

GATE, CHECK = "gate", "check"


def check_tasks(job: CronJob) -> None:
    """Raise InvalidError unless both could be started now, where the job has them."""
    for name in (GATE, CHECK):
        if getattr(job, name):
            program_of(job, name)


def with_search(job: CronJob, search_path: str) -> CronJob:
    """The job with where its gate and check are looked for, though its agent may need no such place."""
    if not (job.gate or job.check):
        return job
    return job.model_copy(update={"search_path": ":".join(programs.searched(search_path))})


def words(job: CronJob, name: str) -> list[str]:
    """Its program and arguments. No shell is involved."""
    text = getattr(job, name)
    try:
        argv = shlex.split(text)
    except ValueError as error:
        raise InvalidError(f"The {name} {text[:80]!r} cannot be split into words: {error}.") from None
    if not argv or not argv[0]:
        raise InvalidError(f"The {name} {text[:80]!r} names no program; give one and its arguments.")
    return argv


def program_of(job: CronJob, name: str) -> Program:
    """What it is on the host now, and what has to be shown for it. Raises InvalidError."""
    program = words(job, name)[0]
    if name == CHECK:
        _check_outside(job, program)
    own = (job.work_dir,) if name == CHECK and job.work_dir else ()
    sight = programs.Sight(
        search=programs.searched(job.search_path or programs.CELL_PATH),
        work_dir=job.work_dir,
        writable=(*writable_paths(job), *own),
        homes=trust.homes(os.environ),
        trusted=trust.owners() | ({named_ids(job.run_as).uid} if job.run_as else set()),
    )
    try:
        return programs.resolve(program, sight)
    except InvalidError as error:
        raise InvalidError(f"The job's {name} cannot be used. {error}") from None


def _check_outside(job: CronJob, program: str) -> None:
    """By its name alone; the links on the way to it are looked at with the rest."""
    path = os.path.normpath(f"{job.work_dir}/{program}" if not program.startswith("/") else program)
    if "/" in program and job.work_dir and holds(job.work_dir, path):
        raise InvalidError(
            f"The check {program[:200]!r} lies in the work directory, where what the agent left would judge itself: "
            "keep it elsewhere."
        )


def with_tasks(request: ExecuteRequest, job: CronJob, config: Config) -> ExecuteRequest:
    """With its gate and check, if it has any. Raises InvalidError where one cannot be started any more."""
    made = {name: _task(request, job, config, name) for name in (GATE, CHECK) if getattr(job, name)}
    return replace(request, gate=made.get(GATE), check=made.get(CHECK))


def _task(request: ExecuteRequest, job: CronJob, config: Config, name: str) -> Task:
    found = program_of(job, name)
    told = {key: value for key, value in request.agent.env.items() if key.startswith("CRONWARD_")}
    program = AgentSpec(
        name=name,
        argv=(found.path, *words(job, name)[1:]),
        env=found.env,
        binds=tuple(Bind(source=path, target=path) for path in found.shown),
    )
    reaches = name == GATE and job.network != "none"
    binds, env = ca_bundle(program, config.ca_bundle) if reaches else (program.binds, program.env)
    return Task(argv=program.argv, env={**env, **told}, binds=binds, links=dict(found.links))
