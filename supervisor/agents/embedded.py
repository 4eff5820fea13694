"""The embedded agent, `local`: a model on the CPU, whose engine and weights its cell has to show."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from shared.messages import AgentSpec, Bind
from supervisor.agents import weights
from supervisor.agents.adapter import Adapter
from supervisor.agents.invocation import SCHEMA_FILE
from supervisor.agents.schemaways import way_of
from supervisor.config import Config
from supervisor.errors import InvalidError
from supervisor.models import CronJob

_SCRIPT = Path(__file__).resolve().parents[2] / "runner" / "agents" / "local.py"
_INSIDE = "/run/agent"  # not /run/cronward: there the runner shows nothing but init


def check_model(name: str) -> None:
    """Raise InvalidError unless it is a file, or none is named."""
    if name and (not os.path.isabs(name) or not os.path.isfile(name)):  # noqa: PTH113, PTH117
        raise InvalidError(f"The model {name[:200]!r} is not a file; name a GGUF by its full path.")


def spec(job: CronJob, config: Config, adapter: Adapter) -> AgentSpec:
    """The embedded agent as it lies on the host now. Raises InvalidError with what is missing."""
    engine = weights.engine()
    if engine is None:
        raise InvalidError(
            "The engine of the embedded agent is not installed; install cronward with its extra `local`, "
            "or give the job another agent."
        )
    model = _model(job.model or config.model_path)
    shown = [
        Bind(source=str(_SCRIPT), target=f"{_INSIDE}/local.py"),
        Bind(source=str(model.resolve()), target=f"{_INSIDE}/model.gguf"),
        *(Bind(source=str(path), target=f"{_INSIDE}/engine/{path.name}") for path in engine.paths),
    ]
    program = (os.path.realpath(sys.executable), "-I", "-S", f"{_INSIDE}/local.py")
    argv = (*program, "--model", f"{_INSIDE}/model.gguf", "--site", f"{_INSIDE}/engine")
    constrained = way_of(adapter, job) == "constrained"
    return AgentSpec(
        name=adapter.name,
        argv=(*argv, "--schema-file", SCHEMA_FILE) if constrained else argv,
        binds=tuple(shown),
        files={SCHEMA_FILE: job.output_schema} if constrained else {},
        require_answer=adapter.require_answer,
        reading=adapter.reading,
    )


def _model(chosen: str) -> Path:
    try:
        model = Path(chosen) if chosen else weights.find()
    except weights.WeightsError as error:
        raise InvalidError(str(error)) from None
    if model is None:
        raise InvalidError("The weights of the embedded agent are not here; fetch them with `cronward fetch-model`.")
    check_model(str(model))
    return model
