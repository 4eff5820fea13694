"""Where everything of one owner lies, and who may look: design of the folder that `CRONWARD_HOME` names."""

from __future__ import annotations

import errno
import hashlib
import os
import pwd
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from supervisor.errors import RefusedError, StoreError

SOCKET_PATH_BYTES = 107  # sun_path has 108, one of them for the final NUL


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one owner: definitions, histories, logs, and the lock that lets one process at a time write."""

    root: Path
    runtime: Path | None = None
    """The user's runtime directory (`XDG_RUNTIME_DIR`), for a socket that cannot lie in the home."""

    @classmethod
    def resolve(cls, option: str | None, environ: Mapping[str, str]) -> Home:
        """The home that is meant: `--home`, `CRONWARD_HOME`, `$XDG_STATE_HOME/cronward`, `~/.local/state/cronward`."""
        named = option or environ.get("CRONWARD_HOME")
        root = Path(named) if named else _base(environ, "XDG_STATE_HOME", ".local/state") / "cronward"
        runtime = environ.get("XDG_RUNTIME_DIR", "")
        return cls(_absolute(root), Path(runtime) if runtime.startswith("/") else None)

    @classmethod
    def usual(cls, environ: Mapping[str, str]) -> Home:
        """Where it lies if nobody names one."""
        return cls.resolve(None, {key: value for key, value in environ.items() if key != "CRONWARD_HOME"})

    @classmethod
    def of(cls, place: Home | Path | str) -> Home:
        """The home at this place."""
        return place if isinstance(place, Home) else cls(_absolute(Path(place)))

    @property
    def lock(self) -> Path:
        """What a writer holds. Never unlinked: a second file of that name would be a second lock."""
        return self.root / "supervisor.lock"

    @property
    def info(self) -> Path:
        """Who holds the lock, and where it listens."""
        return self.root / "supervisor.json"

    @property
    def last_info(self) -> Path:
        """What `info` said of the supervisor that ended last, in good order."""
        return self.root / "supervisor.last.json"

    @property
    def jobs(self) -> Path:
        """One file a job: the definition."""
        return self.root / "jobs"

    @property
    def runs(self) -> Path:
        """One file a job: what became of its occurrences."""
        return self.root / "runs"

    @property
    def sums(self) -> Path:
        """One file a job: what its history comes to, for who does not want to read it whole."""
        return self.root / "sums"

    @property
    def logs(self) -> Path:
        """One directory a run."""
        return self.root / "logs"

    @property
    def secrets(self) -> Path:
        """One file a secret: its value."""
        return self.root / "secrets"

    @property
    def logins(self) -> Path:
        """One file an agent: cronward's own login with its provider."""
        return self.root / "logins"

    @property
    def sessions(self) -> Path:
        """One directory a job, in it one for each conversation that goes on."""
        return self.root / "sessions"

    @property
    def kept(self) -> Path:
        """One directory an attempt whose login or conversation lives on, until that is where it belongs."""
        return self.root / "kept"

    @property
    def clones(self) -> Path:
        """One directory an attempt that works on a private clone, while it lives."""
        return self.root / "clones"

    @property
    def outbox(self) -> Path:
        """One file for the end of a run that somebody is to be told of."""
        return self.root / "outbox"

    @property
    def damaged(self) -> Path:
        """What could not be read and was set aside."""
        return self.root / "damaged"

    @property
    def imported(self) -> Path:
        """One file an import of the original's files: these as they were, so that they can be exported so."""
        return self.root / "imported"

    @property
    def pending(self) -> Path:
        """What of several changes that belong together is still to be carried out."""
        return self.root / "pending.json"

    @property
    def uids(self) -> Path:
        """Under root: which job has which throw-away user id."""
        return self.root / "uids.json"

    @property
    def looked(self) -> Path:
        """When its owner last looked at what happened."""
        return self.root / "looked.json"

    @property
    def socket(self) -> Path:
        """The control socket: in the home, or where its path is too long for one, in the runtime directory."""
        inside = self.root / "control.sock"
        return inside if _fits(inside) else self.fallback_socket

    @property
    def fallback_socket(self) -> Path:
        """Where the socket lies when the home cannot hold it (long path, a file system without sockets)."""
        return self._runtime_directory / self._socket_name

    def log_dir(self, run_id: str, attempt: int) -> Path:
        """The directory of one attempt. It is not made here."""
        return self.logs / run_id / str(attempt)

    def clone_dir(self, run_id: str, attempt: int) -> Path:
        """The directory of one attempt's private clone. It is not made here."""
        return self.clones / f"{run_id}.{attempt}"

    def kept_dir(self, run_id: str, attempt: int) -> Path:
        """The directory of what lives on of one attempt. It is not made here."""
        return self.kept / f"{run_id}.{attempt}"

    def create(self) -> None:
        """Make what is missing and check what is there. Raises RefusedError where it is not safely ours alone."""
        _make_parents(self.root.parent)
        folders = (self.jobs, self.runs, self.sums, self.logs, self.secrets, self.logins)
        lasting = (self.sessions, self.kept, self.clones, self.imported, self.damaged)
        told = (self.outbox, self.outbox / "incidents")
        for directory in (self.root, *folders, *lasting, *told):
            own_directory(directory)
        if self.socket.parent != self.root:
            self.create_runtime_directory()

    def create_runtime_directory(self) -> None:
        """Make and check the directory of `fallback_socket`."""
        own_directory(self._runtime_directory)

    @property
    def _socket_name(self) -> str:
        return hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16] + ".sock"

    @property
    def _runtime_directory(self) -> Path:
        if self.runtime and _fits(self.runtime / "cronward" / self._socket_name):
            return self.runtime / "cronward"
        return Path(f"/tmp/cronward-{os.geteuid()}")


