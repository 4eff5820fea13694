"""Cronward's own logins with the providers of agents: one file each, its owner's alone, apart from everything else.

One kind of login is the files that an agent's own login command wrote, as far as its adapter lists them; the agent
renews these, and a run's renewed ones come back. Another is a token or key, which is a secret (see `secrets`), and what
is here says which. A third says that the owner's own files are used: these are read at each attempt, and never written.

A renewed file comes from a run, and is as hostile as it. It is taken only in the place of the very file that this run
was given, so that of several only the first counts, and a login that was made anew meanwhile stays.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from shared.keep import LoginFile
from supervisor.definitions.grants import CELLS_OWN, CELLS_PREFIXES
from supervisor.definitions.secrets import NAME
from supervisor.errors import InvalidError, NotFoundError, RefusedError, StoreError
from supervisor.models import CronJob, Identifier
from supervisor.sentences import shown
from supervisor.stores.home import Home
from supervisor.stores.lock import is_held
from supervisor.stores.store import DamagedError, failure, read_bytes, read_json, sync_dir, write_atomic

VERSION = 1
FILE_BYTES = 64 << 10
"""Of one file that carries a login."""
MOST_FILES = 8
AGENT = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_STORED_BYTES = 2 << 20
_LOCK_SECONDS = 10.0
_TRIAL, _TRIAL_SECONDS = ".check", 1.0

Kind = Literal["files", "token", "shared"]


class Login(BaseModel):
    """How the jobs that are granted it are logged in with one agent's provider."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = VERSION
    agent: Identifier
    kind: Kind
    files: dict[str, str] = Field(default={}, repr=False)
    """Of the kind `files`: what is in each, by its path in the agent's home."""
    secret: str = ""
    variable: str = ""
    """Of the kind `token`: the secret that it is, and the variable in which the agent looks for it."""
    shared_home: str = ""
    """Of the kind `shared`: whose files are used."""
    set_at: AwareDatetime
    renewed_at: AwareDatetime | None = None

    @property
    def renewed(self) -> bool:
        """Whether an agent that renews it gives it back."""
        return self.kind == "files"


class LoginStore:
    """The logins of one home. Whoever writes takes the login's own lock, a supervisor too: `cronward login` asks
    nobody's leave, and waits for no run."""

    def __init__(self, home: Home) -> None:
        self._home, self._folder = home, home.logins

    def list(self) -> list[Login]:
        """All, by agent. Raises StoreError."""
        try:
            names = sorted(path.stem for path in self._folder.glob("*.json"))
        except OSError as error:
            raise failure("read", self._folder, error) from None
        return [login for name in names if (login := self.find(name)) is not None]

    def find(self, agent: str) -> Login | None:
        """The one of this agent. Raises StoreError, DamagedError where its file is not one of ours."""
        path = self._path(agent)
        try:
            return Login.model_validate_json(json.dumps(read_json(path, _STORED_BYTES, VERSION)))
        except FileNotFoundError:
            return None
        except ValidationError:
            raise DamagedError(f"{path} is damaged. Log in again: cronward login {agent}") from None

    def set(self, login: Login) -> None:
        """Store it in the place of the one that there was, durably. Raises InvalidError, RefusedError, StoreError."""
        check_files(login.files)
        with self._locked(login.agent):
            self._write(login)

    def remove(self, agent: str) -> Login:
        """Forget it. Raises NotFoundError, RefusedError, StoreError."""
        missing = f"There is no login of {agent[:64]!r}. `cronward login --list` shows those there are."
        if not re.fullmatch(AGENT, agent):  # it names files of ours
            raise NotFoundError(missing)
        with self._locked(agent):
            login = self.find(agent)
            if login is None:
                raise NotFoundError(missing)
            self._path(agent).unlink()
            sync_dir(self._folder)
            return login

    def renew(self, agent: str, placed: str, renewed: Mapping[str, str], now: datetime) -> bool:
        """Take what a run made of its login; whether it was. `placed`: the mark of what that run was given. Raises
        RefusedError, StoreError."""
        with self._locked(agent):
            login = self.find(agent)
            if login is None or not login.renewed or mark(login.files) != placed:
                return False
            found = {path: text for path, text in renewed.items() if may_follow(login.files.get(path), text)}
            if not found:
                return False
            self._write(login.model_copy(update={"files": {**login.files, **found}, "renewed_at": now}))
            return True

    def renewed_by(self, job: CronJob) -> str:
        """The agent whose login a run of this job may renew; empty: none. Where nobody can tell, it may."""
        if not job.login:
            return ""
        try:
            login = self.find(job.agent)
        except StoreError:
            return job.agent
        # A shared one is renewed too, though it does not come back.
        return job.agent if login is not None and login.kind != "token" else ""

    def on_trial(self, agent: str) -> bool:
        """Whether a check of this agent goes on that uses its login."""
        return is_held(self._trial(agent))

    def any_on_trial(self) -> bool:
        """Whether there is any such check."""
        return any(is_held(path) for path in self._folder.glob(f".*{_TRIAL}"))

    @contextmanager
    def trying(self, agent: str) -> Iterator[None]:
        """Be that check. Runs that a supervisor is about to start wait from here on; those that it had started before
        are for the caller to look for. Raises RefusedError, StoreError."""
        lock = FileLock(self._trial(agent), mode=0o600, thread_local=False, fallback_to_soft=False)
        try:
            lock.acquire(
                timeout=_TRIAL_SECONDS, poll_interval=0.01
            )  # a supervisor's look is a lock too, for an instant
        except Timeout:
            raise RefusedError(
                f"Another check of {agent} uses its login. Wait until that is over, or leave the login out: --no-login"
            ) from None
        except OSError as error:
            raise StoreError(f"{self._folder} cannot be written: {error.strerror}.") from None
        try:
            yield
        finally:
            lock.release()

    def _trial(self, agent: str) -> Path:
        # Never unlinked either. No agent's name begins with a dot, so it is nobody's file or lock.
        return self._folder / f".{agent}{_TRIAL}"

    @contextmanager
    def _locked(self, agent: str) -> Iterator[None]:
        self._home.create()
        # Never unlinked: a second file of that name would be a second lock.
        lock = FileLock(self._folder / f"{agent}.lock", mode=0o600, thread_local=False, fallback_to_soft=False)
        try:
            with lock.acquire(timeout=_LOCK_SECONDS, poll_interval=0.01):
                yield
        except Timeout:
            raise RefusedError(f"Somebody else is changing the login of {agent}. Try again in a moment.") from None
        except OSError as error:
            raise StoreError(f"{self._folder} cannot be written: {error.strerror}.") from None

    def _write(self, login: Login) -> None:
        data = json.dumps(login.model_dump(mode="json"), indent=1).encode("ascii") + b"\n"
        write_atomic(self._path(login.agent), data)

    def _path(self, agent: str) -> Path:
        return self._folder / f"{agent}.json"


