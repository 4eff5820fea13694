"""The conversations that go on from run to run: for each job and key the files that carry it, and what is known of it.

`sessions/JOB/KEY/session.json` says which directory beside it is the conversation; KEY is a hash of the job's session
key. A new state is a new directory, whole and on disk before that file names it: one rename decides, and whatever is
cut off before it leaves the conversation as it was. Under root the directories belong to the user of the job's runs,
and lie in ours.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from shared import removal
from shared.findings import Spending
from supervisor.errors import StoreError
from supervisor.models import CronJob, Identifier
from supervisor.stores.home import Home, own_directory
from supervisor.stores.store import DamagedError, failure, read_json, sync_dir, write_atomic

VERSION = 1
_BYTES = 64 << 10
_NAME = "session.json"
GRANTED = (
    *("agent", "command", "work_dir", "work_mode", "git_write", "read_paths", "write_paths", "isolation", "run_as"),
    *("network", "allow_hosts", "secrets", "git_credentials", "login"),
)
"""What an agent may have seen and done in a conversation. Where one of these changes it is another's conversation."""
_WORDS = {"agent": "its agent", "work_dir": "its work directory"}


class Session(BaseModel):
    """What is kept of a conversation, beside its files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = VERSION
    job_id: Identifier
    key: str
    """As its owner wrote it."""
    agent: str
    granted: dict[str, str]
    """A mark for each field of GRANTED."""
    conversation: str = ""
    """The agent's own id of it."""
    spent_in_all: Spending | None = None
    """As the agent itself said it, where its figures count from the beginning."""
    directory: Identifier
    """Where its files are, beside this."""
    run_id: Identifier
    saved_at: AwareDatetime
    runs: int = 1
    files: int = 0
    bytes: int = 0

    def why_not(self, job: CronJob) -> str:
        """Why it cannot go on with the job as it is now; empty where it can."""
        now = marks(job)
        changed = [name for name in GRANTED if self.granted.get(name) != now[name]]
        if not changed:
            return ""
        words = ", ".join(_WORDS.get(name, f"what it may do ({name})") for name in changed[:3])
        return f"{words} changed"


Names = list[str]  # inside the class, `list` is what people ask for


class SessionStore:
    """The conversations of one home."""

    def __init__(self, home: Home) -> None:
        self._root = home.sessions

    def list(self, job_id: str | None = None) -> list[Session]:
        """All, or those of one job. Raises StoreError."""
        return list(self._sessions(job_id))

    def find(self, job: CronJob) -> Session | None:
        """The one that the job names now. Raises StoreError."""
        return self._read(self.place(job.id, job.session_key))

    def place(self, job_id: str, key: str) -> Path:
        """Its directory."""
        return self._root / job_id / hashlib.sha256(key.encode()).hexdigest()[:32]

    def files_of(self, session: Session) -> Path:
        """Where its files are."""
        return self.place(session.job_id, session.key) / session.directory

    def make_room(self, job: CronJob) -> None:
        """Make the directory of the conversation that the job names. Raises StoreError, RefusedError."""
        place = self.place(job.id, job.session_key)
        for folder in (place.parent, place):
            own_directory(folder)

    def keep(self, session: Session, taken: Path) -> bool:
        """Put `taken` in the place of what is kept; False where the conversation was forgotten meanwhile. Raises
        StoreError; then it is as it was."""
        place = self.place(session.job_id, session.key)
        try:
            taken.rename(place / session.directory)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise failure("written", place, error) from None
        sync_dir(place)
        write_atomic(place / _NAME, json.dumps(session.model_dump(mode="json"), indent=1).encode("ascii") + b"\n")
        self._begin_to_remove(_others(place, session.directory))
        return True

    def reset(self, job_id: str, key: str | None = None) -> int:
        """Forget the job's conversations, or the one of this key; how many there were. Raises StoreError."""
        found = [session for session in self._sessions(job_id) if key is None or session.key == key]
        for session in found:
            _remove(self._end(session.job_id, session.key))
        if key is None and (why := removal.remove_tree(str(self._root / job_id))):
            raise StoreError(f"Not all of the job's conversations could be removed: {why}")
        return len(found)

    def end(self, job_id: str, key: str) -> None:
        """The next run begins anew. Raises StoreError."""
        self._begin_to_remove(self._end(job_id, key))

    def _end(self, job_id: str, key: str) -> Names:
        place = self.place(job_id, key)
        try:
            (place / _NAME).unlink(missing_ok=True)
        except OSError as error:
            raise failure("removed", place, error) from None
        sync_dir(place)
        return _others(place, "")

    def jobs(self) -> Names:
        """The ids of jobs that have, or had, conversations. Raises StoreError."""
        try:
            return sorted(path.name for path in self._root.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise failure("read", self._root, error) from None

    def _sessions(self, job_id: str | None) -> Iterator[Session]:
        for job in [job_id] if job_id is not None else self.jobs():
            try:
                places = sorted((self._root / job).iterdir())
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise failure("read", self._root / job, error) from None
            for place in places:
                session = self._read(place)
                if session is not None:
                    yield session

    def _read(self, place: Path) -> Session | None:
        """One that is damaged is none: what is lost with it is a conversation, and no run should fail for that."""
        try:
            return Session.model_validate_json(json.dumps(read_json(place / _NAME, _BYTES, VERSION)))
        except (FileNotFoundError, DamagedError, ValidationError):
            return None

    def _begin_to_remove(self, paths: Names) -> None:
        """An agent fills them: ten thousand folders took twenty seconds, for which no loop waits. What a crash leaves
        is found among the others the next time."""
        if paths:
            Thread(target=_remove, args=(paths,), name="cronward-sessions", daemon=True).start()


def _others(place: Path, name: str) -> list[str]:
    """The directories beside this one."""
    with os.scandir(place) as entries:
        return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False) and entry.name != name]


def _remove(paths: list[str]) -> None:
    for path in paths:
        removal.remove_tree(path)


def marks(job: CronJob) -> dict[str, str]:
    """A mark for each field that a conversation depends on: no value of it has to be stored with the conversation."""
    record = job.model_dump(mode="json")
    return {name: hashlib.sha256(json.dumps(record[name]).encode("ascii")).hexdigest()[:16] for name in GRANTED}
