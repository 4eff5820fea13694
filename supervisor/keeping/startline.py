"""How somebody else starts a supervisor of this home: the program, where everything lies, and what it has to know.

systemd and cron give a program little of what its owner's shell has, so it is all said: absolute paths, and the `PATH`
of the install, on which the programs of jobs are looked for that name none of their own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from supervisor.config import PREFIX
from supervisor.errors import CronwardError, InvalidError
from supervisor.stores.home import Home

CARRIED = ("XDG_CONFIG_HOME",)
"""Variables that decide where the configuration lies."""
NOT_SETTINGS = ("CRONWARD_HOME", "CRONWARD_CONFIG")
"""Said by options."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class StartLine:
    """What is written into a unit or a crontab."""

    program: str
    home: Home
    config: str
    """Empty: the usual one."""
    environ: tuple[tuple[str, str], ...]

    def argv(self, *command: str) -> list[str]:
        """This command, of this home."""
        config = ["--config", self.config] if self.config else []
        return [self.program, "--home", str(self.home.root), *config, *command]


def start_line(home: Home, config: Path | None, environ: Mapping[str, str], program: str) -> StartLine:
    """Raises InvalidError where something of it has a control character: neither file could carry it."""
    path = ":".join(_path(environ.get("PATH", "") or os.defpath, os.path.isdir))
    carried = [(name, environ[name]) for name in CARRIED if environ.get(name, "").startswith("/")]
    line = StartLine(program, home, str(config.absolute()) if config else "", (("PATH", path), *carried))
    for text in (*line.argv(), *(value for _, value in line.environ)):
        if _CONTROL.search(text):
            raise InvalidError(
                f"{text!a} has a control character, which neither a unit nor a crontab can carry. "
                "Name a place without one (--home, --config), or take it out of your PATH."
            )
    return line


def left_out(environ: Mapping[str, str]) -> list[str]:
    """The settings that were made by variables: only this shell has them."""
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in NOT_SETTINGS)


def program(argv0: str, executable: str) -> str:
    """The program that was called, else the one beside this interpreter. Raises CronwardError if there is none."""
    for place in (Path(argv0).absolute(), Path(executable).parent / "cronward"):
        if place.name == "cronward" and os.access(place, os.X_OK) and place.is_file():
            return str(place)
    raise CronwardError(
        "cronward is not installed as a program here, so nothing else could start it. Install it, for one with "
        "`uv tool install`, and call that."
    )


def _path(path: str, is_folder: Callable[[str], bool]) -> list[str]:
    """Without what is there twice, is relative, or is not there."""
    return [entry for entry in dict.fromkeys(path.split(":")) if entry.startswith("/") and is_folder(entry)]
