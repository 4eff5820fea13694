"""Whether an agent works here: its version and one short question, each in a real cell, by a real runner."""

from __future__ import annotations

import re
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import NoReturn

from shared.messages import ExecuteRequest, ExecuteResult
from shared.reasons import Reason
from shared.wire import ProtocolError
from supervisor.agents.adapter import Adapter
from supervisor.agents.adapters import adapter, source
from supervisor.agents.keeps import CHECK, Keeps, Plan, make_place
from supervisor.agents.logins import Login
from supervisor.config import Config
from supervisor.definitions.definition import define, setting_of
from supervisor.errors import InvalidError, RefusedError
from supervisor.models import CronJob, CronRun
from supervisor.spawning.identity import would_be
from supervisor.spawning.launcher import Executor, Gone, SpawnError
from supervisor.spawning.preparation import granted, make_executor
from supervisor.status import Status
from supervisor.stores.home import Home
from supervisor.stores.jobs import new_id
from supervisor.trials.doctor import Finding
from supervisor.trials.logintrial import alone, answer_repair, log, login_finding, login_for

PROMPT = "Reply with the word ok."
VERSION_SECONDS, ASKING_SECONDS = 60.0, 180.0
_SHOWN = 300


def examine_agent(
    home: Home,
    config: Config,
    name: str,
    now: datetime,
    model: str = "",
    secrets: tuple[str, ...] = (),
    *,
    use_login: bool = True,
) -> list[Finding]:
    """What came of it, in order; nothing of the trial stays but a login that the agent renewed. `secrets`: as a job is
    granted them. `use_login`: cronward's own, where there is one and no secret stands in its place.

    Raises InvalidError where there is no such agent, RefusedError where no cell can be had or a run has the login.
    """
    known = adapter(name, config.agents_dir)
    if known.start == "command":
        raise InvalidError("The agent `command` is whatever a job names; check such a job with: cronward doctor JOB")
    findings = [Finding("adapter", True, str(source(name, config.agents_dir)))]
    login = login_for(home, known, secrets) if use_login else None
    draft = {
        "agent": name,
        "login": login is not None,
        "model": model,
        "prompt": PROMPT,
        "cron_expr": "@yearly",
        "secrets": list(secrets),
    }
    try:
        job = define({**draft, "type": "medium", "timeout_secs": int(ASKING_SECONDS)}, setting_of(home, config), now)
        with alone(home, config, job, now), _ended_in_order():
            return [*findings, *_tried(home, config, job, known, login, now)]
    except InvalidError as error:
        return [
            *findings,
            Finding("definition", False, str(error), "as that says; then again: cronward agents check " + name),
        ]


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """A terminal that is closed, or a kill, ends it as Ctrl-C does: what the agent renewed is taken home."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    both = (signal.SIGTERM, signal.SIGHUP) if main else ()
    ours = [number for number in both if signal.getsignal(number) is signal.SIG_DFL]  # nohup's stays
    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _tried(
    home: Home, config: Config, job: CronJob, known: Adapter, login: Login | None, now: datetime
) -> Iterator[Finding]:
    if job.program is not None:
        yield Finding("program", True, job.program.real)
    run_id = f"{CHECK}{new_id()}"
    run = CronRun(id=run_id, job_id=job.id, status=Status.RUNNING, scheduled_at=now, started_at=now, attempt=1)
    try:
        with tempfile.TemporaryDirectory(prefix="cronward-agents-") as folder:
            ids = would_be(home, config, job)
            request, plan = granted(home, config, job, run, Path(folder), ASKING_SECONDS, ids)
            executor = make_executor(home.root)
            if job.program is not None:
                yield _version(executor, known, request)
            yield login_finding(job, known, login)
            result = _answered(home, executor, request, plan, job, now)
            yield _answer(result, answer_repair(result.reason, job, known, login))
    except (SpawnError, ProtocolError, OSError) as error:
        yield Finding("cell", False, str(error), "cronward doctor")


def _answered(
    home: Home, executor: Executor, request: ExecuteRequest, plan: Plan, job: CronJob, now: datetime
) -> ExecuteResult:
    """With the login, and whatever happens, what the agent made of it is taken home."""
    try:
        make_place(home, plan, job)
        return _executed(executor, request, "answer")
    finally:
        Keeps(home, lambda: now, log).settle(Gone(request.run_id, request.attempt, None))


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
        keep=None,
    )
    result = _executed(executor, request, "version")
    if result.reason is not Reason.OK:
        return Finding("version", False, result.error or result.reason.value, known.program.install)
    said = " ".join(result.response.split())
    found = re.search(known.program.pattern, said)
    if found is None:
        return Finding("version", False, f"no version in what it says: {said[:_SHOWN]}", "", required=False)
    return Finding("version", True, found[1] if found.re.groups else found[0])


def _answer(result: ExecuteResult, repair: str) -> Finding:
    if result.reason is not Reason.OK:
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
