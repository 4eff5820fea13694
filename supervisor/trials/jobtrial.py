"""An attempt of a job in the very cell that it asks for, with `jobprobe` in the place of its agent."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import Any

from shared import removal
from shared.messages import PROXIED, ExecuteRequest, ExecuteResult, RunAs, Secret
from shared.reasons import Reason
from shared.wire import ProtocolError
from supervisor.config import Config
from supervisor.definitions.grants import grants_of
from supervisor.errors import CronwardError
from supervisor.models import CronJob, CronRun
from supervisor.spawning import cgroup
from supervisor.spawning.clones import with_offer
from supervisor.spawning.launcher import SpawnError
from supervisor.spawning.preparation import make_executor
from supervisor.spawning.requests import request_for
from supervisor.status import Status
from supervisor.stores.home import Home
from supervisor.stores.jobs import new_id
from supervisor.stores.lock import read_info
from supervisor.trials import probes
from supervisor.trials.doctor import DELEGATED, KERNEL, TRY_SECONDS, UNHELD, Finding

SCRIPT = Path(__file__).with_name("jobprobe.py")
OUTPUT_BYTES = 1 << 20
COUNTED = ("memory limit", "CPU time limit", "CPU share", "disk limit", "output limit", "rlimits", "processes")
Told = Mapping[str, Any]


def of_job(home: Home, config: Config, job: CronJob, run_as: RunAs | None, now: datetime) -> Iterator[Finding]:
    """What its cell is like from inside. The definition has been checked; nothing of the trial stays."""
    try:
        with (
            tempfile.TemporaryDirectory(prefix="cronward-doctor-") as folder,
            socket.create_server(("127.0.0.1", 0)) as server,
        ):
            run = CronRun(
                id=new_id(), job_id=job.id, status=Status.RUNNING, scheduled_at=now, started_at=now, attempt=1
            )
            asked = request_for(job, run, config, Path(folder), TRY_SECONDS, run_as, _stand_ins(job))
            request = with_offer(_trial(asked, server), job, run, home)
            try:
                result = make_executor(home.root).execute(request)
            finally:
                if request.cell.offer is not None:
                    removal.remove_tree(request.cell.offer.directory)
            yield from _findings(home, request, result, _called(server))
    except (SpawnError, ProtocolError, CronwardError, OSError) as error:
        yield Finding("cell", False, str(error), "see docs/security.md")


def _stand_ins(job: CronJob) -> tuple[Secret, ...]:
    """Secrets by name: their values stay where they are."""
    return tuple(Secret(name=name, value=token_hex(16), variable=variable) for name, variable in grants_of(job))


def _trial(asked: ExecuteRequest, server: socket.socket) -> ExecuteRequest:
    """The job's own request, but for who is started, what that is told, and how its answer is judged."""
    argv = probes.python("-c", SCRIPT.read_text(), asked.agent.argv[0], *(bind.target for bind in asked.agent.binds))
    return replace(
        asked,
        agent=replace(asked.agent, name="command", argv=argv, require_answer=False),
        prompt=json.dumps(_promised(asked, server)),
        limits=replace(asked.limits, output_bytes=max(asked.limits.output_bytes, OUTPUT_BYTES)),
        output_format="text",
        output_schema="",
        response_bytes=OUTPUT_BYTES,
        import_paths=(),
    )


def _promised(request: ExecuteRequest, server: socket.socket) -> dict[str, object]:
    cell, limits = request.cell, request.limits
    writable = [*cell.write_paths, *((cell.work_dir,) if cell.work_dir and cell.work_mode == "inplace" else ())]
    named = {"NOFILE": limits.open_files, "FSIZE": limits.file_bytes, "CORE": 0, "NPROC": limits.processes}
    return {
        "paths": [*((cell.work_dir,) if cell.work_dir else ()), *cell.read_paths, *cell.write_paths],
        "repositories": [f"{path}/.git" for path in writable if not cell.git_write and os.path.lexists(f"{path}/.git")],
        "port": server.getsockname()[1],
        "proxied": cell.network in PROXIED,
        "secrets": [[secret.name, secret.value, secret.variable] for secret in request.secrets],
        "rlimits": {f"RLIMIT_{name}": most for name, most in named.items()},
    }


def _called(server: socket.socket) -> bool:
    """Whether anybody reached it."""
    server.setblocking(False)
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def _findings(home: Home, request: ExecuteRequest, result: ExecuteResult, called: bool) -> Iterator[Finding]:
    if result.reason is not Reason.OK:
        repair = "what the sentence says; until then its runs end the same way"
        yield Finding("cell", False, result.error or result.reason.value, repair)
        return
    told: Told = json.loads(result.response)
    yield from _layers(request, result)
    apart = any(layer.name == "user namespace" and layer.held for layer in result.layers)
    yield _program(told)
    yield from _places(request, told)
    if apart:  # without mounts of its own nothing can be pinned, and nothing else was promised
        yield from _repositories(told)
    yield _network(request, result, told, called or told["reached"], apart=apart)
    yield _rlimits(request, result, told, apart=apart)
    yield from _whole_run(home, request)
    if request.secrets:
        lost = ", ".join(told["withheld"])
        detail = f"not to be read inside: {lost}" if lost else "placed, with stand-ins for their values"
        yield Finding("cell: secrets", not lost, detail, UNHELD if lost else "")


