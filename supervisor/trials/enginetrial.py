"""Whether the embedded agent's engine can be loaded: it may be installed and lack a library of the system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from shared.messages import AgentSpec, Bind, ExecuteRequest, ExecuteResult
from shared.reasons import Reason
from supervisor.agents.weights import EngineFiles
from supervisor.trials.probes import python

_SITE = "/run/agent/engine"
_LOAD = "import sys; sys.path.insert(0, sys.argv[1])\ntry: import xllamacpp\nexcept ImportError as e: sys.exit(str(e))"


def unloadable(
    execute: Callable[[ExecuteRequest], ExecuteResult], trial: ExecuteRequest, engine: EngineFiles
) -> str | None:
    """Why it cannot be; empty where it can. None: no cell can be had, and nowhere else it is to be tried. `trial`: an
    attempt as the doctor makes them. Raises what `execute` raises."""
    log_dir = Path(trial.log_dir, "engine")
    log_dir.mkdir(mode=0o700)
    binds = tuple(Bind(source=str(path), target=f"{_SITE}/{path.name}") for path in engine.paths)
    agent = AgentSpec(name="command", argv=python("-c", _LOAD, _SITE), binds=binds, require_answer=False)
    result = execute(replace(trial, agent=agent, log_dir=str(log_dir)))
    if result.reason is Reason.SANDBOX_UNAVAILABLE:
        return None
    return "" if result.reason is Reason.OK else result.error or result.reason.value
