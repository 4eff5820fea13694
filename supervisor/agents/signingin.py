"""An agent's own login, run on the owner's terminal with an empty home of cronward's, and what of it is a login.

It is the owner who runs it, outside of any cell, as they would by themselves. But it gets another home, and none of the
variables that would lead it to the owner's own files or keys: what it writes is cronward's alone.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from shared import removal
from supervisor.agents.adapter import Adapter
from supervisor.agents.logins import Login, read_home
from supervisor.errors import CronwardError, InvalidError
from supervisor.programs.programs import CELL_PATH
from supervisor.stores.home import Home

# What a terminal, a browser and a way through the site's proxy need. No D-Bus: there are keyrings behind it, and a
# login that went into one would not be a file.
_PASSED = (
    *("TERM", "COLORTERM", "NO_COLOR", "LANG", "LANGUAGE", "TZ", "PATH", "USER", "LOGNAME", "SHELL"),
    *("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "BROWSER", "SSH_CONNECTION", "SSH_TTY"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS"),
)


class LoginFailedError(CronwardError):
    """The agent's login came to nothing. What there was stays."""


def environment(environ: Mapping[str, str], home: str) -> dict[str, str]:
    """What an agent's login is told."""
    kept = {name: value for name, value in environ.items() if name in _PASSED or name.startswith("LC_")}
    return {"PATH": CELL_PATH, **kept, "HOME": home}


def sign_in(home: Home, known: Adapter, environ: Mapping[str, str], now: datetime) -> Login:
    """Run it, and take what it wrote. Raises InvalidError, LoginFailedError, RefusedError, StoreError."""
    if not known.login.argv or not known.login.files:
        raise InvalidError(f"The agent {known.name} has no login of its own that cronward knows. {instead(known)}")
    program = shutil.which(known.program.find, path=environ.get("PATH") or CELL_PATH)
    if program is None:
        how = f" To install it: {known.program.install}" if known.program.install else ""
        raise InvalidError(f"The program {known.program.find!r} is not on your PATH, so nobody can log in.{how}")
    with _private_home(home, known.name) as own:
        argv = [program, *known.login.argv]
        try:
            code = subprocess.run(argv, env=environment(environ, str(own)), cwd=own, check=False).returncode
        except OSError as error:
            raise LoginFailedError(f"{program} cannot be started: {error.strerror}.") from None
        if code != 0:
            raise LoginFailedError(f"The login of {known.name} ended with {_how(code)}. Nothing was changed.")
        files = read_home(own, known.login.files)
    if not files:
        raise LoginFailedError(
            f"The login of {known.name} wrote none of the files that carry one ({', '.join(known.login.files)}). "
            f"Nothing was changed. {instead(known)}"
        )
    return Login(agent=known.name, kind="files", files=files, set_at=now)


def shared(known: Adapter, own: Path, now: datetime) -> Login:
    """The owner's own files, read anew at each attempt. Raises InvalidError where there are none."""
    if not read_home(own, known.login.files):
        listed = ", ".join(known.login.files) or "none are known"
        raise InvalidError(f"There is no login of {known.name} in {own} ({listed}). {instead(known)}")
    return Login(agent=known.name, kind="shared", shared_home=str(own), set_at=now)


def instead(known: Adapter) -> str:
    """What else somebody can do."""
    if not known.login.variables:
        return known.login.words
    return f"Give it a token or a key: cronward login {known.name} --token. {known.login.words}".rstrip()


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


@contextmanager
def _private_home(home: Home, agent: str) -> Iterator[Path]:
    home.create()
    path = Path(tempfile.mkdtemp(dir=home.logins, prefix=f".{agent}.", suffix=".login"))
    try:
        yield path
    finally:
        removal.remove_tree(str(path))
