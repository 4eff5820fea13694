"""Which program an agent is, inside the cell: argv and what of the host it needs to be shown.

Two so far: `local`, the embedded model, and `command`, any program of the host. Both get the prompt on standard input.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.messages import AgentSpec, Bind
from supervisor import weights
from supervisor.config import Config
from supervisor.errors import InvalidError
from supervisor.models import CronJob, OutputFormat

NAMES = ("local", "command")
CELL_PATH = "/usr/local/bin:/usr/bin:/bin"
_LOCAL = Path(__file__).resolve().parent.parent / "runner" / "agents" / "local.py"
_INSIDE = "/run/agent"  # not /run/cronward: there the runner shows nothing but init
_SYSTEM = ("/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/")


def check_agent(job: CronJob) -> None:
    """Raise InvalidError unless the job names an agent and, for `command`, a program that is there."""
    if job.agent not in NAMES:
        raise InvalidError(f"The agent {job.agent!r} is unknown; use one of: {', '.join(NAMES)}.")
    if job.agent == "command":
        _program(job, argv_of(job))
    elif job.command:
        raise InvalidError(f"A command is given, but the agent is {job.agent!r}; leave one of them out.")
    elif job.model:
        _check_model(job.model)


def resolve(job: CronJob, config: Config) -> AgentSpec:
    """The program of this job as it lies on the host now. Raises InvalidError with what is missing."""
    check_agent(job)
    if job.agent == "command":
        argv = argv_of(job)
        binds = _program(job, argv)
        # Where the work directory can only be read the agent starts elsewhere, and finds its program all the same.
        program = os.path.normpath(Path(job.work_dir, argv[0])) if "/" in argv[0] else argv[0]
        return AgentSpec(name="command", argv=(program, *argv[1:]), binds=binds, require_answer=False)
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


def _program(job: CronJob, argv: Sequence[str]) -> tuple[Bind, ...]:
    """What must be shown of the host beyond its system for this program to start. Raises InvalidError if it cannot."""
    name = argv[0]
    if "/" not in name:
        if shutil.which(name, path=CELL_PATH) is None:
            raise InvalidError(
                f"The program {name!r} is not in {CELL_PATH}, all that a cell searches; give its whole path."
            )
        return ()
    path = Path(name)
    if not path.is_absolute():
        if not job.work_dir:
            raise InvalidError(f"The program {name!r} is relative and the job has no work directory; give a full path.")
        path = Path(job.work_dir, name)
    # By what it comes to: `..` must not make a path look like one of the system's, or of the work directory.
    path = Path(os.path.normpath(path))
    # Not Path.is_file: before Python 3.14 that raises where a folder above may not be entered.
    if not (os.path.isfile(path) and os.access(path, os.X_OK)):  # noqa: PTH113
        raise InvalidError(f"The program {str(path)!r} is not an executable file.")
    if str(path).startswith(_SYSTEM) or (job.work_dir and path.is_relative_to(job.work_dir)):
        return ()
    return (Bind(source=str(path.resolve()), target=str(path)),)


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
