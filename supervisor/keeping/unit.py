"""The systemd unit of a supervisor, as text. Pure. docs/keeping-it-running.md says why each line is there, and which
lines that are often recommended are not: a cell is made of namespaces and mounts, which most hardening forbids.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from supervisor.keeping.startline import StartLine

MARK = "# Written by `cronward service install`, taken away by `cronward service uninstall`."
WATCHDOG_SECONDS = 120
"""The loop waits for its disk; one that takes a minute is ill, and no reason to end what runs."""
START_SECONDS = 300
"""It takes up where a killed one left off first, job by job."""


def unit_name(home: Path, usual: Path) -> str:
    """One unit a home; the usual home has the plain name."""
    if home == usual:
        return "cronward.service"
    return f"cronward-{hashlib.sha256(os.fsencode(home)).hexdigest()[:8]}.service"


def unit(line: StartLine, stop_seconds: float, *, system: bool, bare: bool) -> str:
    """The file. `system`: of root's, for the whole host. `bare`: without what a set-uid bubblewrap could not bear."""
    environ = "".join(f"Environment={_quoted(f'{name}={value}')}\n" for name, value in line.environ)
    return _TEXT.format(
        mark=MARK,
        edit="systemctl edit" if system else "systemctl --user edit",
        home=_plain(str(line.home.root)),
        start=_command(line.argv("supervise")),
        reload=_command(line.argv("reload")),
        environ=environ,
        start_seconds=START_SECONDS,
        stop_seconds=round(stop_seconds),
        watchdog=WATCHDOG_SECONDS,
        hardening="" if bare else _HARDENING,
        target="multi-user.target" if system else "default.target",
    )


_TEXT = """\
{mark}
# What you want otherwise belongs into a drop-in: {edit} NAME
[Unit]
Description=cronward, AI agents on a schedule, in {home}
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={start}
ExecReload={reload}
{environ}Restart=on-failure
RestartSec=5
RestartPreventExitStatus=2
TimeoutStartSec={start_seconds}
TimeoutStopSec={stop_seconds}
WatchdogSec={watchdog}
TimeoutAbortSec=10
KillMode=mixed
Delegate=yes
OOMPolicy=continue
TasksMax=infinity
UMask=0077
LimitCORE=0
{hardening}
[Install]
WantedBy={target}
"""
_HARDENING = """\
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
"""


def _command(argv: list[str]) -> str:
    # The program itself is not subject to variables, and `$$` would stay as it is there.
    return " ".join([_quoted(argv[0]), *(_quoted(word.replace("$", "$$")) for word in argv[1:])])


def _quoted(text: str) -> str:
    """As systemd.syntax(7) reads it: specifiers, escapes, blanks."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{plain}"'


def _plain(text: str) -> str:
    """For a description: no specifier, and no backslash, which at the end would continue the line."""
    return text.replace("%", "%%").replace("\\", "/")
