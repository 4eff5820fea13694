"""What an adapter's program is started with for one attempt: words, variables and files. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.messages import Caps
from shared.places import HOME, SCRATCH
from supervisor.agents.adapter import Adapter
from supervisor.agents.placeholders import MissingError, filled, held, words
from supervisor.agents.schemaways import way_of
from supervisor.errors import InvalidError
from supervisor.models import CronJob

SCHEMA_FILE = "/run/agent/schema.json"


@dataclass(frozen=True, slots=True)
class Terms:
    """What one attempt is given beside its job. `session`: the agent's own id of the conversation that goes on."""

    session: str = ""
    caps: Caps = field(default_factory=Caps)


NOTHING_MORE = Terms()


@dataclass(frozen=True, slots=True)
class Invocation:
    """`words`: after the program. `files`: text by path inside the cell."""

    words: tuple[str, ...]
    env: dict[str, str]
    files: dict[str, str]


def invocation(job: CronJob, adapter: Adapter, terms: Terms) -> Invocation:
    """How the job's agent is started. Raises InvalidError where the job does not give what its adapter needs."""
    values = values_of(job, adapter, terms)
    argv = adapter.resume if adapter.resume and terms.session else adapter.argv
    every = {**adapter.defaults, **values}
    try:
        said = words(argv, values, adapter.defaults)
    except MissingError as missing:
        raise InvalidError(lacks(job, missing.name)) from None
    env = {name: filled(text, every) for name, text in adapter.env.items() if held([text]) <= every.keys()}
    placed = {path: text for path, text in adapter.files.items() if held([text]) <= every.keys()}
    files = {f"{HOME}/{path}": filled(text, every) for path, text in placed.items()}
    if "schema_file" in values:
        files[SCHEMA_FILE] = job.output_schema
    return Invocation(said, env, files)


def values_of(job: CronJob, adapter: Adapter, terms: Terms) -> dict[str, str]:
    """What stands for the placeholders. A value that is not there is left out."""
    flagged = way_of(adapter, job) in ("flag", "constrained")
    found = {
        "model": job.model,
        "model_id": job.model.partition("/")[2],
        "schema": job.output_schema if flagged else "",
        "schema_file": SCHEMA_FILE if flagged and adapter.takes("schema_file") else "",
        "session": terms.session,
        "max_turns": "" if terms.caps.turns is None else str(terms.caps.turns),
        "max_cost": "" if terms.caps.cost_usd is None else f"{terms.caps.cost_usd:f}",
        "work_dir": job.work_dir or SCRATCH,
        "base_url": adapter.base_url,
    }
    return {name: value for name, value in found.items() if value}


def lacks(job: CronJob, placeholder: str) -> str:
    """The sentence for a job that does not give what its agent cannot do without."""
    if placeholder == "model":
        return f"The agent {job.agent!r} has no model of its own choice: name one (--model)."
    if placeholder == "base_url":
        return f"The agent {job.agent!r} needs the address of its provider: set `base_url` in its adapter."
    return f"The agent {job.agent!r} cannot be started without {placeholder}, which this job does not have."
