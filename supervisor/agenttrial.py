"""Whether an agent works here: its version and one short question, each in a real cell, by a real runner."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from shared.messages import ExecuteRequest, ExecuteResult
from shared.reasons import Reason
from shared.wire import ProtocolError
from supervisor.adapter import Adapter
from supervisor.adapters import adapter, source
from supervisor.config import Config
from supervisor.definition import define, setting_of
from supervisor.doctor import Finding
from supervisor.errors import InvalidError, RefusedError
from supervisor.grants import grants_of, secrets_for
from supervisor.home import Home
from supervisor.jobs import new_id
from supervisor.launcher import Executor, SpawnError
from supervisor.models import CronJob, CronRun
from supervisor.preparation import make_executor
from supervisor.requests import request_for
from supervisor.secrets import SecretStore
from supervisor.status import Status
from supervisor.uids import Uids

PROMPT = "Reply with the word ok."
VERSION_SECONDS, ASKING_SECONDS = 60.0, 180.0
_SHOWN = 300


def examine_agent(
    home: Home, config: Config, name: str, now: datetime, model: str = "", secrets: tuple[str, ...] = ()
) -> list[Finding]:
    """What came of it, in order; nothing of the trial stays. `secrets`: as a job is granted them.

    Raises InvalidError where there is no such agent, RefusedError where no cell can be had.
    """
    known = adapter(name, config.agents_dir)
    if known.start == "command":
        raise InvalidError("The agent `command` is whatever a job names; check such a job with: cronward doctor JOB")
    findings = [Finding("adapter", True, str(source(name, config.agents_dir)))]
    draft = {"agent": name, "model": model, "prompt": PROMPT, "cron_expr": "@yearly", "secrets": list(secrets)}
    try:
        job = define({**draft, "type": "medium", "timeout_secs": int(ASKING_SECONDS)}, setting_of(home, config), now)
        return [*findings, *_tried(home, config, job, known, now)]
    except InvalidError as error:
        return [*findings, Finding("definition", False, str(error), "what the sentence says")]


def _tried(home: Home, config: Config, job: CronJob, known: Adapter, now: datetime) -> Iterator[Finding]:
    if job.program is not None:
        yield Finding("program", True, job.program.real)
    run = CronRun(id=new_id(), job_id=job.id, status=Status.RUNNING, scheduled_at=now, started_at=now, attempt=1)
    run_as = Uids(home.uids).would_give(job, config) if os.geteuid() == 0 else None
    given = secrets_for(job, SecretStore(home))
    try:
        with tempfile.TemporaryDirectory(prefix="cronward-agents-") as folder:
            request = request_for(job, run, config, Path(folder), ASKING_SECONDS, run_as, given)
            executor = make_executor(home.root)
            if job.program is not None:
                yield _version(executor, known, request)
            yield _login(job, known)
            yield _answer(known, _executed(executor, request, "answer"))
    except (SpawnError, ProtocolError, OSError) as error:
        yield Finding("cell", False, str(error), "cronward doctor")


def _executed(executor: Executor, request: ExecuteRequest, name: str) -> ExecuteResult:
    """In a directory of its own. Raises RefusedError where the host cannot hold a cell."""
    log_dir = Path(request.log_dir, name)
    log_dir.mkdir(mode=0o700)
    result = executor.execute(replace(request, log_dir=str(log_dir)))
    if result.reason is Reason.SANDBOX_UNAVAILABLE:
        raise RefusedError(f"No cell can be had here: {result.error} See: cronward doctor")
    return result


def _version(executor: Executor, known: Adapter, asked: ExecuteRequest) -> Finding:
    """What it says of itself, with nothing that it could reach or tell."""
    argv = (asked.agent.argv[0], *known.program.version)
    request = replace(
        asked,
        agent=replace(asked.agent, argv=argv, reading=None, require_answer=False),
        cell=replace(asked.cell, network="none", allow_hosts=()),
        limits=replace(asked.limits, wall_seconds=VERSION_SECONDS),
        prompt="",
        output_format="text",
        secrets=(),
    )
    result = _executed(executor, request, "version")
    if result.reason is not Reason.OK:
        return Finding("version", False, result.error or result.reason.value, known.program.install)
    said = " ".join(result.response.split())
    found = re.search(known.program.pattern, said)
    if found is None:
        return Finding("version", False, f"no version in what it says: {said[:_SHOWN]}", "", required=False)
    return Finding("version", True, found[1] if found.re.groups else found[0])


def _login(job: CronJob, known: Adapter) -> Finding:
    given = [each.variable or each.name for each in grants_of(job)]
    if given or not (known.login.variables or known.login.files):
        return Finding("login", True, f"given: {', '.join(given)}" if given else "it needs none")
    variable = known.login.variables[0] if known.login.variables else "VARIABLE"
    repair = f"{known.login.words} Then: cronward agents check {known.name} --secret NAME={variable}"
    return Finding("login", False, "none is given", repair.strip(), required=False)


def _answer(known: Adapter, result: ExecuteResult) -> Finding:
    if result.reason is not Reason.OK:
        repair = known.login.words if result.reason is Reason.AUTH_FAILED else "what the sentence says"
        return Finding("answer", False, f"{result.reason.value}: {result.error}", repair)
    said = " ".join(result.response.split())[:_SHOWN]
    return Finding("answer", True, "; ".join(filter(None, [repr(said), result.model, *_spent(result)])))


def _spent(result: ExecuteResult) -> Iterator[str]:
    spent = result.spending
    if spent is None:
        return
    if spent.input_tokens is not None or spent.output_tokens is not None:
        yield f"{spent.input_tokens or 0} tokens in, {spent.output_tokens or 0} out"
    if spent.cost_usd is not None:
        yield f"{spent.cost_usd:.4f} dollars"
