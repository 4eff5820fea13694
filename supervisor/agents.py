"""Which program an agent is, inside the cell: argv and what of the host it needs to be shown.

Two so far: `local`, the embedded model, and `command`, any program of the host. Both get the prompt on standard input.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from shared.messages import AgentSpec, Bind
from supervisor import programs, trust, weights
from supervisor.config import Config
from supervisor.errors import InvalidError
from supervisor.models import CronJob, OutputFormat, Program
from supervisor.permitted import named_ids
from supervisor.writable import writable_paths

NAMES = ("local", "command")
_LOCAL = Path(__file__).resolve().parent.parent / "runner" / "agents" / "local.py"
_INSIDE = "/run/agent"  # not /run/cronward: there the runner shows nothing but init


def settled(job: CronJob) -> CronJob:
    """The job with its program looked up and recorded. Raises InvalidError unless there is such an agent."""
    check_agent(job)
    if job.agent != "command":
        return job.model_copy(update={"program": None, "search_path": ""})
    job = job.model_copy(update={"search_path": ":".join(programs.searched(job.search_path))})
    return job.model_copy(update={"program": _program(job, argv_of(job)[0])})


def check_agent(job: CronJob) -> None:
    """Raise InvalidError unless the job names an agent and what that needs."""
    if job.agent not in NAMES:
        raise InvalidError(f"The agent {job.agent!r} is unknown; use one of: {', '.join(NAMES)}.")
    if job.agent == "command":
        argv_of(job)
    elif job.command:
        raise InvalidError(f"A command is given, but the agent is {job.agent!r}; leave one of them out.")
    elif job.model:
        _check_model(job.model)


def resolve(job: CronJob, config: Config) -> AgentSpec:
    """The program of this job as it lies on the host now. Raises InvalidError with what is missing."""
    check_agent(job)
    if job.agent == "command":
        return _command(job)
    return _local(job, config)


def argv_of(job: CronJob) -> list[str]:
    """The job's command as a list of words. No shell is involved: `$`, `|`, `>` and `*` are plain characters."""
    try:
        argv = shlex.split(job.command)
    except ValueError as error:
        raise InvalidError(f"The command {job.command[:80]!r} cannot be split into words: {error}.") from None
    if not argv or not argv[0]:
        raise InvalidError("The agent `command` needs a command: a program and its arguments.")
    return argv


def _command(job: CronJob) -> AgentSpec:
    """Any program, found as when the job was added: what it has become since is followed, by the same rules."""
    argv = argv_of(job)
    found = _program(job, argv[0])
    # Where the work directory can only be read the agent starts elsewhere, and finds its program all the same.
    known = "/" not in argv[0] and shutil.which(argv[0], path=programs.CELL_PATH) == found.path
    return AgentSpec(
        name="command",
        argv=(argv[0] if known else found.path, *argv[1:]),
        env=dict(found.env),
        binds=tuple(Bind(source=path, target=path) for path in found.shown),
        links=dict(found.links),
        require_answer=False,
        program=found.file,
    )


def _program(job: CronJob, name: str) -> Program:
    sight = programs.Sight(
        search=programs.searched(job.search_path or programs.CELL_PATH),
        work_dir=job.work_dir,
        writable=writable_paths(job),
        homes=trust.homes(os.environ),
        trusted=trust.owners() | ({named_ids(job.run_as).uid} if job.run_as else set()),
    )
    return programs.resolve(name, sight)


def _check_model(name: str) -> None:
    if not os.path.isabs(name) or not os.path.isfile(name):  # noqa: PTH113, PTH117
        raise InvalidError(f"The model {name[:200]!r} is not a file; name a GGUF by its full path.")


def _local(job: CronJob, config: Config) -> AgentSpec:
    engine = weights.engine()
    if engine is None:
        raise InvalidError(
            "The engine of the embedded agent is not installed; install cronward with its extra `local`, "
            "or give the job another agent."
        )
    chosen = job.model or config.model_path
    try:
        model = Path(chosen) if chosen else weights.find()
    except weights.WeightsError as error:
        raise InvalidError(str(error)) from None
    if model is None:
        raise InvalidError("The weights of the embedded agent are not here; fetch them with `cronward fetch-model`.")
    _check_model(str(model))
    shown = [
        Bind(source=str(_LOCAL), target=f"{_INSIDE}/local.py"),
        Bind(source=str(model.resolve()), target=f"{_INSIDE}/model.gguf"),
        *(Bind(source=str(path), target=f"{_INSIDE}/engine/{path.name}") for path in engine.paths),
    ]
    python = os.path.realpath(sys.executable)
    program = (python, "-I", "-S", f"{_INSIDE}/local.py")
    argv = (*program, "--model", f"{_INSIDE}/model.gguf", "--site", f"{_INSIDE}/engine")
    if job.output_format is not OutputFormat.STRUCTURED:
        return AgentSpec(name="local", argv=argv, binds=tuple(shown))
    schema = f"{_INSIDE}/schema.json"
    return AgentSpec(
        name="local",
        argv=(*argv, "--schema-file", schema),
        binds=tuple(shown),
        files={schema: job.output_schema},
    )
