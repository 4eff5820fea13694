"""What people do with secrets: set, list, remove. No answer here ever holds a value."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import AwareDatetime, BaseModel, ConfigDict

from supervisor.agents.logins import LoginStore
from supervisor.definitions.grants import grants_of
from supervisor.definitions.secrets import SecretStore
from supervisor.errors import NotFoundError, RefusedError
from supervisor.models import CronJob
from supervisor.notifications.targets import Notify
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore

Labels = dict[str, list[str]]


class SecretRecord(BaseModel):
    """A secret as it is shown: everything but its value."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    set_at: AwareDatetime | None = None
    """None: it is granted, and not set (any more)."""
    jobs: tuple[str, ...] = ()
    """Those that are granted it, by name where they have one, else by id."""
    used_by: tuple[str, ...] = ()
    """What of ours sends it: webhooks of jobs, tables of the configuration."""

    @property
    def users(self) -> tuple[str, ...]:
        """Whatever would miss it."""
        return (*self.jobs, *self.used_by)


Records = list[SecretRecord]  # inside the class, `list` is what people ask for


class SecretDesk:
    """The secrets of one home, and the jobs that have them."""

    def __init__(self, home: Home, jobs: CronStore, notify: Callable[[], Notify] = Notify) -> None:
        """`notify`: the settings as they are now."""
        self._store, self._jobs, self._logins, self._notify = SecretStore(home), jobs, LoginStore(home), notify

    def list(self) -> Records:
        """All that are set, granted or sent."""
        granted, sent = self._granted(), self._sent()
        return [self._record(name, granted, sent) for name in sorted({*self._store.names(), *granted, *sent})]

    def set(self, name: str, value: str) -> SecretRecord:
        """Store or replace a value; attempts that start from now on get it. Raises InvalidError, StoreError."""
        self._store.set(name, value)
        return self._record(name, self._granted(), self._sent())

    def remove(self, name: str, force: bool = False) -> SecretRecord:
        """Delete a value. Raises NotFoundError, and RefusedError while it is in use, unless `force`: runs fail then
        and what is to be told waits, until it is set again or no more asked for."""
        record = self._record(name, self._granted(), self._sent())
        if record.set_at is None:
            raise NotFoundError(f"There is no secret {name[:64]!r}. `cronward secret list` shows those there are.")
        if record.users and not force:
            users, how = ", ".join(record.users), "used by" if record.used_by else "granted to"
            raise RefusedError(f"The secret {name} is {how}: {users}. Take it from them first, or use --force.")
        self._store.remove(name)
        return record

    def _record(self, name: str, granted: Labels, sent: Labels) -> SecretRecord:
        try:
            set_at = self._store.set_at(name)
        except NotFoundError:
            set_at = None
        return SecretRecord(
            name=name, set_at=set_at, jobs=tuple(granted.get(name, ())), used_by=tuple(sent.get(name, ()))
        )

    def _login_of(self, job: CronJob) -> tuple[str, ...]:
        """The secret that is the login of the job's agent, if it is granted that."""
        login = self._logins.find(job.agent) if job.login else None
        return (login.secret,) if login is not None and login.kind == "token" else ()

    def _sent(self) -> Labels:
        """What goes along with what is told: tokens, keys, whole addresses."""
        notify, found = self._notify(), Labels()
        uses = [(job.webhook_token, f"the webhooks of {job.label}") for job in self._jobs.list()]
        uses.append((notify.key, "[notify]"))
        for target, about in notify.targets.items():
            uses += [
                (name, f"[notify.targets.{target}]") for name in dict.fromkeys((about.apprise, about.token, about.key))
            ]
        for name, user in uses:
            if name:
                found.setdefault(name, []).append(user)
        return found

    def _granted(self) -> Labels:
        found: Labels = {}
        for job in self._jobs.list():
            for name in dict.fromkeys([*(grant.name for grant in grants_of(job)), *self._login_of(job)]):
                found.setdefault(name, []).append(job.label)
        return found
