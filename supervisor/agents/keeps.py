"""What lives on of attempts: a renewed login, and a conversation, on their way out of a run and to their places.

`kept/RUN.ATTEMPT/` is made before the attempt is claimed. `about.json` in it says for whom it is, and `out` is what its
runner is given and fills before it reports (see `runner/keeping.py`). It is settled when the attempt is over: what is
there goes where it belongs, and the directory is removed. What a supervisor that died left is settled by the next one,
in the same way, by the result that the runner had synced.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from threading import Thread

from pydantic import BaseModel, ConfigDict, ValidationError

from shared import removal
from shared.findings import Spending
from shared.keep import LOGIN, SESSION, Keep
from shared.messages import ExecuteRequest, ExecuteResult, Secret
from shared.reasons import Reason
from supervisor.agents.adapter import Adapter
from supervisor.agents.adapters import adapter
from supervisor.agents.logins import FILE_BYTES, MOST_FILES, Login, LoginStore, check_logged_in, files_for, mark, repair
from supervisor.agents.sessions import Session, SessionStore, marks
from supervisor.config import Config
from supervisor.definitions.secrets import SecretStore
from supervisor.errors import CronwardError, InvalidError, NotFoundError, StoreError
from supervisor.models import NEVER, CronJob, CronRun, Overlap
from supervisor.spawning.launcher import Gone, read_result
from supervisor.stores.home import Home
from supervisor.stores.store import read_bytes, read_json, write_atomic

VERSION = 1
_ABOUT, _OUT = "about.json", "out"
CHECK = "check-"
"""What the id of a run begins with that is a trial of an agent: its own process settles it."""
_ABOUT_BYTES = 64 << 10


class About(BaseModel):
    """For whom an attempt's directory is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = VERSION
    run_id: str
    attempt: int
    agent: str = ""
    login: str = ""
    """The agent whose login it was given; empty: none that comes back."""
    login_mark: str = ""
    login_files: tuple[str, ...] = ()
    session: Session | None = None
    """The conversation as it is to be kept, but for what the runner says of it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one attempt is given that lives on: decided before there is any request."""

    keep: Keep | None = None
    secrets: tuple[Secret, ...] = ()
    """The login, where it is a token."""
    conversation: str = ""
    """The agent's own id of what goes on."""
    spent_before: Spending | None = None
    about: About | None = None


NOTHING = Plan()


def check_session(job: CronJob, known: Adapter) -> None:
    """Raise InvalidError where the job names a conversation that cannot be one."""
    if not job.session_key:
        return
    if not known.resumable:
        raise InvalidError(
            f"The agent {job.agent} cannot go on with a conversation; leave the session key out, or use another agent."
        )
    if job.overlap is Overlap.ALLOW:
        raise InvalidError(
            "Two runs cannot go on with one conversation at a time: use overlap skip or queue, or no session key."
        )


def planned(home: Home, config: Config, job: CronJob, run: CronRun) -> Plan:
    """What this attempt of the job is given. Raises InvalidError where it cannot be logged in, and StoreError."""
    if not job.login and not job.session_key:
        return NOTHING
    known = adapter(job.agent, config.agents_dir)
    check_logged_in(job, home)
    login = LoginStore(home).find(job.agent) if job.login else None
    files = files_for(login, known.login.files) if login is not None else ()
    comes_back = login is not None and login.renewed
    about = About(
        run_id=run.id,
        attempt=run.attempt,
        agent=job.agent,
        login=job.agent if comes_back else "",
        login_mark=mark(login.files) if login is not None and comes_back else "",
        login_files=tuple(file.path for file in files),
    )
    directory = str(home.kept_dir(run.id, run.attempt) / _OUT)
    token = login.secret if login is not None else ""
    keep = Keep(directory=directory, login=files, token=token, renewed=comes_back)
    plan = Plan(keep=keep, secrets=_token(home, login), about=about)
    return _with_session(plan, home, config, job, known) if job.session_key else plan


