"""Whether this host can do what cronward promises: each check tries the real thing and names the repair."""

from __future__ import annotations

import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shared.messages import AgentSpec, Cell, ExecuteRequest, ExecuteResult
from shared.reasons import Reason
from shared.wire import ProtocolError
from supervisor.agents import weights
from supervisor.config import Config
from supervisor.errors import CronwardError
from supervisor.models import JobType
from supervisor.spawning import cgroup
from supervisor.spawning.launcher import SpawnError
from supervisor.spawning.preparation import make_executor
from supervisor.spawning.requests import throw_away_uid
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore
from supervisor.stores.lock import read_info
from supervisor.stores.runs import RunsStore
from supervisor.trials import probes
from supervisor.trials.enginetrial import unloadable

TRY_SECONDS = 20.0
START = "cronward supervise --ensure; to have one at each boot: cronward service install"
LIBRARIES = "apt-get install libgomp1 libstdc++6, as root; or use another agent"
DELEGATED = "systemd-run --user --scope -p Delegate=yes -- cronward supervise"
KERNEL = "a kernel that has it (for Landlock: 5.19 or newer, with landlock in the boot parameter lsm=)"
UNHELD = "run no agents here: install cronward and bubblewrap again, and report it if that does not help"
OUR_NAMES = ("supervisor", "runner", "shared")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `repair`: a command or an instruction; empty when all is well."""

    name: str
    ok: bool
    detail: str
    repair: str = ""
    required: bool = True
    """Whether runs are unsafe or impossible without it; else it is something to know."""
    without: str = ""
    """What could happen where it is missing."""


def examine(home: Home, config: Config) -> list[Finding]:
    """Every check, in the order in which repairs help."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _interpreter,
        _alone,
        lambda: _home(home),
        lambda: _stores(home),
        lambda: _cell(home, config),
        lambda: _whole_run(home, config),
        lambda: _embedded_agent(home, config),
        lambda: _supervisor(home),
    )
    return [finding for check in checks for finding in check()]


def _interpreter() -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    yield Finding("python", sys.version_info >= (3, 11), f"{found} at {sys.executable}", "install Python 3.11 or newer")


def _alone() -> Iterator[Finding]:
    """supervisord's package is called `supervisor` too: installed together, each breaks the other silently."""
    owners = importlib.metadata.packages_distributions()
    others = {owner for name in OUR_NAMES for owner in owners.get(name, []) if owner.lower() != "cronward"}
    detail = (
        f"shares package names with {', '.join(sorted(others))}" if others else "nothing else has our package names"
    )
    yield Finding(
        "environment", not others, detail, "install cronward into an environment of its own" if others else ""
    )


def _home(home: Home) -> Iterator[Finding]:
    if not home.root.exists():
        yield Finding("home", True, f"{home.root} will be made at first use")
        return
    mode = home.root.stat().st_mode & 0o777
    ours = home.root.stat().st_uid == os.geteuid()
    detail = f"{home.root}, mode {mode:04o}, {'ours' if ours else 'of somebody else'}"
    yield Finding("home", ours and mode == 0o700, detail, "" if ours and mode == 0o700 else f"chmod 700 {home.root}")


def _stores(home: Home) -> Iterator[Finding]:
    try:
        jobs, runs = CronStore(home), RunsStore(home)
        count = len(jobs.list())
        runs.all_runs(1)
        damaged = [str(damage) for damage in (*jobs.damaged, *runs.damaged)]
    except CronwardError as error:
        yield Finding("stores", False, str(error), "see docs/theory.md, On disk")
        return
    # The supervisor that moved them has said so, once and long ago perhaps.
    aside = sorted(path.name for path in home.damaged.iterdir()) if not damaged and home.damaged.is_dir() else []
    if aside:
        detail = f"{count} jobs, all readable; {len(aside)} damaged files were set aside, {aside[0]} the first"
        yield Finding("stores", False, detail, f"mend or delete what lies in {home.damaged}", required=False)
    elif damaged:
        yield Finding("stores", False, "; ".join(damaged), f"look at the files in {home.damaged}")
    else:
        yield Finding("stores", True, f"{count} jobs, all readable")