def mark(files: Mapping[str, str]) -> str:
    """What tells one state of a login from another. Nothing can be told from it about what is in there."""
    return hashlib.sha256(json.dumps(dict(sorted(files.items()))).encode("ascii")).hexdigest()


def may_follow(before: str | None, after: str) -> bool:
    """Whether a file can be what an agent made of its login: of a kind with what it was. Nobody can know more."""
    if before is None or not after.strip() or len(after.encode("utf-8", "surrogatepass")) > FILE_BYTES:
        return False
    return _is_object(after) or not _is_object(before)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def check_files(files: Mapping[str, str]) -> None:
    """Raise InvalidError where these are no files of a login."""
    if len(files) > MOST_FILES:
        raise InvalidError(f"A login has at most {MOST_FILES} files, not {len(files)}.")
    for path, text in files.items():
        if len(text.encode("utf-8", "surrogatepass")) > FILE_BYTES:
            raise InvalidError(f"The file {path} is larger than {FILE_BYTES} bytes, and no login is.")


def read_home(home: Path, paths: tuple[str, ...]) -> dict[str, str]:
    """The files of a login that are in this home, of those that its adapter lists. Raises InvalidError for one that is
    no regular text file of ours, of sane size."""
    found = {}
    for path in paths:
        try:
            data = _read(home / path)
        except FileNotFoundError:
            continue
        except (StoreError, UnicodeDecodeError) as error:
            raise InvalidError(f"{home / path} cannot be a login's: {error}") from None
        found[path] = data
    check_files(found)
    return found


def _read(path: Path) -> str:
    # The links of a home are its owner's own; only the last name has to be what it says.
    try:
        owner = os.stat(path.parent).st_uid  # noqa: PTH116
    except OSError:
        raise FileNotFoundError(path) from None
    if owner != os.geteuid():
        raise StoreError(f"its directory belongs to uid {owner}, not to you.")
    return read_bytes(path, FILE_BYTES).decode()


def files_for(login: Login, listed: tuple[str, ...]) -> tuple[LoginFile, ...]:
    """What is put into the home of an agent that is granted this login, as it is now. `listed`: its adapter's files.
    Raises InvalidError where there is nothing."""
    if login.kind == "token":
        return ()
    files = login.files if login.kind == "files" else read_home(Path(login.shared_home), listed)
    found = tuple(LoginFile(path=path, text=text) for path, text in files.items() if path in listed)
    if not found:
        raise InvalidError(f"Of the login of {login.agent} nothing is left. Log in again: {repair(login.agent)}")
    return found


def check_logged_in(job: CronJob, home: Home) -> None:
    """Raise InvalidError where the job is granted a login that there is not."""
    if job.login and LoginStore(home).find(job.agent) is None:
        raise InvalidError(f"There is no login of {job.agent}, which the job is granted. Log in: {repair(job.agent)}")


def secret_name(agent: str) -> str:
    """The secret that a token of this agent becomes. Of no other: where the letters of such a name cannot tell two
    agents apart, as `a-b` and `a.b`, a hash does, or the token of one would be sent to the provider of the other."""
    plain = agent.upper().replace("-", "_")
    if re.fullmatch(r"[a-z0-9-]{1,58}", agent):
        return f"LOGIN_{plain}"
    letters = re.sub(r"[^A-Z0-9_]", "_", plain)[:45]
    return f"LOGIN_{letters}__{hashlib.sha256(agent.encode()).hexdigest()[:10].upper()}"


def token_variable(agent: str, known: tuple[str, ...], asked: str | None, *, key: bool) -> str:
    """The agent's variable for a token, or for an API key. `known`: what its adapter names, the best first. Raises
    InvalidError."""
    if asked is not None:
        if not NAME.fullmatch(asked) or asked in CELLS_OWN or asked.startswith(CELLS_PREFIXES):
            raise InvalidError(f"The variable {shown(asked)} is no name of one, or the cell's own; choose another.")
        return asked
    keys = [name for name in known if "API_KEY" in name]
    tokens = [name for name in known if name not in keys]
    found = keys if key else tokens or keys
    if not found:
        what = "an API key" if key else "a token"
        raise InvalidError(f"It is not known in which variable {agent} takes {what}; name it: --variable NAME")
    return found[0]


def repair(agent: str) -> str:
    """The command that repairs a login."""
    return f"cronward login {agent}"