def _token(home: Home, login: Login | None) -> tuple[Secret, ...]:
    if login is None or login.kind != "token":
        return ()
    try:
        value = SecretStore(home).read(login.secret)
    except (NotFoundError, StoreError) as error:
        raise InvalidError(f"{error} It is the login of {login.agent}: {repair(login.agent)} --token") from None
    return (Secret(name=login.secret, value=value, variable=login.variable),)


def _with_session(plan: Plan, home: Home, config: Config, job: CronJob, known: Adapter) -> Plan:
    """With the conversation that the job's key names, or the beginning of one."""
    assert plan.keep is not None
    assert plan.about is not None
    store = SessionStore(home)
    before = store.find(job)
    anew = _why_anew(before, job, config) if before is not None else ""
    goes_on = before if before is not None and not anew else None
    keep = replace(
        plan.keep,
        session=known.conversation.files,
        session_from=str(store.files_of(goes_on)) if goes_on else "",
        session_anew=anew,
        session_bytes=_room(job, config, known),
    )
    session = Session(
        job_id=job.id,
        key=job.session_key,
        agent=job.agent,
        granted=marks(job),
        directory=f"{plan.about.run_id}.{plan.about.attempt}"[-64:].lstrip("._-"),
        run_id=plan.about.run_id,
        saved_at=NEVER,
        runs=goes_on.runs + 1 if goes_on else 1,
    )
    return replace(
        plan,
        keep=keep,
        conversation=goes_on.conversation if goes_on else "",
        spent_before=goes_on.spent_in_all if goes_on else None,
        about=plan.about.model_copy(update={"session": session}),
    )