def _cell(home: Home, config: Config) -> Iterator[Finding]:
    """A real attempt, by a real runner, of a program that does nothing; then of what an agent would do against it."""
    try:
        with tempfile.TemporaryDirectory(prefix="cronward-doctor-") as folder:
            execute = make_executor(home.root if home.root.exists() else Path(folder)).execute
            wanted = trial(Path(folder), config)
            result = execute(wanted)
            if result.reason is not Reason.OK:
                yield Finding("cell", False, result.error or result.reason.value, _repair(result))
                return
            version = next((layer.detail for layer in result.layers if layer.name == "bubblewrap"), "")
            yield Finding("cell", True, f"an agent can be confined here, by bubblewrap {version}")
            yield from map(_of_layer, probes.of_layers(execute, wanted))
    except (SpawnError, ProtocolError, OSError) as error:
        yield Finding("cell", False, str(error), "see docs/security.md")


def _of_layer(probe: probes.Probe) -> Finding:
    without = f"Without it an agent could {probes.WITHOUT[probe.layer]}."
    name, needed = f"layer: {probe.layer}", probe.held is not None
    repair = "" if probe.held else UNHELD if needed else KERNEL
    return Finding(name, bool(probe.held), f"{probe.detail}.", repair, required=needed, without=without)


def _whole_run(home: Home, config: Config) -> Iterator[Finding]:
    """Who limits memory and CPU of a run as a whole: the supervisor that runs, else one started from here."""
    info = read_info(home)
    where = "the supervisor has" if info else "a supervisor started here would have"
    kernel = cgroup.led_by(info.pid) if info else cgroup.at_hand(os.getpid())
    shares = any(config.of_type(job_type).cpu_percent for job_type in JobType)
    if kernel:
        yield Finding("limits", True, f"by the kernel: {where} a cgroup v2 of its own")
    elif shares:
        yield Finding("limits", False, f"cpu_percent is set, and {where} no cgroup v2 of its own", DELEGATED)
    else:
        detail = f"by a watchdog in each runner, every 100 ms: {where} no cgroup v2 of its own"
        yield Finding("limits", True, f"{detail}. For limits by the kernel: {DELEGATED}")


def trial(folder: Path, config: Config) -> ExecuteRequest:
    """An attempt at a program that does nothing, in a cell as a job of the type light would have it."""
    run_as = throw_away_uid("doctor", config, frozenset()) if os.geteuid() == 0 else None
    return ExecuteRequest(
        run_id="doctor",
        attempt=1,
        job_id="doctor",
        session_id="doctor",
        prompt="",
        agent=AgentSpec(name="command", argv=("/usr/bin/true",), require_answer=False),
        cell=Cell(run_as=run_as, bwrap=config.bwrap),
        limits=config.limits_for(JobType.LIGHT, TRY_SECONDS),
        log_dir=str(folder),
    )


def _repair(result: ExecuteResult) -> str:
    if result.reason is Reason.SANDBOX_UNAVAILABLE:
        return "what the sentence says; until then runs end with sandbox_unavailable, never weaker in silence"
    return "look into the reason; runs would end the same way"


def _embedded_agent(home: Home, config: Config) -> Iterator[Finding]:
    engine = weights.engine()
    if engine is None:
        fix = "install cronward with its extra `local` (pip install '.[local]'), or use another agent"
        lacks = "not installed: the agent `local` cannot be used"
        yield Finding("embedded engine", False, lacks, fix, required=False)
    else:
        yield of_engine(home, config, engine)
    model = Path(config.model_path) if config.model_path else weights.find()
    whole = model is not None and model.is_file()
    detail = str(model or "not fetched: the agent `local` cannot be used")
    yield Finding("embedded model", whole, detail, "" if whole else "cronward fetch-model", required=False)


def of_engine(home: Home, config: Config, engine: weights.EngineFiles) -> Finding:
    """Loaded in a cell, as a run does: it is other people's code, and may lack a library of the system."""
    try:
        with tempfile.TemporaryDirectory(prefix="cronward-doctor-") as folder:
            execute = make_executor(home.root if home.root.exists() else Path(folder)).execute
            problem = unloadable(execute, trial(Path(folder), config), engine)
    except (SpawnError, ProtocolError, OSError) as error:
        problem = str(error)
    if problem:
        detail = f"installed, and cannot be loaded, so the agent `local` cannot be used: {problem}"
        return Finding("embedded engine", False, detail, LIBRARIES, required=False)
    tried = "installed, and can be loaded" if problem is not None else "installed; not tried, as there is no cell"
    return Finding("embedded engine", True, tried)


def _supervisor(home: Home) -> Iterator[Finding]:
    info = read_info(home)
    since = info.started_at.astimezone().isoformat(" ", "seconds") if info else ""
    detail = f"pid {info.pid}, since {since}" if info else "none is running: no job will start"
    yield Finding("supervisor", info is not None, detail, "" if info else START, required=False)