def own_directory(path: Path) -> None:
    """Make `path` a directory of ours that nobody else can enter. Raises RefusedError where that cannot be."""
    try:
        _make_directory(path)
        # NOFOLLOW: a link that somebody else planted would lead our files to where they want them.
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _refusal(path, error) from None
    try:
        found = os.fstat(fd)
        if found.st_uid != os.geteuid():
            raise RefusedError(
                f"{path} belongs to {_user(found.st_uid)}, not to {_user(os.geteuid())}: cronward keeps nothing in a "
                f"directory of somebody else's. Name another with --home or CRONWARD_HOME."
            )
        if stat.S_IMODE(found.st_mode) != 0o700:
            os.fchmod(fd, 0o700)
    finally:
        os.close(fd)


def user_home(environ: Mapping[str, str]) -> Path:
    """The user's own home directory."""
    return Path(environ.get("HOME") or pwd.getpwuid(os.geteuid()).pw_dir)


def _base(environ: Mapping[str, str], variable: str, default: str) -> Path:
    value = environ.get(variable, "")
    # The XDG rules: a relative value counts as none.
    return Path(value) if value.startswith("/") else user_home(environ) / default


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100  (Path.absolute keeps `..`; resolve follows links)


def _fits(path: Path) -> bool:
    return len(os.fsencode(path)) <= SOCKET_PATH_BYTES


def _make_parents(path: Path) -> None:
    missing = [parent for parent in (path, *path.parents) if not parent.exists()]
    for parent in reversed(missing):
        try:
            _make_directory(parent)
        except OSError as error:
            raise _refusal(parent, error) from None


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(0o700)
    except FileExistsError:
        return
    path.chmod(0o700)  # a umask may have taken bits that we need


def _refusal(path: Path, error: OSError) -> RefusedError | StoreError:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return RefusedError(
            f"{path} is a link or no directory. Move it away, or name the real directory (--home, CRONWARD_HOME)."
        )
    return StoreError(
        f"{path} cannot be made or opened: {error.strerror}. Name another place with --home or CRONWARD_HOME."
    )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
