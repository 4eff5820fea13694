"""One alert per incident: the first failure, a reminder after a while, one recovery."""

from __future__ import annotations

import logging
from collections.abc import Container
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from supervisor.errors import StoreError
from supervisor.models import CronRun
from supervisor.notifications.deliveries import News
from supervisor.status import Status
from supervisor.stores.disk import REAL, Disk
from supervisor.stores.history import encoded
from supervisor.stores.home import Home
from supervisor.stores.store import file_of, read_json, remove_leftovers

VERSION = 1
FILE_BYTES = 4096
logger = logging.getLogger("cronward.notify")


class Incident(BaseModel):
    """A job that fails: since when, and when that was told last."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = VERSION
    began_at: AwareDatetime
    told_at: AwareDatetime


class Verdict(BaseModel):
    """What an end means: what is to be told, and the incident that there is from then on."""

    model_config = ConfigDict(frozen=True)

    news: News | None
    since: datetime | None
    after: Incident | None


def judge(before: Incident | None, run: CronRun, remind: timedelta) -> Verdict:
    """What this end means for a job with this incident, or none. `remind` zero: never again."""
    at = run.finished_at
    if run.status in (Status.FAILED, Status.UNKNOWN):
        if before is None:
            return Verdict(news=News.FAILURE, since=at, after=Incident(began_at=at, told_at=at))
        if remind and at - before.told_at >= remind:
            after = before.model_copy(update={"told_at": at})
            return Verdict(news=News.REMINDER, since=before.began_at, after=after)
    elif run.status is Status.COMPLETED and before is not None:
        return Verdict(news=News.RECOVERY, since=before.began_at, after=None)
    return Verdict(news=None, since=None, after=before)


class Incidents:
    """Those of one home, a file each. One that is lost in a crash costs an alert too many, never one too few."""

    def __init__(self, home: Home, disk: Disk = REAL) -> None:
        self._folder, self._disk = home.outbox / "incidents", disk
        self._known: dict[str, Incident | None] = {}

    def of(self, job_id: str) -> Incident | None:
        """The job's, if it has one."""
        if job_id not in self._known:
            self._known[job_id] = self._read(job_id)
        return self._known[job_id]

    def note(self, job_id: str, incident: Incident | None) -> None:
        """The job's from now on."""
        if incident == self.of(job_id):
            return
        self._known[job_id] = incident
        path = self._path(job_id)
        try:
            if incident is None:
                self._disk.remove(path)
                self._disk.sync_dir(self._folder)
            else:
                self._disk.replace(path, encoded(incident.model_dump(mode="json")))
        except StoreError as error:
            logger.warning("%s", error)

    def keep_only(self, jobs: Container[str]) -> None:
        """Forget those of jobs that are gone."""
        remove_leftovers(self._folder)
        for path in sorted(self._folder.glob("*.json")):
            if path.stem not in jobs:
                self.note(path.stem, None)

    def _read(self, job_id: str) -> Incident | None:
        try:
            return Incident.model_validate(read_json(self._path(job_id), FILE_BYTES, VERSION))
        except FileNotFoundError:
            return None
        except (StoreError, ValidationError):  # an alert too many mends it
            return None

    def _path(self, job_id: str) -> Path:
        found = file_of(self._folder, job_id, ".json")
        assert found is not None  # the id of a job that is stored
        return found