def _layers(request: ExecuteRequest, result: ExecuteResult) -> Iterator[Finding]:
    held = [layer.name for layer in result.layers if layer.held]
    yield Finding("cell", True, f"isolation {request.cell.isolation}: {', '.join(held)}")
    for layer in result.layers:
        if not layer.held:
            yield Finding(f"cell: {layer.name}", False, f"does not hold: {layer.detail}", KERNEL, required=False)


def _program(told: Told) -> Finding:
    lost = ", ".join(filter(None, [told["program"], *told["unseen"]]))
    if lost:
        repair = "give it to the user that runs the job, or install it where everybody may start it"
        return Finding("cell: program", False, f"cannot be started inside: {lost}", repair)
    return Finding("cell: program", True, "there, and may be started, its interpreters too; it was not started")


def _places(request: ExecuteRequest, told: Told) -> Iterator[Finding]:
    cell = request.cell
    for path, (reads, writes) in told["paths"].items():
        name = "cell: work directory" if path == cell.work_dir else f"cell: {path}"
        wanted = path in cell.write_paths or (path == cell.work_dir and cell.work_mode != "read")
        found = f"{path}, {'can be written' if writes else 'can be read' if reads else 'cannot be read'}"
        if not reads or (writes and not wanted):
            yield Finding(name, False, found, UNHELD if writes else f"let the user that runs the job read {path}")
        elif wanted and not writes:
            # As promised where its user may not write: the agent starts in a private directory then.
            repair = f"let the user that runs the job write {path}, or say --work-mode read"
            detail = f"{found}, not written; the agent starts in {told['cwd']}"
            yield Finding(name, False, detail, repair, required=path != cell.work_dir)
        else:
            yield Finding(name, True, found)


def _repositories(told: Told) -> Iterator[Finding]:
    for path, (pinned, writes) in told["repositories"].items():
        ok = pinned and not writes
        words = "read-only, and cannot be moved away" if ok else "can be written" if writes else "can be moved away"
        yield Finding("cell: repository", ok, f"{path}: {words}", "" if ok else UNHELD)


def _network(request: ExecuteRequest, result: ExecuteResult, told: Told, reached: bool, *, apart: bool) -> Finding:
    name, kind = "cell: network", request.cell.network
    if kind == "host":
        return Finding(name, reached, "the host's own, and nothing confines it", "" if reached else UNHELD)
    if reached:
        return Finding(name, False, "a service of this host was reached that the job does not name", UNHELD)
    if apart and told["interfaces"]:
        return Finding(name, False, f"it has the interfaces {', '.join(told['interfaces'])}", UNHELD)
    if kind not in PROXIED:
        return Finding(name, True, "nothing can be reached")
    denied = result.traffic.denied if result.traffic else 0
    ok = (told["proxy"], denied) == ("403", 1)
    answer = f"answered {told['proxy']}" if told["proxy"] else "did not answer"
    words = "the proxy answers, and denied a host that is not named" if ok else f"the proxy {answer}"
    return Finding(name, ok, words, "" if ok else "look into upstream_proxy of the configuration, then report it")


def _rlimits(request: ExecuteRequest, result: ExecuteResult, told: Told, *, apart: bool) -> Finding:
    asked: dict[str, int] = json.loads(request.prompt)["rlimits"]
    if not apart:  # then it counts all that the user has, and a watchdog counts the run's
        del asked["RLIMIT_NPROC"]
    loose = [name for name, most in asked.items() if not 0 <= told["rlimits"][name] <= most]
    by = "; ".join(f"{layer.name}: {layer.detail}" for layer in result.layers if layer.name in COUNTED)
    words = f"looser than asked for: {', '.join(loose)}" if loose else f"{by}; time: the runner"
    return Finding("cell: limits", not loose, words, UNHELD if loose else "")


def _whole_run(home: Home, request: ExecuteRequest) -> Iterator[Finding]:
    """A trial has no cgroup; a run has that of its supervisor, if that has one."""
    info = read_info(home)
    kernel = cgroup.led_by(info.pid) if info else cgroup.at_hand(os.getpid())
    if kernel:
        yield Finding("cell: whole run", True, "in its runs memory, processes and CPU share are held by the kernel")
    elif request.limits.cpu_percent is not None:
        detail = "the share of CPU that it asks for is held by nobody: there is no cgroup v2 for it"
        yield Finding("cell: whole run", False, detail, DELEGATED)
