"""systemd as the keeper of a supervisor: the user's own instance, for root the host's."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from supervisor.errors import CronwardError, RefusedError
from supervisor.keeping.keeper import By, Kept
from supervisor.keeping.unit import MARK, START_SECONDS
from supervisor.stores.home import user_home
from supervisor.stores.store import read_bytes, write_atomic
from supervisor.trials.called import Answer, call

UNIT_BYTES = 64 << 10
ENABLE_LINGER = "loginctl enable-linger"


@dataclass(frozen=True, slots=True)
class Instance:
    """A systemd that runs here and that we may talk to."""

    program: str
    units: Path
    system: bool
    runtime: Path
    linger: Path
    """The file that is there while this user lingers."""

    @classmethod
    def here(cls, environ: Mapping[str, str], uid: int, root: Path = Path("/")) -> Instance | None:
        """None where there is none: another init, a container, a session that has no manager of its own."""
        program = shutil.which("systemctl", path=environ.get("PATH", os.defpath))
        if program is None or not (root / "run/systemd/system").is_dir():
            return None
        system = uid == 0
        given = environ.get("XDG_RUNTIME_DIR", "")
        runtime = Path(given) if given.startswith("/") else root / "run/user" / str(uid)
        if not system and not (runtime / "systemd/private").exists():
            return None
        units = root / "etc/systemd/system" if system else user_home(environ) / ".config/systemd/user"
        with contextlib.suppress(KeyError):
            return cls(program, units, system, runtime, root / "var/lib/systemd/linger" / pwd.getpwuid(uid).pw_name)
        return None

    def ask(self, *words: str, within: float = 30.0) -> Answer:
        """Call systemctl. Raises CronwardError."""
        scope = [] if self.system else ["--user"]
        return call([self.program, *scope, *words], within=within, XDG_RUNTIME_DIR=str(self.runtime))

    def told(self, *words: str, within: float = 30.0) -> None:
        """Have it do something. Raises CronwardError with what it says."""
        answer = self.ask(*words, within=within)
        if answer.code:
            shown = " ".join(["systemctl", *([] if self.system else ["--user"]), *words])
            raise CronwardError(f"`{shown}` failed: {answer.complaint}")

    @property
    def journal(self) -> str:
        """The command that shows the log of a unit."""
        return "journalctl -u" if self.system else "journalctl --user -u"


@dataclass(frozen=True, slots=True)
class SystemdKeeper:
    """The unit of one home. `text`: what is to stand in it. `other`: the pid of a supervisor that answers now."""

    instance: Instance
    name: str
    text: Callable[[], str]
    other: Callable[[], int | None]
    stop_seconds: float
    by: By = "systemd"

    @property
    def file(self) -> Path:
        """Where the unit lies."""
        return self.instance.units / self.name

    def install(self) -> Kept:
        """Write the unit, start it, and have it started from now on. Raises RefusedError, StoreError, CronwardError."""
        data = self.text().encode()
        before = self._written()
        running = self._properties()
        other = self.other()
        if other is not None and other != running.pid:
            raise RefusedError(
                f"A supervisor runs already that systemd does not know: process {other}. End it first with: "
                "cronward stop"
            )
        if before != data:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(self.file, data)
            self.instance.told("daemon-reload")
        self._start()
        stale = before not in (None, data) and running.active
        again = f"The unit has changed. It counts from the next start on: {self._ctl} restart {self.name}"
        return self._kept((again,) if stale else ())

    def uninstall(self) -> bool:
        """Stop it as `cronward stop` does, and remove the unit."""
        if self._written() is None:
            return False
        self.instance.told("disable", "--now", self.name, within=self.stop_seconds + 30.0)
        self.file.unlink()
        self.instance.told("daemon-reload")
        self.instance.ask("reset-failed", self.name)  # there may be no failure to forget
        return True

    def look(self) -> Kept:
        """How it stands."""
        return self._kept(())

    @property
    def _ctl(self) -> str:
        return "systemctl" if self.instance.system else "systemctl --user"

    def _start(self) -> None:
        try:
            self.instance.told("enable", "--now", self.name, within=START_SECONDS + 30.0)
        except CronwardError as error:
            raise CronwardError(f"{error} Look at: {self.instance.journal} {self.name} -n 20") from None

    def _kept(self, notes: tuple[str, ...]) -> Kept:
        found = self._properties()
        installed = self._written() is not None
        lingers = None if self.instance.system else self.instance.linger.exists()
        if installed and lingers is False:
            notes += (
                "It ends with your last session, and does not start at boot, until you may linger: "
                f"{ENABLE_LINGER}   (where that is refused, root can: {ENABLE_LINGER} {self.instance.linger.name})",
            )
        if installed and not found.active:
            notes += (f"It is {found.state}. Look at: {self.instance.journal} {self.name} -n 20",)
        if installed and not found.enabled:
            notes += (f"It is not started by itself. Switch it on with: {self._ctl} enable {self.name}",)
        return Kept(self.by, str(self.file), installed, found.active, found.pid, lingers, found.restarts, notes)

    def _written(self) -> bytes | None:
        """The unit as it lies there; None: none does. Raises RefusedError where it is somebody else's."""
        try:
            data = read_bytes(self.file, UNIT_BYTES)
        except FileNotFoundError:
            return None
        if not data.startswith(MARK.encode()):
            raise RefusedError(f"{self.file} was not written by cronward. Move it away; nothing was changed.")
        return data

    def _properties(self) -> _Properties:
        names = "ActiveState,SubState,MainPID,NRestarts,UnitFileState"
        answer = self.instance.ask("show", "-p", names, self.name)
        rows = (row.partition("=") for row in answer.out.decode("utf-8", "replace").splitlines())
        return _Properties({name: value for name, _, value in rows})


@dataclass(frozen=True, slots=True)
class _Properties:
    """What systemd says of a unit."""

    said: Mapping[str, str]

    @property
    def active(self) -> bool:
        return self.said.get("ActiveState") in ("active", "reloading")

    @property
    def enabled(self) -> bool:
        return self.said.get("UnitFileState") == "enabled"

    @property
    def state(self) -> str:
        return f"{self.said.get('ActiveState', 'unknown')} ({self.said.get('SubState', '-')})"

    @property
    def pid(self) -> int | None:
        return self._number("MainPID") or None

    @property
    def restarts(self) -> int | None:
        return self._number("NRestarts")

    def _number(self, name: str) -> int | None:
        value = self.said.get(name, "")
        return int(value) if value.isascii() and value.isdigit() else None
