"""Which program an agent is, inside the cell, as its adapter says: argv, environment, files, and how it is read.

What no adapter can say has a file of its own: `embedded`, for the agent `local`. The agent `command` is any program of
the job's. All get the prompt on standard input.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from functools import lru_cache

from shared.messages import AgentSpec, Bind
from shared.reading import Reading
from supervisor.agents import embedded
from supervisor.agents.adapter import Adapter
from supervisor.agents.adapters import adapter
from supervisor.agents.invocation import NOTHING_MORE, Invocation, Terms, invocation, lacks
from supervisor.config import Config
from supervisor.definitions.permitted import named_ids
from supervisor.definitions.writable import writable_paths
from supervisor.errors import InvalidError
from supervisor.models import CronJob, Program
from supervisor.programs import programs, trust

# It becomes a word of argv and, for some agents, a piece of JSON.
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+\[\]-]{0,199}")


def settled(job: CronJob, agents_dir: str = "") -> CronJob:
    """The job with its program looked up and recorded. Raises InvalidError unless there is such an agent."""
    known = check_agent(job, agents_dir)
    if known.start == "embedded":
        return job.model_copy(update={"program": None, "search_path": ""})
    job = job.model_copy(update={"search_path": ":".join(programs.searched(job.search_path))})
    return job.model_copy(update={"program": _program(job, known)})


def check_agent(job: CronJob, agents_dir: str = "") -> Adapter:
    """The adapter of the job's agent. Raises InvalidError unless there is one, and the job gives what it needs."""
    known = adapter(job.agent, agents_dir)
    if known.start == "command":
        argv_of(job)
    elif job.command:
        raise InvalidError(f"A command is given, but the agent is {job.agent!r}; leave one of them out.")
    elif known.start == "embedded":
        embedded.check_model(job.model)
    else:
        _check_model(job, known)
    return known


def resolve(job: CronJob, config: Config, terms: Terms = NOTHING_MORE) -> AgentSpec:
    """The program of this job as it lies on the host now. Raises InvalidError with what is missing."""
    known = check_agent(job, config.agents_dir)
    if known.start == "embedded":
        return embedded.spec(job, config, known)
    found = _program(job, known)
    name = name_of(job, known)
    said = invocation(job, known, terms)
    # Where the work directory can only be read the agent starts elsewhere, and finds its program all the same.
    on_path = "/" not in name and shutil.which(name, path=programs.CELL_PATH) == found.path
    return AgentSpec(
        name=known.name,
        argv=(name if on_path else found.path, *_words(job, known, said)),
        env=found.env | said.env,
        binds=tuple(Bind(source=path, target=path) for path in found.shown),
        links=dict(found.links),
        files=said.files,
        require_answer=known.require_answer,
        program=found.file,
        # What it writes is its answer: nothing has to be read, and the runner is spared the import.
        reading=known.reading if known.reading != Reading() else None,
    )


def argv_of(job: CronJob) -> list[str]:
    """The job's command as a list of words. No shell is involved: `$`, `|`, `>` and `*` are plain characters."""
    try:
        argv = _split(job.command)
    except ValueError as error:
        raise InvalidError(f"The command {job.command[:80]!r} cannot be split into words: {error}.") from None
    if not argv or not argv[0]:
        raise InvalidError("The agent `command` needs a command: a program and its arguments.")
    return list(argv)


@lru_cache(maxsize=256)
def _split(command: str) -> tuple[str, ...]:
    """Asked several times for each attempt, a character at a time."""
    return tuple(shlex.split(command))


def located(known: Adapter, search_path: str) -> Program:
    """Its program, looked for in these directories. Raises InvalidError where it is not there, or cannot be used."""
    sight = programs.Sight(search=programs.searched(search_path), homes=trust.homes(os.environ), trusted=trust.owners())
    return _found(known, known.program.find, sight)


def name_of(job: CronJob, known: Adapter) -> str:
    """What is looked for as the program: a name, or a path."""
    return argv_of(job)[0] if known.start == "command" else known.program.find


def _words(job: CronJob, known: Adapter, said: Invocation) -> tuple[str, ...]:
    return tuple(argv_of(job)[1:]) if known.start == "command" else said.words


def _program(job: CronJob, known: Adapter) -> Program:
    sight = programs.Sight(
        search=programs.searched(job.search_path or programs.CELL_PATH),
        work_dir=job.work_dir,
        writable=writable_paths(job),
        homes=trust.homes(os.environ),
        trusted=trust.owners() | ({named_ids(job.run_as).uid} if job.run_as else set()),
    )
    return _found(known, name_of(job, known), sight)


def _found(known: Adapter, name: str, sight: programs.Sight) -> Program:
    try:
        return programs.resolve(name, sight)
    except programs.MissingProgramError as error:
        if known.start == "command" or not known.program.install:
            raise
        raise InvalidError(
            f"{known.title or known.name} is not installed here: {error} To install it: {known.program.install}"
        ) from None


def _check_model(job: CronJob, known: Adapter) -> None:
    if "model" in known.needs and not job.model:
        raise InvalidError(lacks(job, "model"))
    if not job.model:
        return
    if not known.takes("model"):
        raise InvalidError(f"A model is given, but the agent {job.agent!r} cannot be told of one; leave it out.")
    if not _MODEL.fullmatch(job.model):
        raise InvalidError(
            f"The model {job.model[:80]!r} is no name of one: it begins with a letter or digit, and has none but these "
            "and . _ : / @ + - [ ] in it."
        )
