"""Cronward's own login of an agent, used by a check of the agent: alone, as a run would use it.

Who goes first. The check takes the login's trial lock, and then asks who has the login. A supervisor looks at that lock
before it starts a run that may renew the login, and its answer waits for the end of the turn in which it looked. So a
run that did not see the lock is seen by the check, which is refused; one that sees it waits in the queue.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from shared.reasons import Reason
from supervisor.admission.exclusion import named
from supervisor.agents.adapter import Adapter
from supervisor.agents.keeps import CHECK, Keeps, has_renewed, with_login
from supervisor.agents.logins import Login, LoginStore, repair
from supervisor.config import Config
from supervisor.control.client import Client
from supervisor.control.desk import reach
from supervisor.definitions.grants import grants_of
from supervisor.errors import RefusedError
from supervisor.models import CronJob, CronRun
from supervisor.spawning.launcher import Gone
from supervisor.stores.home import Home
from supervisor.trials.doctor import Finding

log = logging.getLogger("cronward")


def login_for(home: Home, known: Adapter, secrets: tuple[str, ...]) -> Login | None:
    """The login that a check uses by itself. None: there is none, or a secret is given in its place. Raises
    StoreError."""
    login = LoginStore(home).find(known.name)
    given = {text.partition("=")[2] for text in secrets}
    return None if login is None or given & {*known.login.variables, login.variable} - {""} else login


@contextmanager
def alone(home: Home, config: Config, job: CronJob, now: datetime) -> Iterator[None]:
    """Use the login of the job's agent, if the job is granted it, while no run may. Raises RefusedError with who has
    it, StoreError."""
    if not job.login:
        yield
        return
    store = LoginStore(home)
    with store.trying(job.agent):
        if store.renewed_by(job):
            _check_unused(home, config, job.agent, now)
        yield


def _check_unused(home: Home, config: Config, agent: str, now: datetime) -> None:
    with reach(home, config) as desk:  # else the home is ours meanwhile, and nothing of it lives
        live = (
            [CronRun.model_validate(record, strict=False) for record in desk.live()]
            if isinstance(desk, Client)
            else None
        )
        for about in with_login(home, agent):
            if about.run_id.startswith(CHECK):  # one that was killed, for the lock is ours
                Keeps(home, lambda: now, log).settle(Gone(about.run_id, about.attempt, None))
            elif live is None and has_renewed(home, about):
                raise RefusedError(
                    f"Run {about.run_id[:8]} renewed the login of {agent}, and its supervisor died before it took that "
                    "home. Start one, which does: cronward supervise. Or leave the login out: --no-login"
                )
            for run in live or ():
                if (run.id, run.attempt) == (about.run_id, about.attempt):
                    raise RefusedError(_in_use(run, agent))


def _in_use(run: CronRun, agent: str) -> str:
    told = named(run)
    return (
        f"{told[0].upper()}{told[1:]} uses the login of {agent}, and only one at a time can. Wait until it is over "
        f"(cronward logs -f {run.id[:8]}), end it (cronward cancel {run.id[:8]}), or leave the login out: --no-login"
    )


def login_finding(job: CronJob, known: Adapter, login: Login | None) -> Finding:
    """What the check is logged in with."""
    given = [each.variable or each.name for each in grants_of(job)]
    used = [_how(login, known)] if login is not None else []
    if given or used or not (known.login.variables or known.login.files):
        told = [*used, *([f"given: {', '.join(given)}"] if given else [])]
        return Finding("login", True, "; ".join(told) or "it needs none")
    return Finding("login", False, "none is given", _first(known), required=False)


def _how(login: Login, known: Adapter) -> str:
    """Which login, and how: as a token, by files, or shared."""
    if login.kind == "token":
        return f"cronward's login (token): {login.variable} from the secret {login.secret}"
    if login.kind == "shared":
        return f"cronward's login (shared): {', '.join(known.login.files)} of {login.shared_home}"
    return f"cronward's login (files): {', '.join(sorted(login.files))}"


def _first(known: Adapter) -> str:
    variable = known.login.variables[0] if known.login.variables else "VARIABLE"
    return f"{_log_in(known)}. {known.login.words} Or: cronward agents check {known.name} --secret NAME={variable}"


def _log_in(known: Adapter) -> str:
    """The command that makes a login of this agent: its own, else one with a token."""
    return repair(known.name) + ("" if known.login.argv and known.login.files else " --token")


def answer_repair(reason: Reason, job: CronJob, known: Adapter, login: Login | None) -> str:
    """What to do where the answer was none."""
    if reason is not Reason.AUTH_FAILED:
        return "what the sentence says"
    if login is None:
        given = next(iter(grants_of(job)), None)
        return f"cronward secret set {given.name}" if given else _first(known)
    if login.kind == "token":
        return f"{repair(known.name)} {'--api-key' if 'API_KEY' in login.variable else '--token'}"
    if login.kind == "shared":
        return f"log in with {known.name} yourself, or give cronward a login of its own: {_log_in(known)}"
    return repair(known.name)
