"""What people do with conversations: list them, and have them begin anew."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import AwareDatetime, BaseModel, ConfigDict

from supervisor.agents.sessions import Session, SessionStore
from supervisor.errors import NotFoundError, RefusedError
from supervisor.models import CronJob
from supervisor.stores.home import Home
from supervisor.stores.jobs import CronStore


class SessionRecord(BaseModel):
    """A conversation as it is shown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job_id: str
    job: str
    """What people call the job; its id where it is gone."""
    key: str
    agent: str
    conversation: str
    """The agent's own id of it."""
    runs: int
    files: int
    bytes: int
    saved_at: AwareDatetime
    run_id: str
    """The run that left it so."""
    anew: str = ""
    """Why the next run begins a new one all the same; empty where it goes on."""


Records = list[SessionRecord]  # inside the class, `list` is what people ask for


class SessionDesk:
    """The conversations of one home. `live`: whether runs of this job are not over."""

    def __init__(self, home: Home, jobs: CronStore, live: Callable[[str], bool] = lambda _job_id: False) -> None:
        self._store, self._jobs, self._live = SessionStore(home), jobs, live

    def list(self, ref: str | None = None) -> Records:
        """All, or those of one job. Raises NotFoundError, StoreError."""
        wanted = None if ref is None else self._jobs.find(ref).id
        return [_record(session, self._jobs.get(session.job_id)) for session in self._store.list(wanted)]

    def reset(self, ref: str, key: str | None = None) -> Records:
        """Forget the conversations of a job, or the one of this key; what they were. Raises NotFoundError,
        RefusedError while a run of the job goes on, for that would keep its own at its end; StoreError."""
        job = self._jobs.find(ref)
        if self._live(job.id):
            raise RefusedError(
                f"A run of {job.label} goes on, and keeps its conversation when it ends. Cancel it first."
            )
        found = [record for record in self.list(job.id) if key is None or record.key == key]
        if key is not None and not found:
            raise NotFoundError(f"The job {job.label} has no conversation {key[:80]!r}. See: cronward sessions list")
        self._store.reset(job.id, key)
        return found


def _record(session: Session, job: CronJob | None) -> SessionRecord:
    if job is None:
        anew = "its job is gone"
    elif job.session_key != session.key:
        anew = "its job names another one"
    else:
        anew = session.why_not(job)
    same = session.model_dump(include=set(SessionRecord.model_fields) - {"job", "anew"})
    return SessionRecord(job=session.job_id if job is None else job.label, anew=anew, **same)