def _room(job: CronJob, config: Config, known: Adapter) -> int:
    """It lies in the home of the cell, which is a file system of this size, and is to leave something of it."""
    home_bytes = config.limits_for(job.type, 1.0, None, job.limits).tmp_bytes
    return min(known.conversation.max_bytes, home_bytes * 3 // 4)


def _why_anew(before: Session, job: CronJob, config: Config) -> str:
    if not before.conversation:
        return "its agent gave no id of it"
    if before.bytes > config.limits_for(job.type, 1.0, None, job.limits).tmp_bytes * 3 // 4:
        return "it is larger than its home may be (tmp)"
    return before.why_not(job)


def with_keep(request: ExecuteRequest, plan: Plan) -> ExecuteRequest:
    """The request with all of that."""
    return replace(request, keep=plan.keep, spent_before=plan.spent_before) if plan.keep is not None else request


def make_place(home: Home, plan: Plan, job: CronJob) -> None:
    """Make a new directory for what lives on, when all else of the attempt is ready. Raises OSError, StoreError."""
    if plan.keep is None or plan.about is None:
        return
    place = Path(plan.keep.directory).parent
    home.kept.mkdir(mode=0o700, exist_ok=True)
    # Of an attempt that was prepared and never claimed there may be one, with nothing in it that counts.
    removal.remove_tree(str(place))
    place.mkdir(mode=0o700)
    Path(plan.keep.directory).mkdir(mode=0o700)
    write_atomic(place / _ABOUT, json.dumps(plan.about.model_dump(mode="json")).encode("ascii") + b"\n")
    if plan.about.session is not None:
        SessionStore(home).make_room(job)


class Keeps:
    """Settles them. `now`: the wall clock."""

    def __init__(self, home: Home, now: Callable[[], datetime], logger: logging.Logger) -> None:
        self._home, self._now, self._logger = home, now, logger

    def settle(self, gone: Gone) -> None:
        """That of one attempt, of which nothing lives any more. Never raises: what cannot be settled is said in the
        log, and the login or conversation is as it was."""
        place = self._home.kept_dir(gone.run_id, gone.attempt)
        if os.path.lexists(place):  # hardly ever
            self._settle(place, gone.result)

    def settle_all(self) -> None:
        """Those of all attempts that there have been."""
        try:
            left = sorted(self._home.kept.iterdir())
        except OSError:
            return
        # Listed before it is asked: whoever tries an agent takes the lock first, and makes its directory then.
        trial = LoginStore(self._home).any_on_trial()
        for place in left:
            if not (trial and place.name.startswith(CHECK)):
                self._settle(place, None)

    def forget_jobs(self, wanted: Callable[[str], bool]) -> Thread | None:
        """Begin to remove the conversations of jobs that are gone; a thread that is at it, if there are any."""
        try:
            gone = [job_id for job_id in SessionStore(self._home).jobs() if not wanted(job_id)]
        except StoreError:
            return None
        if not gone:
            return None
        thread = Thread(target=self._forget, args=(gone,), name="cronward-sessions", daemon=True)
        thread.start()
        return thread

    def _forget(self, job_ids: list[str]) -> None:
        for job_id in job_ids:
            if why := removal.remove_tree(str(self._home.sessions / job_id)):
                self._logger.error("The conversations of the removed job %s are left over: %s", job_id, why)

    def _settle(self, place: Path, result: ExecuteResult | None) -> None:
        try:
            about = _about(place)
        except FileNotFoundError:
            self._remove(place)
            return
        except (StoreError, ValidationError) as error:
            self._logger.error("What lives on of %s cannot be told: %s", place.name, error)
            self._remove(place)
            return
        result = result or read_result(self._home.log_dir(about.run_id, about.attempt), about.run_id, about.attempt)
        for settle in (self._settle_login, self._settle_session):
            try:
                settle(about, place / _OUT, result)
            except (CronwardError, OSError) as error:
                self._logger.error("run %s: what lives on of it could not be kept: %s", about.run_id, error)
        self._remove(place)

    def _settle_login(self, about: About, out: Path, _result: ExecuteResult | None) -> None:
        if not about.login:
            return
        renewed = dict[str, str]()
        for number, path in enumerate(about.login_files[:MOST_FILES]):
            with suppress(FileNotFoundError, UnicodeDecodeError):
                renewed[path] = _read_own(out / LOGIN / str(number))
        if renewed and LoginStore(self._home).renew(about.login, about.login_mark, renewed, self._now()):
            self._logger.info("run %s: it renewed the login of %s", about.run_id, about.login)

    def _settle_session(self, about: About, out: Path, result: ExecuteResult | None) -> None:
        session, found = about.session, result.session if result is not None else None
        if session is None or result is None or found is None:
            return
        store = SessionStore(self._home)
        if found.ended:
            store.end(session.job_id, session.key)
        elif found.kept and result.reason is Reason.OK:
            told = {
                "conversation": result.conversation[:1000],
                "spent_in_all": result.spent_in_all,
                "files": found.files,
                "bytes": found.bytes,
                "saved_at": self._now(),
            }
            store.keep(session.model_copy(update=told), out / SESSION)

    def _remove(self, place: Path) -> None:
        """Nobody settles it again, from here on. What else is there may be a conversation that was not kept, and the
        loop waits for nobody's files."""
        with suppress(OSError):
            (place / _ABOUT).unlink(missing_ok=True)
        if (place / _OUT / SESSION).exists():
            Thread(target=self._clear, args=(place,), name="cronward-kept", daemon=True).start()
        else:
            self._clear(place)

    def _clear(self, place: Path) -> None:
        if why := removal.remove_tree(str(place)):
            self._logger.error("%s is left over: %s", place, why)


def with_login(home: Home, agent: str) -> list[About]:
    """The attempts that were given files of this agent's login and are not settled: they live, or are left over."""
    found = []
    for place in sorted(home.kept.glob("*")):
        with suppress(FileNotFoundError, StoreError, ValidationError):  # whoever settles it says what is wrong with it
            about = _about(place)
            found += [about] if about.agent == agent and about.login_files else []
    return found


def has_renewed(home: Home, about: About) -> bool:
    """Whether its runner took out a login that the agent renewed."""
    folder = home.kept_dir(about.run_id, about.attempt) / _OUT / LOGIN
    return any((folder / str(number)).exists() for number in range(len(about.login_files)))


def _about(place: Path) -> About:
    return About.model_validate_json(json.dumps(read_json(place / _ABOUT, _ABOUT_BYTES, VERSION)))


def _read_own(path: Path) -> str:
    return read_bytes(path, FILE_BYTES).decode()
